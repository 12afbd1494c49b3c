"""Nothing that makes images can look at the test set."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import csdm_cli
from csdm_cli.data.holdout import read_test
from csdm_cli.data.store import TEST_FILE, open_longtail
from csdm_cli.methods import load
from csdm_cli.methods.matching.csdm import Csdm
from tests.command_world import COMMANDS, contents, fails, run

PACKAGE = Path(csdm_cli.__file__).parent


class Spy(Csdm):
    """A method that looks at the test images before it computes its loss."""

    def losses(self, batch, step):
        read_test(open_longtail(Path("data")))
        return super().losses(batch, step)


@pytest.mark.parametrize("command", ["distill", "profile"])
def test_a_method_that_looks_at_the_test_set_is_stopped(workplace, monkeypatch, command):
    monkeypatch.setattr("csdm_cli.runs.method_options.load", lambda name: Spy)
    arguments = COMMANDS["distill"] if command == "distill" else ["profile", "data", "--teachers", "teachers"]
    fails(run(*arguments, expect=None), 1, "the test set is sealed while")
    assert not Path("out").exists()


def test_a_selection_that_looks_at_the_test_set_is_stopped(workplace, monkeypatch):
    def build(self, start):
        return read_test(open_longtail(Path("data")))

    monkeypatch.setattr(load("random"), "build", build)
    fails(run("distill", "data", "--method", "random", "--out", "out", expect=None), 1, "sealed while distilling")


def test_a_teacher_that_looks_at_the_test_set_is_stopped(workplace, monkeypatch):
    monkeypatch.setattr("csdm_cli.teachers.pool.teach", lambda *_, **__: read_test(open_longtail(Path("data"))))
    fails(run(*COMMANDS["pretrain"], expect=None), 1, "sealed while training teachers")


def test_without_test_images_the_same_set_is_distilled(world, workplace):
    """From the teachers on: the file is not there to be read by any means."""
    Path("data", TEST_FILE).unlink()
    run("pretrain", "data", "--out", "out/teachers")
    run("distill", "data", "--teachers", "out/teachers", "--out", "out/set")
    assert contents(workplace / "out/set") == contents(world.folder / "out/set")
    fails(run("evaluate", "out/set", "--data", "data", expect=None), 1, TEST_FILE)


def test_only_those_who_evaluate_know_the_door():
    """No other module of the package mentions ``read_test``, however it is imported."""
    knowing = set()
    for place in PACKAGE.rglob("*.py"):
        nodes = ast.walk(ast.parse(place.read_text(encoding="utf-8")))
        names = {getattr(node, key, None) for node in nodes for key in ("id", "attr", "name", "value")}
        if "read_test" in names:
            knowing.add(place.relative_to(PACKAGE).as_posix())
    assert knowing == {"data/holdout.py", "runs/evaluating.py"}
    evaluating = ("evaluate", "cross_arch")
    for place in (PACKAGE / "commands").glob("*.py"):
        imported = {
            f"{node.module}.{alias.name}" if isinstance(node, ast.ImportFrom) else alias.name
            for node in ast.walk(ast.parse(place.read_text(encoding="utf-8")))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        if "csdm_cli.runs.evaluating.open_case" in imported:
            assert place.stem in evaluating
