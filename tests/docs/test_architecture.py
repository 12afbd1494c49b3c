"""docs/architecture.md names what is there: every path exists, every dotted name imports, every word is the code's."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from tests.imports import PACKAGE
from tests.test_house import ORDER

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PROSE = re.sub(r"^```.*?^```$", "", PAGE, flags=re.DOTALL | re.MULTILINE)
TICKED = sorted(set(re.findall(r"`([^`]+)`", PROSE)))
PATHS = [text for text in TICKED if re.fullmatch(r"[\w./-]+(/|\.(py|yaml|md|html))", text)]
DOTTED = [text for text in TICKED if re.fullmatch(r"\w+(\.\w+)+", text) and text not in PATHS]
TYPED = [text for text in TICKED if re.match(r"(csdm|dvc|--)", text) and text not in (*PATHS, *DOTTED)]
WORDS = sorted(set(TICKED) - {*PATHS, *DOTTED, *TYPED})


def found(dotted: str) -> object:
    """The module, class, function or attribute called so, below the package."""
    words, depth = dotted.split("."), 0
    place: object = import_module("csdm_cli")
    while (
        depth < len(words)
        and (PACKAGE.joinpath(*words[: depth + 1]).with_suffix(".py")).exists()
        | (PACKAGE.joinpath(*words[: depth + 1], "__init__.py")).exists()
    ):
        depth += 1
        place = import_module(".".join(("csdm_cli", *words[:depth])))
    for word in words[depth:]:
        place = getattr(place, word)
    return place


def test_there_is_something_to_check():
    assert len(PATHS) > 60 and len(DOTTED) > 35 and len(WORDS) < 20


def test_paths_exist():
    assert not [path for path in PATHS if not (ROOT / path).exists() and not (PACKAGE / path).exists()]


def test_names_import():
    for name in DOTTED:
        assert found(name) is not None, name


def test_other_words_are_the_code_s():
    """Or torchrun, a program, or the keys of dvc.yaml."""
    files = (*PACKAGE.rglob("*.py"), ROOT / "dvc.yaml")
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    assert not [word for word in WORDS if not re.search(rf"\b{re.escape(word)}\b", text)]


def test_the_table_lists_the_rooms_in_the_order_of_imports():
    table = re.findall(r"^\| `(\w+)/` \|", PAGE, re.MULTILINE)
    assert table == [room for room in ORDER if (PACKAGE / room).is_dir()]


def test_pages_exist():
    assert not [target for target in re.findall(r"\]\(([\w.-]+)", PAGE) if not (ROOT / "docs" / target).exists()]
