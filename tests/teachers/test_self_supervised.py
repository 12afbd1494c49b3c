"""Backbones trained without labels: their bytes, whatever the labels are and however often they are killed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.normalisation import normalise
from csdm_cli.names import Objective, TeacherLoss
from csdm_cli.networks import Frozen, NetworkSpec, build
from csdm_cli.networks.spec import Pretext
from csdm_cli.seeds import derive_seed
from csdm_cli.teachers import backbones, self_supervised
from csdm_cli.teachers.backbones import frozen_pool
from csdm_cli.teachers.plan import TeacherPlan
from csdm_cli.teachers.pool import TeacherPool
from csdm_cli.training.objectives import PairLoss
from csdm_cli.training.probe import probe_recipe
from csdm_cli.training.recipe import Duration

PRETEXT = Pretext("vicreg", 3, None, 6, 1e-2, 1e-4, "crop_flip", 7)
PLAN = TeacherPlan(1, Duration(epochs=1), TeacherLoss.cross_entropy, probe_recipe(18), False, seed=4)


class KilledError(Exception):
    pass


def plain(objective: Objective) -> PairLoss:
    """A loss that needs no library: views agree, and do not shrink."""
    return lambda first, second: (first - second).square().mean() + (1 - first.std(0)).relu().mean()


@pytest.fixture(autouse=True)
def without_the_library(monkeypatch):
    monkeypatch.setattr(self_supervised, "pair_loss", plain)
    monkeypatch.setattr(self_supervised, "CHECKPOINT_EVERY", 0)
    monkeypatch.setattr(backbones, "library", lambda: "plain 1")


def spec_of(data: ImageSet, name: str = "convnet", pretext: Pretext = PRETEXT, **shape) -> NetworkSpec:
    frozen = Frozen("trained", data.size, data.mean, data.std, "input of the classifier", pretext=pretext)
    return NetworkSpec(name, width=4, size=data.size, classes=data.classes, frozen=frozen, **shape)


def make(data: ImageSet, cache: Path, spec: NetworkSpec | None = None, **tell) -> TeacherPool:
    return frozen_pool(data, spec or spec_of(data), PLAN, cache, "cpu", dict, quiet=True, **tell)


def body(pool: TeacherPool) -> dict[str, Tensor]:
    return {name: value for name, value in pool.weights(0).items() if name.startswith("encoder.body.")}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def test_the_backbone_is_the_trained_encoder_and_says_how_it_came_about(data: ImageSet, tmp_path: Path):
    stages: list[tuple[int, float]] = []
    pool = make(data, tmp_path, on_stage=lambda *told: stages.append(told))
    assert [stage for stage, _ in stages] == [1, 2, 3] and all(loss > 0 for _, loss in stages)
    assert pool.spec == spec_of(data) and pool.description["spec"]["frozen"]["pretext"]["objective"] == "vicreg"
    assert NetworkSpec(**pool.spec.as_dict()) == pool.spec and pool.description["objective_of"] == "plain 1"
    trained = self_supervised.self_supervised(data, pool.spec, derive_seed(4, "teacher", 0), tmp_path / "n", quiet=True)
    assert same(body(pool), {f"encoder.body.{name}": value for name, value in trained.items()})
    start = build(replace(pool.spec, frozen=None), derive_seed(derive_seed(4, "teacher", 0), "weights"))
    assert not torch.equal(trained["0.weight"], start.encoder.state_dict()["0.weight"])
    start.encoder.load_state_dict(trained)
    images = normalise(data.images, data.mean, data.std)
    torch.testing.assert_close(pool.network(0).features(images), start.eval().features(images))
    assert [path.name for path in pool.paths[0].parent.glob("*") if ".lock" not in path.name] == [pool.paths[0].name]


def test_no_label_is_read(data: ImageSet, tmp_path: Path):
    """Other class sizes are other labels of the same images."""
    other = replace(data, counts=(3, 5, 10))
    assert not torch.equal(data.labels, other.labels)
    assert same(body(make(data, tmp_path)), body(make(other, tmp_path)))


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_killed_run_goes_on_and_gives_the_same_bytes(data: ImageSet, tmp_path: Path, stage, norm):
    spec, told = spec_of(data, norm=norm), []
    whole = make(data, tmp_path / "whole", spec)

    def kill(done: int, loss: float) -> None:
        if done == stage:
            raise KilledError

    with pytest.raises(KilledError):
        make(data, tmp_path / "cut", spec, on_stage=kill)
    again = make(data, tmp_path / "cut", spec, on_stage=lambda done, loss: told.append(done))
    assert told == list(range(stage + 1, 4))
    assert again.paths[0].read_bytes() == whole.paths[0].read_bytes()


def test_a_damaged_checkpoint_is_made_again(data: ImageSet, tmp_path: Path):
    def kill(done: int, loss: float) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        make(data, tmp_path / "a", on_stage=kill)
    (state,) = (tmp_path / "a").rglob("state.safetensors")
    state.write_bytes(state.read_bytes()[:100])
    assert make(data, tmp_path / "a").paths[0].read_bytes() == make(data, tmp_path / "b").paths[0].read_bytes()


@pytest.mark.parametrize("change", [{"objective": "simclr"}, {"lr": 0.02}, {"views": "crop"}, {"epochs": 4}])
def test_every_setting_is_part_of_its_identity(data: ImageSet, tmp_path: Path, change):
    one, other = (make(data, tmp_path, spec_of(data, pretext=p)) for p in (PRETEXT, replace(PRETEXT, **change)))
    assert one.paths != other.paths and one.key != other.key


def test_a_resnet_keeps_the_statistics_of_its_batches(data: ImageSet, tmp_path: Path):
    brief = replace(PRETEXT, epochs=None, steps=1)
    found = body(make(data, tmp_path, spec_of(data, "resnet18", brief, norm="batch")))
    assert int(found["encoder.body.1.num_batches_tracked"]) == 2, "one of each view"
    assert found["encoder.body.1.running_mean"].abs().sum() > 0


def test_as_many_steps_make_the_same_backbone(data: ImageSet, tmp_path: Path):
    by_steps = spec_of(data, pretext=replace(PRETEXT, epochs=None, steps=9))
    assert same(body(make(data, tmp_path)), body(make(data, tmp_path, by_steps)))
