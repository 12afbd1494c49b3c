"""Help at every width: no name of an option is cut, and text is no longer than the terminal is wide."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from csdm_cli.cli.app import app


def commands(group: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that call it."""
    for name, command in group.commands.items():
        words = (*before, name)
        yield words, command
        yield from commands(command, words) if hasattr(command, "commands") else ()


ALL = dict(commands(get_command(app)))
NAMES = re.compile("╭|(Arguments|Options):")  # below the paragraphs


@pytest.fixture(autouse=True)
def commands_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A narrow terminal changes the commands whose help it shows, so these are not those of other tests."""
    monkeypatch.setattr("typer.testing._get_command", get_command)


@pytest.mark.parametrize("width", [40, 60, 79, 80, 120])
@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_the_help_of_a_command_names_its_options_whole(words, width):
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": str(width)})
    assert shown.exit_code == 0, shown.output
    options = {name for one in ALL[words].params for name in (*one.opts, *one.secondary_opts) if name.startswith("--")}
    assert options <= set(re.findall(r"--[a-z0-9-]+", shown.output))
    assert max(map(len, shown.output.splitlines())) <= width
    assert "[dim]" not in shown.output and "\\[" not in shown.output
    assert ("╭" in shown.output) == (width >= 80)


@pytest.mark.parametrize("width", [60, 140])
@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_a_line_ends_where_the_next_word_has_no_room(words, width):
    """And not where the source wraps its docstrings."""
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": str(width)}).output.splitlines()
    above = [line.strip() for line in shown[: next(place for place, line in enumerate(shown) if NAMES.match(line))]]
    for line, after in pairwise(above):
        assert not (line and after) or len(f"{line} {after.split()[0]}") > width - 4, f"{line!r} could go on"


@pytest.mark.parametrize("width", [40, 60, 80, 140])
def test_commands_below_a_command_are_told_whole(width):
    shown = " ".join(CliRunner().invoke(app, ["ledger", "--help"], env={"COLUMNS": str(width)}).output.split())
    assert "from nothing but its JSON, and compare." in shown.replace(" │ │ ", " ")


@pytest.mark.parametrize("width", [40, 60, 80])
def test_the_first_help_names_every_command_whole(width):
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": str(width)})
    names = {words[0] for words in ALL}
    assert {"make-lt", "cross-arch", "ledger"} <= names <= set(re.findall(r"[a-z-]+", shown.output))
    assert max(map(len, shown.output.splitlines())) <= width
