"""The house shows its plan: rooms import only rooms below them, and each says what it is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.imports import MODULES, PACKAGE, imports

# From the roof down: a room imports only rooms after it.
ORDER = (
    "__main__",
    "cli",
    "commands",
    "report",
    "comparison",
    "ledger",
    "runs",
    "foreign",
    "profiling",
    "distillation",
    "tracking",
    "artifacts",
    "data",
    "settings",
    "methods",
    "evaluation",
    "teachers",
    "training",
    "parameterisations",
    "images",
    "networks",
    "spectral",
    "parallel",
    "display",
    "storage",
    "safe_text",
    "signals",
    "device",
    "seeds",
    "names",
    "errors",
    "csdm_cli",
)
# Within methods: a kind of method imports the contract, never the other way round.
METHODS = (
    "methods",
    "matching",
    "gradient",
    "trajectory",
    "selection",
    "regularisers",
    "learning",
    "contract",
    "statistics",
)
ROOMS = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))


def room(module: str, below: str = "csdm_cli") -> str:
    """The room of ``module`` among those of ``below``."""
    rest = module.removeprefix(below).lstrip(".")
    return rest.split(".")[0] if rest else below.rpartition(".")[2]


def arrows_up(order: tuple[str, ...], below: str) -> list[str]:
    """Imports from a room to one above it."""
    inside = [module for module in MODULES if module == below or module.startswith(f"{below}.")]
    return [
        f"{module} imports {other}"
        for module in inside
        for other in imports(module, for_types=module != "csdm_cli")  # whose types are those of its door, far above
        if other in inside and order.index(room(other, below)) < order.index(room(module, below))
    ]


def test_no_import_runs_up():
    assert not arrows_up(ORDER, "csdm_cli")


def test_no_import_runs_up_among_the_methods():
    assert not arrows_up(METHODS, "csdm_cli.methods")


def test_every_module_is_in_a_room():
    assert {room(module) for module in MODULES} == set(ORDER)
    loose = [path.name for path in PACKAGE.glob("*.py") if path.name not in ("__init__.py", "__main__.py")]
    assert len(loose) <= 6, loose


@pytest.mark.parametrize("folder", ROOMS, ids=lambda folder: folder.relative_to(PACKAGE.parent).as_posix())
def test_a_room_s_sign_names_its_files(folder: Path):
    sign = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    assert len(sign) > 40, "what the room is"
    if folder == PACKAGE or folder.name in ("matching", "selection", "sources"):
        return  # one file per method or source: their names say it
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    unnamed = {stem for stem in files if f"``{stem}``" not in sign}
    assert not unnamed, f"not in the reading order: {sorted(unnamed)}"


def test_json_of_files_is_read_within_bounds():
    """By ``storage.bounded``; json itself reads what others wrote in their own way, and what ranks tell each other."""
    readers = {module for module, path in MODULES.items() if "json.loads(" in path.read_text()}
    own_care = {"data.sources.annotations", "data.sources.parquet_columns", "parallel.ranks"}
    assert readers == {f"csdm_cli.{name}" for name in (*own_care, "storage.bounded")}
