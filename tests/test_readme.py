"""What the README says can be typed, and its numbers are those in results/."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import typer

from csdm_cli.cli import app
from csdm_cli.commands.ledger import document_sheets
from csdm_cli.commands.ledger_run import settings_of
from csdm_cli.ledger.building import scale_text
from csdm_cli.ledger.headline import PREFIX
from csdm_cli.ledger.matching import scale_differences
from csdm_cli.ledger.store import read_rows
from csdm_cli.ledger.tables import refreshed

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
LEDGER = (ROOT / "docs" / "ledger.md").read_text(encoding="utf-8")
COSTS = ROOT / "results" / "engine-cpu.json"


def commands() -> list[list[str]]:
    """Every ``csdm …`` typed at a prompt of a console block."""
    blocks = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ csdm ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


def test_there_are_commands_to_check():
    assert len(commands()) >= 8


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_commands_and_options_exist(words):
    group = typer.main.get_command(app)
    command = group.commands[words[0]]
    if words[0] == "ledger" and len(words) > 1 and words[1] in command.commands:
        command = command.commands[words[1]]
    known = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words[1:] if word.startswith("--")} <= known


def test_files_and_pictures_exist():
    for target in re.findall(r"\]\(((?!http)[^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    for room in re.findall(r"`csdm_cli/([\w/]+(?:\.py|/))`", README):
        assert (ROOT / "csdm_cli" / room).exists(), room


def test_costs_are_those_measured():
    measured = [f"{row['ratio']:.2f}" for row in json.loads(COSTS.read_text(encoding="utf-8"))["rows"]]
    table = README.split("## What it costs")[1].split("| what | value |")[1].split("\n\n")[0]
    assert [line.rsplit("|", 2)[1].strip() for line in table.splitlines()[2:]] == measured


def test_published_tables_are_the_ledgers():
    """Each stands in the README or docs/ledger.md, maybe as a headline, as `csdm ledger --into FILE` writes it."""
    sheets = document_sheets(read_rows(ROOT / "results"))
    marked = re.findall(r"^<!-- ledger: (.+) -->$", README + LEDGER, re.MULTILINE)
    assert {sheet.name.removeprefix(PREFIX) for sheet in sheets} == {name.removeprefix(PREFIX) for name in marked}
    for page in (README, LEDGER):
        assert refreshed(page, sheets) == page


def test_the_headline_stands_first():
    """What csdm achieves, beside the controls, comes before any other table of the ledger."""
    assert re.findall(r"<!-- ledger: (.+) -->", README)[0].startswith(PREFIX)


@pytest.mark.parametrize("row", read_rows(ROOT / "results"), ids=lambda row: row.name)
def test_rows_can_be_run_again(row):
    """Their settings are ones that csdm knows, and their scale is what those settings are."""
    assert settings_of(row, None).distill.ipc >= 1
    assert row.scale == "reduced" or not scale_differences(row)
    assert row.scale_text == scale_text(row)
