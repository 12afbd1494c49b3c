"""Selecting and building methods from the command line: real images, soft labels, the same bytes again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from csdm_cli.artifacts.file import load_distilled
from csdm_cli.data.store import open_longtail
from tests.command_world import contents, fails, run

SELECTING = ["herding", "k-center", "graph-cut", "forgetting"]


def distil(method: str, *options: object, out: str = "out"):
    run("distill", "data", "--teachers", "teachers", "--method", method, *options, "--out", out)
    return load_distilled(Path(out))


@pytest.mark.parametrize("method", SELECTING)
def test_selected_images_are_real_ones(workplace, method):
    """The largest class has 12 images, the smallest 2."""
    made = distil(method, "--ipc", 4)
    assert made.decoding.factor == 1 and made.images.shape == (40, 1, 16, 16) and made.provenance.method == method
    real = open_longtail(Path("data")).train()
    for label, count in enumerate(real.counts):
        stored = made.images[made.labels == label]
        own = {bytes(image.flatten().tolist()) for image in real.of_class(label)}
        assert len({bytes(image.flatten().tolist()) for image in stored[: min(4, count)]} & own) == min(4, count)
        assert len({bytes(image.flatten().tolist()) for image in stored}) == 4
    assert "hard labels" in run("evaluate", "out", "--data", "data").stdout


@pytest.mark.parametrize("method", [*SELECTING, "rded"])
def test_the_same_command_gives_the_same_bytes(workplace, method):
    distil(method, out="one")
    distil(method, out="two")
    assert contents(Path("one")) == contents(Path("two"))


@pytest.mark.parametrize("method", SELECTING)
def test_tiles_hold_four_selected_images(workplace, method):
    made = distil(method, "--option", "tiled=true")
    assert made.decoding.factor == 2 and made.images.shape == (20, 1, 16, 16)
    assert not torch.equal(made.images, distil(method, out="whole").images)


def test_rded_is_relabelled_by_the_teachers(workplace):
    made = distil("rded")
    assert made.decoding.factor == 2 and made.images.shape == (20, 1, 16, 16)
    assert made.soft_labels is not None and made.soft_labels.probabilities.shape == (80, 10)
    hard = distil("rded", "--labels", "hard", out="hard")
    assert hard.soft_labels is None and torch.equal(hard.images, made.images)
    assert "soft labels" in run("evaluate", "out", "--data", "data").stdout


@pytest.mark.parametrize(
    ("method", "given", "fragment"),
    [
        ("herding", "observers=3", "the pool has 2"),
        ("graph-cut", "cut_weight=0", "expected a number > 0"),
        ("forgetting", "never_learned=maybe", "infinity"),
        ("rded", "crops=0", "expected an integer >= 1"),
        ("k-center", "crop=1", "no such parameter"),
    ],
)
def test_wrong_options_are_named(workplace, method, given, fragment):
    result = run("distill", "data", "--teachers", "teachers", "--method", method, "--option", given, expect=None)
    fails(result, 2, given.partition("=")[0], fragment)
