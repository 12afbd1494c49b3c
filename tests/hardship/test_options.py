"""Absurd values of every option of every command, read from the command line itself: one line, never a traceback."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from csdm_cli.cli.app import app
from tests.command_world import run
from tests.hardship.campaign import seeds
from tests.hardship.commands import ALL, told_in_one_line

PLAIN = {
    **ALL,
    "profile": ["profile", "data", "--teachers", "teachers", "--ipcs", "1", "--params", "params.yaml"],
    "methods": ["methods", "csdm"],
    "verify": ["verify", "set"],
    "ledger": ["ledger", "--results", "rows"],
    "ledger run": ["ledger", "run", "none", "--results", "rows"],
}
VALUES = (
    *("", " ", "-", "--", "-1", "0", "-0", "00", "0.0", "1.5", "-1e-9", "nan", "NaN", "inf", "-inf", "1e999", "1e-999"),
    *("9" * 20, "9" * 5000, "0x10", "1_000", " 5 ", "٣", "²", "1,5", "1;2", "true", "None", "null", "{}", "[]", "a=b"),
    *(
        "=",
        "=1",
        ",",
        ",,,",
        "1,",
        "x",
        "x" * 5000,
        "[/]x",
        "[bold]",
        "\x1b[31m",
        "\x07",
        "a\nb",
        "a\x00b"[:1],
        "é",
        "🙂",
    ),
    *("..", "../..", "/", "/dev/null", "/dev/full", "/proc/self/mem", "~nobody-at-all/x", "%s", "${HOME}", "*", "con"),
    *("data", "set", "params.yaml", "--help-me", "-x", "\u202egnp", "\udce9"),
)
CASES = 12  # values tried by one trial


def options() -> list[tuple[str, str, bool]]:
    """The words of a command, one of its options, and whether it takes a value."""
    return sorted(set(_of(typer.main.get_command(app), "")))


def _of(command: Any, words: str) -> Iterator[tuple[str, str, bool]]:
    for parameter in command.params:
        for flag in (*parameter.opts, *parameter.secondary_opts):
            if flag.startswith("--") and flag not in ("--help", "--install-completion", "--show-completion"):
                yield words, flag, not parameter.is_flag
    for name, inner in getattr(command, "commands", {}).items():
        yield from _of(inner, f"{words} {name}".strip())


OPTIONS = options()


def call(words: str, flag: str, value: str | None) -> list[str]:
    """A command that would go well, with this option once more, or with a word in place of its first argument."""
    plain = next((usual for name, usual in PLAIN.items() if " ".join(usual).startswith(words) and words), [])
    return [*plain, flag] if value is None else [*plain, f"{flag}={value}"]


def test_all_commands_are_tried():
    assert {words for words, _, _ in OPTIONS} == {"", *(" ".join(call.split()) for call in map(_words, PLAIN.values()))}


def _words(plain: list[str]) -> str:
    return " ".join(plain[:2]) if plain[0] == "ledger" and plain[1] in ("run", "add") else plain[0]


@pytest.mark.parametrize("seed", seeds(60, 1))
def test_values_of_options(there, record_property, seed):
    chance, tried = random.Random(seed), []
    for _ in range(CASES):
        words, flag, takes = chance.choice(OPTIONS)
        given = call(words, flag, chance.choice(VALUES) if takes else None)
        tried.append(given)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = run(*given, expect=None)
        assert result.exception is None or isinstance(result.exception, SystemExit), (given, repr(result.exception))
        assert result.exit_code in (0, 1, 2), given
        told_in_one_line(result.exit_code, result.stderr, result.stdout)
    record_property("cases", len(tried))


@pytest.mark.parametrize("seed", seeds(10, 0))
def test_words_in_place_of_arguments(there, record_property, seed):
    chance = random.Random(seed)
    for _ in range(CASES):
        plain = list(chance.choice(sorted(PLAIN.values())))
        plain[chance.randrange(1, len(plain))] = chance.choice(VALUES)
        result = run(*plain, expect=None)
        assert result.exception is None or isinstance(result.exception, SystemExit), (plain, repr(result.exception))
        told_in_one_line(result.exit_code, result.stderr, result.stdout)
    record_property("cases", CASES)
