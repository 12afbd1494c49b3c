"""The loop: interrupted at any step it ends with the same bytes; the loss falls; NaN is not written."""

from __future__ import annotations

import math
import os
import signal
from functools import partial

import pytest
import torch

from csdm_cli.distillation.bank import BankedRealSide, build_bank
from csdm_cli.distillation.checkpoint import Checkpoint
from csdm_cli.distillation.layout import Chunking, Formation
from csdm_cli.distillation.leaves import Leaves, PixelPlan, learning_rate
from csdm_cli.distillation.loop import optimise
from csdm_cli.distillation.real_side import FreshRealSide
from csdm_cli.distillation.step import Matching, batched_iteration
from csdm_cli.distillation.textbook import textbook_iteration
from csdm_cli.errors import CsdmError
from csdm_cli.images.initial import initial_images
from csdm_cli.methods import load
from csdm_cli.methods.contract import Context, NoParameters
from csdm_cli.names import (
    AugmentMode,
    Initial,
    PixelOptimizer,
    Schedule,
    TeacherSchedule,
)
from csdm_cli.parallel.interruption import held_back
from csdm_cli.teachers.networks import PoolNetworks
from csdm_cli.teachers.views import FreshViews, PooledViews, ViewPlan
from tests.tiny_pool import CSDM

pytestmark = pytest.mark.usefixtures("aloud")

CPU = torch.device("cpu")


def new_run(data, pool, folder, optimizer=PixelOptimizer.adam, iterations=7, method="csdm", textbook=False):
    """Leaves, method and iteration of a fresh process."""
    own = load(method)(CSDM if method == "csdm" else NoParameters())
    own.prepare(Context(data.counts, CPU, torch.float32))
    formation = Formation(data.classes, 2, 2, data.size, data.mean, data.std)
    networks = PoolNetworks(pool, CPU, torch.float32)
    plan = ViewPlan(2, data.classes, ("crop",), AugmentMode.single, TeacherSchedule.final, 1, seed=1)
    if textbook:
        real = FreshRealSide(data, networks, FreshViews(plan), own.request(), 4, 0, torch.float32)
    else:
        views = PooledViews(plan, draws=2)
        build_bank(folder, data, views, iterations, own.request(), networks, torch.float32, quiet=True)
        real = BankedRealSide(folder, views, own.request(), networks, torch.float32)
    start = initial_images(data, 2, 2, Initial.mix, seed=0)
    pixels = Leaves(start, PixelPlan(optimizer, 0.02, Schedule.cosine, iterations))
    if textbook:
        return pixels, own, partial(textbook_iteration, pixels, own, formation, networks, real, 1 / 3)
    matching = Matching(own, formation, networks, 1.0, Chunking(3, 2))
    return pixels, own, partial(batched_iteration, pixels, matching, real)


def finish(run, folder, **options):
    pixels, method, iterate = run
    return optimise(pixels, method, iterate, Checkpoint(folder, "run", 1e9), quiet=True, **options)


@pytest.mark.parametrize("optimizer", list(PixelOptimizer))
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_step_and_a_resume_give_the_same_bytes(data, pool, tmp_path, optimizer, number):
    whole = finish(new_run(data, pool, tmp_path / "bank", optimizer), tmp_path / "whole")
    for stop in (0, 3, 6):
        pixels, method, iterate = new_run(data, pool, tmp_path / "bank", optimizer)

        def interrupted(step, iterate=iterate, stop=stop):
            if step == stop:
                os.kill(os.getpid(), number)
            return iterate(step)

        with pytest.raises((KeyboardInterrupt, SystemExit)) as ended:
            finish((pixels, method, interrupted), tmp_path / f"stopped{stop}")
        assert getattr(ended.value, "code", 143) == 143
        again = finish(new_run(data, pool, tmp_path / "bank", optimizer), tmp_path / f"stopped{stop}")
        assert torch.equal(again.images, whole.images)
        for name, values in whole.history.items():
            assert torch.equal(again.history[name], values)


