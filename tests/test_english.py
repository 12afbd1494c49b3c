"""Docstrings say the noun: none begins with "Of" or "What", nor does the account of an attribute or argument."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
NO_NOUN = re.compile(r"(of|what)\b", re.IGNORECASE)
ATTRIBUTE = re.compile(r"\s+\w+(?:, \w+)*(?: \([^)]*\))?: (.*)")


def openings(docstring: str) -> Iterator[str]:
    """The beginning of a docstring, and of what it says of each attribute and argument."""
    first, *rest = docstring.splitlines()
    yield first
    for line in rest:
        if found := ATTRIBUTE.fullmatch(line):
            yield found[1]


@pytest.mark.parametrize("folder", ["csdm_cli", "tests", "benchmarks"])
def test_docstrings_say_the_noun(folder):
    wrong = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            told = ast.get_docstring(node) if isinstance(node, DOCUMENTED) else None
            wrong += [f"{path.relative_to(ROOT)}: {text}" for text in openings(told or "-") if NO_NOUN.match(text)]
    assert not wrong, "\n".join(wrong)
