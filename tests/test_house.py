"""The house shows its plan: rooms import only rooms below them, and each says what it is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from csdm_cli.methods import method_names, module_of
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
    "shared_options",
    "bounds",
    "statistics",
)
# Modules without a test file of their name, by the tests that run them and would fail with them.
TESTED_THROUGH = {
    "cli/test_app.py": (
        "cli/arguments.py",
        "cli/ledger.py",
        "cli/making.py",
        "cli/measuring.py",
        "cli/options.py",
        "cli/set_files.py",
    ),
    # words in, files out: what a command prints and writes is of the chain of all of them
    "commands/test_chain.py": (
        "commands/cross_arch.py",
        "commands/evaluate.py",
        "commands/pretrain.py",
    ),
    "commands/test_ledger.py": ("commands/ledger_add.py",),
    "commands/test_profile.py": ("runs/profile.py",),
    "commands/test_show_verify_export.py": (
        "commands/export.py",
        "commands/show.py",
        "commands/verify.py",
    ),
    "commands/test_report_html.py": (
        "commands/report.py",
        "report/content.py",
    ),
    # a comparison is one thing: rows recomputed from the file, sets made again, failures, Ctrl-C
    "commands/test_compare.py": (
        "comparison/context.py",
        "comparison/entries.py",
        "comparison/files.py",
        "comparison/measure.py",
        "comparison/tables.py",
        "comparison/trials.py",
    ),
    "teachers/test_backbones.py": ("runs/backbones.py",),
    "commands/test_ledger_probes.py": ("ledger/repeat_probes.py",),
    "networks/test_frozen.py": (
        "networks/efficientnet.py",
        "networks/weights.py",
    ),
    "commands/test_import_set.py": ("comparison/finished.py",),
    "commands/test_fairness.py": ("runs/fairness.py",),
    "commands/test_torchrun.py": ("parallel/seat.py",),
    "data/sources/test_arrays.py": ("data/sources/pixel_arrays.py",),
    "data/sources/test_lists.py": ("data/sources/list_tables.py",),
    "data/sources/test_parquet.py": (
        "data/sources/parquet_columns.py",
        "data/sources/parquet_files.py",
        "data/sources/parquet_table.py",
    ),
    "distillation/test_loop.py": ("distillation/textbook.py",),
    "foreign/test_layouts.py": ("foreign/plain_torch.py",),
    "ledger/test_sections.py": ("ledger/measurements.py",),
    # which runs every method there is, so that their own files are not named here
    "methods/test_every_method.py": (
        "methods/learning.py",
        "methods/gradient/base.py",
        "methods/trajectory/base.py",
        "runs/assemble_learning.py",
        "runs/optimise.py",
    ),
    "networks/test_networks.py": ("networks/torchvision_models.py",),
    "parameterisations/test_parameterisation.py": ("parameterisations/soundness.py",),
    "distillation/test_sharded.py": ("runs/assemble.py",),
    "runs/test_tracked.py": (
        "runs/cross_arch.py",
        "runs/evaluate.py",
        "runs/evaluating.py",
    ),
    "settings/test_sections.py": (
        "settings/distill_section.py",
        "settings/making_sections.py",
        "settings/measuring_sections.py",
    ),
    "teachers/test_pool.py": (
        "teachers/plan.py",
        "teachers/remains.py",
        "teachers/teaching.py",
    ),
    "tracking/test_files.py": (
        "tracking/csv.py",
        "tracking/tensorboard.py",
    ),
    "tracking/test_mlflow_store.py": ("tracking/mlflow.py",),
}
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


def test_tests_mirror_the_package():
    """A module's tests are found by its name, or named above."""
    tests = Path(__file__).parent
    modules = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if not path.stem.startswith("__")}
    mirrored = {module for module in modules if (tests / module).with_name(f"test_{Path(module).name}").exists()}
    elsewhere = [module for told in TESTED_THROUGH.values() for module in told]
    methods = {module_of(name) for name in method_names()}
    assert modules - mirrored - methods - set(elsewhere) == set(), "without a test of their name"
    assert set(elsewhere) <= modules - mirrored and len(set(elsewhere)) == len(elsewhere), "named above for nothing"
    assert not [name for name in TESTED_THROUGH if not (tests / name).exists()]


def test_json_of_files_is_read_within_bounds():
    """By ``storage.bounded``; json itself reads what others wrote in their own way, and what ranks tell each other."""
    readers = {module for module, path in MODULES.items() if "json.loads(" in path.read_text()}
    own_care = {"data.sources.annotations", "data.sources.parquet_columns", "parallel.ranks"}
    assert readers == {f"csdm_cli.{name}" for name in (*own_care, "storage.bounded")}


def test_underscore_names_stay_in_their_module():
    """Those of the package, its benchmarks and its tests' helpers; the tests of a room may look inside it."""
    root, tests = Path(__file__).parents[1], Path(__file__).parent
    taken = []
    for path in (*PACKAGE.rglob("*.py"), *(root / "benchmarks").rglob("*.py"), *(root / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            room_of_module = PACKAGE.joinpath(*node.module.split(".")[1:]).parent.relative_to(PACKAGE.parent).parts[1:]
            inside = path.is_relative_to(tests) and path.parent.relative_to(tests).parts == room_of_module
            own = node.module.split(".")[0] in ("csdm_cli", "tests") and not inside
            private = [alias.name for alias in node.names if re.match(r"_[^_]", alias.name)]
            taken += [f"{path.relative_to(root)} takes {name} of {node.module}" for name in private if own]
    assert not taken


def test_the_mathematics_knows_no_options():
    """Those are named where settings are read."""
    files = sorted((PACKAGE / "spectral").glob("*.py"))
    assert files and not [path.name for path in files if re.search(r"--[a-z]", path.read_text())]
