"""The host never waits for the device in an iteration.

Tensors of the meta device have shapes but no values: whatever reads one back fails. Copies the other way are counted.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from csdm_cli.device import constant
from csdm_cli.distillation.leaves import Leaves
from csdm_cli.distillation.real_side import Target
from csdm_cli.distillation.step import Matching, batched_iteration
from csdm_cli.methods.contract import Context
from csdm_cli.methods.statistics import ClassStatistics
from csdm_cli.names import AugmentMode, PixelOptimizer
from csdm_cli.spectral.characteristic import Ecf
from csdm_cli.teachers.networks import PoolNetworks
from csdm_cli.training.batches import Batches, Examples
from csdm_cli.training.recipe import Recipe
from tests.methods.tiny_world import COUNTS, LAYOUTS, assembled, make_pool

META = torch.device("meta")


class Copies(TorchDispatchMode):
    """Counts what comes to the meta device from the CPU."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        given = [arg for arg in args if isinstance(arg, torch.Tensor)]
        arrived = isinstance(result, torch.Tensor) and result.device == META
        if arrived and "copy" in func._schema.name and any(tensor.device.type == "cpu" for tensor in given):
            self.names.append(func._schema.name)
        return result


class MetaRealSide:
    """The looks of another real side, without their values."""

    def __init__(self, real):
        self._real, self._kept = real, {}

    def at(self, step):
        target = self._real.at(step)
        if target.view.index not in self._kept:
            self._kept[target.view.index] = Target(target.view, of_meta(target.statistics), _meta(target.frequencies))
        return self._kept[target.view.index]


def _meta(tensor):
    return None if tensor is None else tensor.to(META)


def of_meta(statistics: ClassStatistics) -> ClassStatistics:
    ecf = statistics.ecf and Ecf(_meta(statistics.ecf.re), _meta(statistics.ecf.im))
    summaries = {name: _meta(value) for name, value in statistics.summaries.items()}
    means = {"mean": _meta(statistics.mean), "unit_mean": _meta(statistics.unit_mean)}
    return replace(statistics, ecf=ecf, summaries=summaries, **means)


def on_meta(folder, method, layout=LAYOUTS[0], **settings):
    """The iteration of a banked run without values."""
    parts = assembled(folder, method, dtype=torch.float32, real="bank", **settings)
    pool = make_pool()
    own = parts.method
    own.prepare(Context(COUNTS, META, torch.float32, parts.formation.per_class, 0, pool))
    matching = Matching(own, parts.formation, own.networks(PoolNetworks(pool, META, torch.float32)), 1.0, layout)
    pixels, real = Leaves(parts.leaves.images.to(META), parts.leaves.plan), MetaRealSide(parts.real)
    return lambda step: batched_iteration(pixels, matching, real, step)


@pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter:UserWarning")
@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("csdm", {}),
        ("csdm", {"distance": "root", "teacher_schedule": "trajectory"}),
        ("dm", {}),
        ("dsdm", {"option": {"covariance": 0}}),
        ("idm", {}),
        ("m3d", {"kernel": "linear"}),
        ("ncfm", {"teacher_schedule": "interpolate"}),
        ("tgdd", {}),
    ],
)
def test_once_every_view_was_seen_nothing_passes_between_host_and_device(tmp_path, method, settings):
    iterate = on_meta(tmp_path, method, **settings)
    for step in range(4):  # two teachers, two draws
        iterate(step)
    for step in range(4, 8):
        with Copies() as copies:
            iterate(step)
        assert copies.names == []


@pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter:UserWarning")
@pytest.mark.parametrize("optimizer", list(PixelOptimizer))
@pytest.mark.parametrize("layout", LAYOUTS)
def test_neither_optimiser_nor_chunks_make_the_host_wait(tmp_path, optimizer, layout):
    iterate = on_meta(tmp_path, "csdm", layout, optimizer=optimizer)
    for step in range(4):
        iterate(step)


def test_a_batch_of_a_network_in_training_is_made_without_waiting():
    images = torch.zeros(12, 3, 8, 8, dtype=torch.uint8, device=META)
    examples = Examples(images, torch.zeros(12, dtype=torch.long, device=META), (0.5,) * 3, (0.2,) * 3)
    recipe = Recipe("adamw", 0.01, 0.0, 0.0, 8, "color_crop_cutout_flip", AugmentMode.single, 1.0, "cosine")
    images, targets = Batches(examples, recipe, 0, 3).at(0)
    assert images.shape == (8, 3, 8, 8) and targets.shape == (8, 3)


def test_constants_cross_over_once():
    with Copies() as copies:
        for _ in range(3):
            constant((0.25, 0.5, 0.125), torch.float64, META)
    assert len(copies.names) == 1
