"""Teachers that are counted in steps, and such as are not trained plainly."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch._dynamo.utils import counters

from csdm_cli.images.image_set import ImageSet
from csdm_cli.names import Precision
from csdm_cli.networks import numerics as numerics_module
from csdm_cli.networks.numerics import PLAIN, Numerics
from csdm_cli.runs.teachers import duration_of
from csdm_cli.settings.presets import overlaid
from csdm_cli.settings.sections import TEACHER_STEPS, Pretrain
from csdm_cli.training.recipe import STAGES, Duration
from csdm_cli.training.tuned import program
from tests.teachers.test_pool import PLAN, KilledError, files, make, same

BF16, COMPILED = Numerics(Precision.bf16), Numerics(Precision.bf16, compiled=True)


@pytest.fixture
def traced(monkeypatch):
    """Compilation up to the programs, without the C++ compiler."""
    monkeypatch.setattr(numerics_module, "BACKEND", "aot_eager")
    torch._dynamo.reset()
    counters.clear()
    program.cache_clear()
    yield
    program.cache_clear()


def test_epochs_and_steps_end_where_they_say():
    assert Duration(epochs=3).ends(18, 7) == {3: 1, 6: 2, 8: 3}
    assert Duration(steps=8).ends(18, 7) == {3: 1, 6: 2, 8: 3}
    assert Duration(steps=2).ends(18, 7) == {2: 1}, "less than an epoch is one stage"
    many = Duration(steps=TEACHER_STEPS).ends(100, 128)
    assert len(many) == STAGES and max(many) == TEACHER_STEPS and many[TEACHER_STEPS] == STAGES
    assert Duration.told({"epochs": 60, "steps": 9}) == Duration(steps=9)
    assert Duration.told({"epochs": 60, "steps": None}) == Duration(epochs=60)


def test_one_of_both_says_how_long_and_steps_are_the_default():
    assert duration_of(Pretrain()) == Duration(steps=TEACHER_STEPS)
    assert duration_of(Pretrain(epochs=20)) == Duration(epochs=20)
    with pytest.raises(ValueError, match="epochs and steps both say how long"):
        Pretrain(epochs=2, steps=3)
    assert overlaid({"epochs": 20, "lr": 1}, {"steps": 9}) == {"steps": 9, "lr": 1}, "the later layer decides"
    assert overlaid({"steps": 9}, {"epochs": 2, "steps": None}) == {"steps": None, "epochs": 2}


def test_as_many_steps_make_the_same_teacher(data: ImageSet, tmp_path):
    """8 steps of 7 images are 3 epochs of 18: the same weights, kept after the same stages."""
    by_epochs, by_steps = make(data, tmp_path), make(data, tmp_path, replace(PLAN, duration=Duration(steps=8)))
    assert by_steps.description["steps"] == 8 and "steps" not in by_epochs.description
    assert by_steps.epochs == by_epochs.epochs == 3
    for point in (("epoch", 1), ("epoch", 2), "final"):
        assert same(by_steps.weights(1, point), by_epochs.weights(1, point))
    assert by_steps.paths[0].parent != by_epochs.paths[0].parent


@pytest.mark.parametrize("own", [BF16, COMPILED, Numerics(channels_last=True)], ids=str)
def test_tuned_teachers_are_plain_ones_up_to_rounding(traced, data: ImageSet, tmp_path, own):
    """Their weights are float32, the file says how they were made, and only two programs are."""
    plain, found = make(data, tmp_path), make(data, tmp_path, numerics=own)
    assert found.description["numerics"] == own.as_dict() and "numerics" not in plain.description
    assert Numerics.told(found.description["numerics"]) == own and Numerics.told(None) == PLAIN
    start, end, other = plain.weights(0, ("epoch", 0)), plain.weights(0), found.weights(0)
    assert same(found.weights(0, ("epoch", 0)), start)
    moved = sum(float((end[name] - start[name]).square().sum()) for name in end) ** 0.5
    apart = sum(float((end[name] - other[name]).square().sum()) for name in end) ** 0.5
    assert all(value.dtype == torch.float32 for value in other.values())
    assert 0 < apart < (0.3 if own.precision is Precision.bf16 else 1e-3) * moved
    assert counters["stats"]["unique_graphs"] == (1 if own.compiled else 0)


def test_plain_numerics_change_no_key(data: ImageSet, tmp_path):
    assert files(make(data, tmp_path, numerics=PLAIN)) == files(make(data, tmp_path))
    assert len(list((tmp_path / "teachers").iterdir())) == 1


def test_a_killed_tuned_teacher_goes_on_to_the_same_bytes(data: ImageSet, tmp_path):
    def kill(teacher: int, epoch: int, loss: float) -> None:
        if epoch == 2:
            raise KilledError

    whole = files(make(data, tmp_path / "whole", numerics=BF16))
    with pytest.raises(KilledError):
        make(data, tmp_path / "killed", numerics=BF16, checkpoint_every=0, on_epoch=kill)
    assert files(make(data, tmp_path / "killed", numerics=BF16)) == whole
