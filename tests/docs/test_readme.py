"""README and docs: commands can be typed, links lead somewhere, and numbers are those in results/."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import typer

from csdm_cli.artifacts.file import load_distilled
from csdm_cli.cli.app import app
from csdm_cli.data.longtail import class_counts
from csdm_cli.ledger.headline import COMMANDS, PREFIX
from csdm_cli.ledger.matching import scale_differences
from csdm_cli.ledger.overview import document_sheets
from csdm_cli.ledger.papers import paper_values
from csdm_cli.ledger.protocol import Protocol
from csdm_cli.ledger.repeat import settings_of
from csdm_cli.ledger.rows_from_runs import scale_text
from csdm_cli.ledger.store import read_rows
from csdm_cli.ledger.tables import refreshed
from csdm_cli.methods import method_names

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PAGES}
README = TEXTS["README.md"]
MARKED = {name: marks for name, text in TEXTS.items() if (marks := re.findall(r"^<!-- ledger: (.+) -->$", text, re.M))}
COSTS = ROOT / "results" / "engine-cpu.json"
PLACES_TO_BE = {
    *(".csdm/", "variance.py", "nets.py"),  # the cache, and what pages add
    *("train/", "test/", "val/", "valid/", "validation/", "Training/", "Testing/"),  # of people's own data
}


def commands() -> dict[str, list[str]]:
    """Every ``csdm …`` typed at a prompt of a console block, by page and line."""
    blocks = [
        (name, block) for name, text in TEXTS.items() for block in re.findall(r"```console\n(.*?)```", text, re.S)
    ]
    lines = [(name, line) for name, block in blocks for line in block.replace("\\\n", " ").splitlines()]
    typed = [(name, line.removeprefix("$ ")) for name, line in lines if line.startswith("$ csdm ")]
    return {f"{name}: {line}": shlex.split(line, comments=True)[1:] for name, line in typed}


def test_there_are_commands_to_check():
    assert sum(name.startswith("README.md") for name in commands()) >= 6 and len(commands()) >= 40


@pytest.mark.parametrize("words", commands().values(), ids=commands().keys())
def test_commands_and_options_exist(words):
    group = typer.main.get_command(app)
    command = group.commands[words[0]]
    if words[0] == "ledger" and len(words) > 1 and words[1] in command.commands:
        command = command.commands[words[1]]
    known = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words[1:] if word.startswith("--")} <= known


@pytest.mark.parametrize("name", TEXTS)
def test_files_and_pictures_exist(name):
    for target in re.findall(r"(?:\]\(|src=\")((?!http)[^)#\"]+)", TEXTS[name]):
        assert ((ROOT / name).parent / target).exists(), target


@pytest.mark.parametrize("name", TEXTS)
def test_places_exist(name):
    """In the repository, or a room of the package."""
    named = set(re.findall(r"`(?:python )?([\w./-]+(?:\.py|/))[` ]", TEXTS[name])) - PLACES_TO_BE
    for place in named:
        assert any((start / place).exists() for start in (ROOT, ROOT / "csdm_cli", ROOT / "benchmarks/study")), place
    assert len(named) > 20 or name != "README.md"


def test_every_page_is_in_the_index():
    index = README.split("## Index")[1]
    assert set(re.findall(r"\]\((docs/[\w-]+\.md)\)", index)) == {name for name in TEXTS if name != "README.md"}


def test_costs_are_those_measured():
    measured = [f"{row['ratio']:.2f}" for row in json.loads(COSTS.read_text(encoding="utf-8"))["rows"]]
    section = TEXTS["docs/results.md"].split("## What it costs")[1]
    table = section.split("| what | value |")[1].split("\n\n")[0]
    assert [line.rsplit("|", 2)[1].strip() for line in table.splitlines()[2:]] == measured


def test_every_table_of_the_ledger_is_published():
    """In some page, maybe as a headline; its commands where it is one."""
    known = {sheet.name for sheet in document_sheets(read_rows(ROOT / "results"))}
    marked = {name for names in MARKED.values() for name in names}
    headlines = {name.removeprefix(PREFIX) for name in marked if name.startswith(PREFIX)}
    plain = {name for name in known if not name.startswith((PREFIX, COMMANDS))}
    assert marked <= known and {name.removeprefix(PREFIX).removeprefix(COMMANDS) for name in marked} == plain
    assert headlines == {name.removeprefix(COMMANDS) for name in marked if name.startswith(COMMANDS)}


@pytest.mark.parametrize("name", MARKED)
def test_published_tables_are_the_ledgers(name):
    """As `csdm ledger --into FILE` writes them."""
    assert refreshed(TEXTS[name], document_sheets(read_rows(ROOT / "results"))) == TEXTS[name]


def test_the_readme_has_one_table_of_the_ledger_and_says_what_was_corrected():
    (name,) = MARKED["README.md"]
    assert name.startswith(PREFIX)
    before, _ = README.split(f"<!-- ledger: {name} -->")
    assert "](docs/corrections.md)" in before.split("## What it achieves")[1]


def test_the_methods_without_a_papers_value_are_named():
    """At the README's setting; those for frozen backbones and the tiled images apart, which no such value is for."""
    (told,) = re.findall(r"no paper's value in `\S+` of (.*?) so they are absent", TEXTS["docs/results.md"], re.S)
    cases = {(one.our_dataset, one.imbalance, one.ipc, one.our_method) for one in paper_values()}
    expected = {name for name in method_names() if ("cifar10", 200, 10, name) not in cases}
    named = {name for name in method_names() if re.search(rf"\b{name}\b", told)}
    assert named == expected - {"sfm", "lgm", "ridge", "tiled-random"}


