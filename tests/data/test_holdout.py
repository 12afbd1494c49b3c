from __future__ import annotations

import ast
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import csdm_cli
from csdm_cli.data.holdout import read_test, sealed
from csdm_cli.data.store import TEST_FILE
from csdm_cli.errors import CsdmError

PACKAGE = Path(csdm_cli.__file__).parent
DOORKEEPERS = {"data/holdout.py", "data/store.py"}  # the one reads the test set, the other writes it


def test_the_test_set_is_whole_and_untouched(digits_longtail):
    test = read_test(digits_longtail)
    assert test.counts == digits_longtail.manifest.test_counts
    assert sum(test.counts) == 596


def test_a_sealed_test_set_cannot_be_read(digits_longtail):
    with sealed("distilling"), pytest.raises(CsdmError, match="sealed while distilling") as error:
        read_test(digits_longtail)
    assert "\n" not in str(error.value)
    read_test(digits_longtail)


def test_seals_nest_and_survive_errors(digits_longtail):
    with pytest.raises(ZeroDivisionError), sealed("outer"):
        with sealed("inner"):
            pass
        with pytest.raises(CsdmError, match="while outer"):
            read_test(digits_longtail)
        raise ZeroDivisionError
    read_test(digits_longtail)


def test_a_seal_holds_in_other_threads(digits_longtail):
    with sealed(), ThreadPoolExecutor(1) as pool, pytest.raises(CsdmError, match="sealed"):
        pool.submit(read_test, digits_longtail).result()


def test_only_the_doorkeepers_know_the_test_file():
    """No other module of the package names the file, or imports its name, to open it past the seal."""
    knowing = set()
    for place in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(place.read_text(encoding="utf-8"))):
            literal = isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value == TEST_FILE
            named = isinstance(node, (ast.Name, ast.alias, ast.Attribute)) and "TEST_FILE" in (
                getattr(node, "id", ""),
                getattr(node, "name", ""),
                getattr(node, "attr", ""),
            )
            if literal or named:
                knowing.add(place.relative_to(PACKAGE).as_posix())
    assert knowing == DOORKEEPERS
