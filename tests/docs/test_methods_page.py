"""docs/methods.md: its table is what ``csdm methods`` lists, and its example is a method that works."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import csdm_cli
from csdm_cli.artifacts.file import load_distilled
from csdm_cli.cli.app import app
from csdm_cli.commands.methods import outline
from csdm_cli.methods import load, method_names
from csdm_cli.methods.regularisers import regulariser_names, weighted
from tests.warm import start

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "methods.md"
START, END = "<!-- table of methods -->\n", "<!-- end of the table -->"


def table() -> str:
    """The table as it should stand in the page."""
    lines = ["| method | what it does | labels | source | cost |", "|---|---|---|---|---|"]
    for name in method_names():
        line = outline(load(name))
        lines.append(
            f"| `{name}` | " + " | ".join(line[part] for part in ("summary", "labels", "source", "cost")) + " |"
        )
    return "\n".join(lines) + "\n"


def write_table() -> None:
    """Bring the page up to date."""
    before, rest = PAGE.read_text(encoding="utf-8").split(START)
    PAGE.write_text(f"{before}{START}{table()}{END}{rest.split(END)[1]}", encoding="utf-8")


def example() -> str:
    """The page's method."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return code


def test_the_table_is_what_methods_lists():
    shown = PAGE.read_text(encoding="utf-8").split(START)[1].split(END)[0]
    advice = 'the list has changed: python -c "from tests.docs.test_methods_page import write_table; write_table()"'
    assert shown == table(), advice


def test_every_regulariser_is_told_with_its_weight():
    found = [(name, weighted.load(name)) for name in regulariser_names()]
    lines = [f"| `{name}` | {own.summary} | {own.default_weight:g} | {own.source} |" for name, own in found]
    assert "\n".join(lines) in PAGE.read_text(encoding="utf-8")


def test_the_example_is_short():
    assert len(example().splitlines()) < 60


def test_the_example_is_all_it_takes(world, workplace, tmp_path):
    """In a copy of the package with this one file more: listed, with its option, and run by the engine from a bank."""
    package, log = tmp_path / "package" / "csdm_cli", tmp_path / "log"
    shutil.copytree(Path(csdm_cli.__file__).parent, package)
    (package / "methods" / "matching" / "variance.py").write_text(example(), encoding="utf-8")
    process = start(_use_example, package, log, dict(os.environ))
    process.join(600)
    shown = log.read_text()
    assert process.exitcode == 0, shown
    assert "weight of the variances beside the means" in shown and "real side: bank" in shown
    one, zero, dm = (load_distilled(workplace / name).images for name in ("one", "zero", "dm"))
    assert (one != zero).any() and (zero == dm).all()


def _use_example(package: Path, log: Path, environment: dict[str, str]) -> None:
    """Commands in a process that has imported much, but for the package: that one is the copy."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "csdm_cli"]:
        del sys.modules[name]
    sys.path.insert(0, str(package.parent))
    os.environ |= environment
    from csdm_cli.cli import app as copied

    assert Path(copied.__file__).is_relative_to(package)
    common = ["distill", "data", "--params", "params.yaml", "--teachers", "teachers", "--method", "variance"]
    calls = (
        ["methods", "variance"],
        [*common, "--out", "one"],
        [*common, "--option", "weight=0", "--out", "zero"],
        [*common[:-1], "dm", "--out", "dm"],
    )
    for words in calls:
        result = CliRunner().invoke(copied.app, words)
        with log.open("a", encoding="utf-8") as told:
            told.write(result.output)
        assert result.exit_code == 0


@pytest.mark.parametrize("page", ["methods.md", "parameterisations.md", "sweeps.md"])
def test_what_the_pages_say_can_be_typed(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    typed = re.compile(r"csdm (?:\"[^\"]*\"|[^;&#\"])*")  # up to what ends a command, outside quotes
    lines = [part for block in blocks for line in block.splitlines() for part in typed.findall(line)]
    assert lines
    commands = typer.main.get_command(app).commands
    for line in lines:
        words = shlex.split(line)[1:]
        known = {flag for parameter in commands[words[0]].params for flag in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line
    for target in re.findall(r"\]\(((?!http)[^)#]+)\)", text):
        assert (DOCS / target).exists(), target