def test_every_protocol_is_explained():
    told = re.findall(r"^\| `(\S+)` \|", TEXTS["docs/ledger.md"], re.M)
    assert told == list(Protocol)


def test_the_example_for_notebooks_runs(workplace):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    shutil.copytree("set", "artifacts/distilled")
    names: dict[str, Any] = {}
    exec(code, names)
    distilled = load_distilled(workplace / "set")
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (distilled.dataset.mean, distilled.dataset.std))
    assert torch.allclose(names["images"] * std + mean, distilled.decoded(), atol=1e-6)
    assert len(names["targets"]) == len(names["images"]) == len(names["found"].dataset())


def test_the_readme_is_short():
    assert len(README.splitlines()) < 200


def test_rows_can_be_run_again():
    """Their settings, read by today's csdm, describe the very set, method and students that the row is of."""
    rows = read_rows(ROOT / "results")
    assert rows
    # dm's first images are those of all; the nearest images are chosen anew, beside a random set
    made_like = {"start": "dm", "nearest to centroid": "random"}
    for row in rows:
        params = settings_of(row, Path("own") if row.data.dataset == "folder" else None)
        made, evaluated = params.make_lt, params.evaluate
        assert (made.dataset, made.split) == (row.data.dataset, row.data.split)
        if made.profile != "as-is":  # whose counts are the folder's
            n_max = made.n_max or max(row.data.counts)
            counts = class_counts(made.profile, len(row.data.counts), n_max, made.imbalance)
            assert (made.imbalance, counts) == (row.data.imbalance, row.data.counts), row.name
        method = made_like.get(row.method, row.method)
        assert row.is_full_data or (params.distill.method, params.distill.ipc) == (method, row.ipc), row.name
        assert (evaluated.labels or "hard", evaluated.split) == (row.labels, row.data.tested_on), row.name
        drawn_once = row.inherits and row.method != "random"  # a map is fitted to the set's images: nothing is random
        assert {len(found.students) for found in row.sets} == {1 if drawn_once else evaluated.students}, row.name
        assert row.scale == "reduced" or not scale_differences(row), row.name
        assert row.scale_text == scale_text(row), row.name