def test_without_resume_a_checkpoint_is_ignored(data, pool, tmp_path):
    whole = finish(new_run(data, pool, tmp_path / "bank"), tmp_path / "whole")
    checkpoint = Checkpoint(tmp_path / "stale", "run", 0)
    pixels, *_ = new_run(data, pool, tmp_path / "bank")
    checkpoint.save(5, pixels.state_dict())
    again = finish(new_run(data, pool, tmp_path / "bank"), tmp_path / "stale", resume=False)
    assert torch.equal(again.images, whole.images)


def test_checkpoints_are_written_when_due(data, pool, tmp_path):
    pixels, method, iterate = new_run(data, pool, tmp_path / "bank")
    checkpoint = Checkpoint(tmp_path, "run", 0)
    optimise(pixels, method, iterate, checkpoint, quiet=True)
    assert checkpoint.load(CPU)[0] == 7
    assert checkpoint.overhead_seconds > 0
    checkpoint.clear()
    assert checkpoint.load(CPU) is None


@pytest.mark.parametrize("method", ["csdm", "dm"])
def test_the_loss_falls_and_pixels_stay_in_range(data, pool, tmp_path, method):
    result = finish(new_run(data, pool, tmp_path / "bank", iterations=60, method=method), tmp_path)
    matched = result.history["spectral" if method == "csdm" else "mean"]
    assert matched[-8:].mean() < 0.7 * matched[:8].mean()
    assert result.images.min() >= 0 and result.images.max() <= 1
    assert not any(values.isnan().any() for values in result.history.values())


def test_the_textbook_loop_minimises_the_same_loss(data, pool, tmp_path):
    result = finish(new_run(data, pool, tmp_path, iterations=60, textbook=True), tmp_path)
    assert set(result.history) == {"spectral", "calibration"}
    matched = result.history["spectral"]
    assert matched[-20:].mean() < 0.8 * matched[:5].mean()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("stop", [0, 3, 6])
def test_a_derivative_that_is_not_finite_stops_the_run_and_is_not_kept(data, pool, tmp_path, value, stop):
    """Also at the last step; SGD would clamp an infinite move, and go on from black or white."""
    pixels, method, iterate = new_run(data, pool, tmp_path / "bank", PixelOptimizer.sgd)
    move = pixels.step

    def step(number: int) -> None:
        if number == stop:
            pixels.images.grad[-1, -1, -1, -1] = value
        move(number)

    pixels.step = step
    checkpoint = Checkpoint(tmp_path, "run", 0)
    with pytest.raises(CsdmError, match=f"the derivatives are no longer finite at step {stop + 1}: lower --lr$"):
        optimise(pixels, method, iterate, checkpoint, quiet=True)
    kept = checkpoint.load(CPU)
    assert kept is None if stop == 0 else kept[0] == stop and kept[1]["images"].isfinite().all()


def test_learning_rate_schedules():
    constant = PixelPlan(PixelOptimizer.adam, 0.5, Schedule.constant, 10)
    cosine = PixelPlan(PixelOptimizer.adam, 0.5, Schedule.cosine, 10)
    assert [learning_rate(constant, step) for step in (0, 5, 9)] == [0.5] * 3
    assert learning_rate(cosine, 0) == 0.5
    assert learning_rate(cosine, 5) == pytest.approx(0.25)
    assert 0 < learning_rate(cosine, 9) < 0.02


def test_a_signal_that_is_ignored_stays_ignored():
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with held_back() as interruption:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not interruption
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_last_step_is_kept_until_the_images_are_safe(data, pool, tmp_path):
    whole = finish(new_run(data, pool, tmp_path / "bank"), tmp_path)
    again = finish(new_run(data, pool, tmp_path / "bank"), tmp_path)
    assert Checkpoint(tmp_path, "run", 0).load(CPU)[0] == 7
    assert torch.equal(again.images, whole.images) and again.history.keys() == whole.history.keys()


@pytest.mark.parametrize("key", ["run", "another run"])
def test_a_checkpoint_that_cannot_be_used_is_said_so(tmp_path, capsys, key):
    checkpoint = Checkpoint(tmp_path, "run", 0)
    Checkpoint(tmp_path, key, 0).save(3, {"images": torch.zeros(2)})
    if key == "run":
        checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:-1])
    else:
        Checkpoint(tmp_path, key, 0).path.rename(checkpoint.path)
    assert checkpoint.load(CPU) is None
    assert "begins anew" in capsys.readouterr().err
