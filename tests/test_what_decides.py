"""A result is made anew when code changes that could have made it otherwise: keys and dvc.yaml name all of it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from csdm_cli.methods import load, method_names, module_of
from csdm_cli.storage import rooms
from tests.imports import MODULES, PACKAGE, closure, place

ROOT = Path(__file__).parents[1]
# What no result depends on, and why.
CANNOT_DECIDE = (
    "__init__.py",  # the version and the package's doors
    "errors.py",  # words
    "names.py",  # what options may be called; the chosen names are in the keys
    "device.py",  # where tensors are; the device is in the keys
    "settings",  # validation; the settings themselves are in the keys
    "storage",  # files are the same bytes wherever they are kept, and hashed
    "parallel",  # any number of processes gives the same bits, which tests/parallel holds
    "display",  # words and pictures
    "tracking",  # a copy of what is computed
    "methods/shared_options.py",  # validation, as settings
    "methods/__init__.py",  # finds a method by its name
    "safe_text.py",
    "signals.py",
    "runs/tracked.py",  # what a tracked run tells
    "runs/turns.py",  # who makes a set, not what comes out
    "runs/whole_run.py",  # the time that a set took
    "runs/runtime.py",  # how a command runs; numerics are in the keys
)
# Reading a long-tailed set: its images are in every key, by their fingerprint.
IN_KEYS_BY_CONTENT = ("data",)
DECIDED = {
    "a long-tailed set": (("csdm_cli.data.build",), rooms.LONG_TAIL, ()),
    "teachers": (("csdm_cli.teachers.pool", "csdm_cli.teachers.teaching"), rooms.TEACHERS, ()),
    "the bank": (("csdm_cli.distillation.bank", "csdm_cli.teachers.views"), rooms.BANK, ()),
    "students": (("csdm_cli.evaluation.students", "csdm_cli.evaluation.controls"), rooms.STUDENTS, ()),
    "a distilled set": (
        ("csdm_cli.runs.distill",),
        (*rooms.DISTILLED, "artifacts/validation.py", "artifacts/grid.py", "artifacts/run_record.py"),
        IN_KEYS_BY_CONTENT,
    ),
}
STAGES = {
    "make-lt": ("csdm_cli.runs.long_tail", "csdm_cli.commands.make_lt"),
    "pretrain": ("csdm_cli.runs.teachers",),
    "distill": ("csdm_cli.runs.distill",),
    "sweep": ("csdm_cli.runs.distill", "csdm_cli.settings.presets"),
    "evaluate": ("csdm_cli.commands.evaluate",),
    "cross-arch": ("csdm_cli.commands.cross_arch",),
    "compare": ("csdm_cli.commands.compare", "csdm_cli.settings.presets"),
    "profile": ("csdm_cli.commands.profile",),
    "report": ("csdm_cli.commands.report",),
}


def within(file: str, folders: tuple[str, ...]) -> bool:
    """Whether ``file`` is one of ``folders``, or below one."""
    return any(file == folder or file.startswith(f"{folder}/") for folder in folders)


def is_a_method(file: str) -> bool:
    """Whether ``file`` defines a method, whose hash comes on top of the rooms'."""
    return file in {module_of(name) for name in method_names()}


def is_a_sign(file: str) -> bool:
    """Whether ``file`` is the sign on the door of a room: words, and names taken from its files."""
    allowed = (ast.Expr, ast.ImportFrom, ast.Assign)
    return file.endswith("__init__.py") and all(
        isinstance(statement, allowed) for statement in ast.parse((PACKAGE / file).read_text()).body
    )


def left_out(starts: tuple[str, ...], named: tuple[str, ...]) -> list[str]:
    """Files that ``starts`` import and that are neither ``named`` nor without effect."""
    files = {place(module) for module in closure(*starts, stop=lambda module: within(place(module), CANNOT_DECIDE))}
    return sorted(file for file in files if not within(file, named) and not is_a_method(file) and not is_a_sign(file))


@pytest.mark.parametrize("result", DECIDED)
def test_keys_name_all_code_that_decides(result):
    starts, named, by_content = DECIDED[result]
    assert not left_out(starts, (*named, *by_content))


@pytest.mark.parametrize("name", method_names())
def test_a_set_s_key_names_all_code_of_its_method(name):
    module = load(name).__module__
    assert not left_out((module,), (*rooms.DISTILLED, *IN_KEYS_BY_CONTENT))


def test_a_statistic_of_a_method_s_own_brings_all_its_code():
    for name in method_names():
        module = load(name).__module__
        assert not left_out((module,), (*rooms.BANK, "methods")), name


def test_regularisers_are_loaded_by_name_and_named_as_a_room():
    files = {place(module) for module in MODULES if module.startswith("csdm_cli.methods.regularisers.")}
    assert len(files) > 3
    assert all(within(file, rooms.DISTILLED) for file in files)


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_depends_on_all_code_that_decides(stage):
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    deps = tuple(dep.removeprefix("csdm_cli/") for dep in stages[stage]["deps"] if dep.startswith("csdm_cli/"))
    data = () if stage == "make-lt" else IN_KEYS_BY_CONTENT
    assert not left_out(STAGES[stage], (*deps, *data))


def test_every_stage_is_looked_at():
    assert set(STAGES) == set(YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"])


def test_the_rooms_exist():
    for named in (rooms.LONG_TAIL, rooms.TEACHERS, rooms.BANK, rooms.STUDENTS, rooms.DISTILLED, CANNOT_DECIDE):
        assert all((ROOT / "csdm_cli" / room).exists() for room in named)
