"""Recorded steps are those of the plain loop, up to rounding, and are what a run uses by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from csdm_cli.distillation import replay
from csdm_cli.names import Precision
from csdm_cli.networks.numerics import PLAIN, Numerics
from csdm_cli.runs.assemble import assemble
from csdm_cli.runs.choose import decided
from tests.methods.test_every_method import data, pool, tiny  # noqa: F401 - fixtures

VIEWS = 4


@pytest.mark.parametrize("numerics", [PLAIN, Numerics(Precision.bf16, compiled=True)], ids=["plain", "bf16, compiled"])
@pytest.mark.parametrize("name", ["csdm", "dm", "ncfm"])
def test_recorded_steps_are_the_plain_ones(data, pool, tmp_path, monkeypatch, name, numerics):  # noqa: F811
    on_gpu, found, recorded = replace(data, images=data.images.cuda()), [], []
    plainly = replay.Replay._record

    def record(self, images, target, step):
        plainly(self, images, target, step)
        recorded.append(target.view.index in self._recorded)

    for plain in (False, True):
        monkeypatch.setattr(replay.Replay, "_record", (lambda *_: None) if plain else record)
        settled, method = decided(tiny(name, iterations=100, calibration=0.1, lr=1e-4))
        run = assemble(settled, method, on_gpu, pool, tmp_path, quiet=True, numerics=numerics)
        found.append([{term: float(value) for term, value in run.iterate(step).items()} for step in range(4 * VIEWS)])
        found.append(run.leaves.images.detach().clone())
    assert recorded == [True] * VIEWS
    replayed, images, losses, others = found
    assert torch.allclose(images, others, atol=1e-3)
    for one, other in zip(replayed, losses, strict=True):
        assert one == pytest.approx(other, rel=2e-2)
