"""profile prints, writes and records what it measured, and its figures fit together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.command_world import fails, litter, run


def test_figures_pictures_and_a_trace(workplace):
    words = ["profile", "data", "--teachers", "teachers", "--out", "out", "--trace", "traces/t.json", "--json"]
    printed = json.loads(run(*words).stdout)
    assert printed == json.loads(Path("out/timing.json").read_text())
    assert set(printed["ipc"]) == {"1", "2"} and printed["roof"]["precision"] == "float32"
    for figures in (*printed["ipc"].values(), printed["evaluate"]):
        own, phases = figures["roofline"], figures["phases"]
        network = phases["network forward"] + phases["network backward"]
        assert own["network_share"] * network == pytest.approx(own["share"] * figures["seconds_per_iteration"])
        assert figures["seconds_low"] <= figures["seconds_per_iteration"] <= figures["seconds_high"]
        peak, bandwidth = printed["roof"]["flops_per_second"], printed["roof"]["bytes_per_second"]
        assert own["attainable_flops_per_second"] == pytest.approx(min(peak, own["flops"] / own["bytes"] * bandwidth))
        rate = own["flops"] / figures["seconds_per_iteration"]
        assert own["share"] == pytest.approx(rate / own["attainable_flops_per_second"])
    for ipc in (1, 2):
        figures = printed["ipc"][str(ipc)]
        shown = figures["images_per_second"] * figures["seconds_per_iteration"]
        assert shown == pytest.approx(10 * ipc * 2**2), "ten classes, each image stored as four"
    assert printed["ipc"]["2"]["roofline"]["flops"] == 2 * printed["ipc"]["1"]["roofline"]["flops"]
    for name in ("phases.png", "roofline.png"):
        with Image.open(Path("out", name)) as picture:
            assert min(picture.size) > 100
    found = {event.get("name") for event in json.loads(Path("traces/t.json").read_text())["traceEvents"]}
    assert {"distill, IPC 1, iteration 1", "aten::convolution"} <= found
    assert not litter(workplace)


def test_a_trace_of_more_steps_than_are_measured(workplace):
    few = ["--ipcs", "1", "--iterations", "1", "--warmup", "1"]
    run("profile", "data", "--teachers", "teachers", *few, "--trace", "t.json")
    assert json.loads(Path("t.json").read_text())["traceEvents"]


def test_tables(workplace):
    shown = run("profile", "data", "--teachers", "teachers").stdout
    for name in ("ms per iteration", "share of network forward", "share reached", "evaluate"):
        assert name in shown
    assert not Path("out").exists()


def test_a_trace_that_cannot_be_written_is_refused_before_anything_is_measured(workplace):
    Path("file").write_text("")
    words = ["profile", "data", "--teachers", "teachers", "--trace", "file/t.json"]
    result = run(*words, expect=None)
    fails(result, 1, "cannot write")
    assert "iterations" not in result.stderr


def distilling(section: str) -> None:
    """Put a section of distill in the place of the one in params.yaml."""
    lines = Path("params.yaml").read_text().splitlines()
    lines = [f"distill: {section}" if line.startswith("distill:") else line for line in lines]
    Path("params.yaml").write_text("\n".join(lines) + "\n")


def test_a_method_that_learns_through_training(workplace):
    """Its iterations stand under no roof: the bare network's forward and backward are a small part of them."""
    distilling("{method: dsa, option: {inner: 2}, ipc: 2, iterations: 4, augment: crop_scale}")
    words = ["profile", "data", "--out", "out", "--trace", "t.json"]
    printed = json.loads(run(*words, "--json").stdout)
    assert printed == json.loads(Path("out/timing.json").read_text())
    for figures in printed["ipc"].values():
        assert "roofline" not in figures and figures["seconds_per_iteration"] > 0
        assert list(figures["phases"]) == ["decoding", "method", "back to the leaves", "optimiser", "after the move"]
        assert figures["phases"]["method"] == max(figures["phases"].values())
    assert printed["evaluate"]["roofline"]["share"] > 0
    shown = run("profile", "data", "--ipcs", 1).stdout
    for name in ("ms per iteration", "share of method", "share of after the move", "share reached"):
        assert name in shown


def test_a_method_without_iterations_is_refused(workplace):
    distilling("{method: random, ipc: 2}")
    result = run("profile", "data", expect=None)
    fails(result, 2, "random has none of")


def test_students_are_those_of_evaluate(workplace):
    """They have its network, and the common recipe where it asks for each set's own step size."""
    text = Path("params.yaml").read_text()
    words = ["profile", "data", "--teachers", "teachers", "--json"]
    own = json.loads(run(*words).stdout)["evaluate"]["roofline"]["flops"]
    Path("params.yaml").write_text(text.replace("evaluate: {", "evaluate: {network: alexnet, lr: learned, "))
    assert json.loads(run(*words).stdout)["evaluate"]["roofline"]["flops"] > 2 * own
    shown = run("cross-arch", "set", "--data", "data", "--networks", "convnet", "--no-controls", "--json")
    assert set(json.loads(shown.stdout)) == {"convnet"}
