"""Continual learning: a set cut into tasks by export --classes, and joined again by merge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from csdm_cli.artifacts.file import load_distilled
from tests.command_world import break_writes, contents, fails, run


def test_tasks_are_cut_out_joined_and_evaluated(workplace):
    run("export", "set", "--to", "csdm", "--classes", "3,1,4,0,2", "--out", "first")
    run("export", "set", "--to", "csdm", "--classes", "5,6,7,8,9", "--out", "second")
    first, original = load_distilled(Path("first")), load_distilled(Path("set"))
    assert first.dataset.class_names == ("3", "1", "4", "0", "2")
    merged = json.loads(run("merge", "first", "second", "--data", "data", "--out", "both", "--json").stdout)
    assert merged["class_names"] == [str(digit) for digit in range(10)] and merged["ipc"] == [2] * 10
    assert torch.equal(load_distilled(Path("both")).images, original.images)
    scores = [json.loads(run("evaluate", name, "--data", "data", "--json").stdout) for name in ("both", "set")]
    assert scores[0]["accuracy"] == scores[1]["accuracy"]
    run("verify", "both")
    run("show", "both")
    alone = json.loads(run("merge", "first", "second", "--json").stdout)
    assert alone["class_names"][:6] == ["3", "1", "4", "0", "2", "5"] and Path("artifacts/merged/grid.png").is_file()


@pytest.mark.parametrize("files", [0, 1])
def test_what_was_cut_off_is_made_by_the_same_command(workplace, files):
    for name in ("0,1", "5,6"):
        run("export", "set", "--to", "csdm", "--classes", name, "--out", name)
    run("merge", "0,1", "5,6", "--out", "whole")
    with break_writes(files):
        fails(run("merge", "0,1", "5,6", "--out", "both", expect=None), 1, "space")
    assert contents(Path("both")).keys() == {*["grid.png"][:files]}
    run("merge", "0,1", "5,6", "--out", "both")
    assert contents(Path("both")) == contents(Path("whole")) and len(contents(Path("both"))) == 2


def test_what_cannot_be_merged(workplace):
    run("export", "set", "--to", "csdm", "--classes", "0,1", "--out", "part")
    fails(run("merge", "part", expect=None), 2, "two or more")
    fails(run("merge", "part", "set", expect=None), 2, "show the class 0")
    fails(run("export", "set", "--to", "npz", "--classes", "cow", expect=None), 2, "no class 'cow'")
    fails(run("export", "set", "--to", "npz", "--classes", " ,", expect=None), 2, "--classes names no class")
    fails(run("export", "set", "--to", "csdm", "--classes", "5", expect=None), 2, "at least two classes")
    run("export", "set", "--to", "csdm", "--classes", "5,6", "--out", "other")
    fails(run("merge", "part", "other", "--out", "part", expect=None), 2, "choose another --out")


def test_a_part_evaluated_on_the_whole_is_refused(workplace):
    run("export", "set", "--to", "csdm", "--classes", "0,1", "--out", "part")
    fails(run("evaluate", "part", "--data", "data", expect=None), 1, "classes")
    fails(run("evaluate", "part", expect=None), 1, "--data")


def test_the_card_takes_the_results_beside_the_set(workplace):
    run("evaluate", "set", "--data", "data")
    run("export", "set", "--to", "huggingface", "--out", "hub")
    mean = json.loads(Path("set/evaluate/metrics.json").read_text())["accuracy"]["mean"]
    assert f" (hard labels) | {mean:.1f}" in Path("hub/README.md").read_text()
    fails(run("export", "set", "--to", "npz", "--evaluation", "set/evaluate", expect=None), 2, "--to huggingface")
