from __future__ import annotations

from pathlib import Path

import pytest
import torch

from csdm_cli.errors import CsdmError
from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.normalisation import normalise
from csdm_cli.names import TeacherLoss
from csdm_cli.networks import Frozen, NetworkSpec, build
from csdm_cli.storage.tensorfile import tensor_sha256
from csdm_cli.teachers import backbones
from csdm_cli.teachers.backbones import frozen_pool
from csdm_cli.teachers.networks import PoolNetworks
from csdm_cli.teachers.plan import TeacherPlan
from csdm_cli.teachers.pool import TeacherPool
from csdm_cli.training.losses import log_prior
from csdm_cli.training.probe import probe_recipe
from csdm_cli.training.recipe import Duration

UNIT = (1 / 255,) * 3
FITTED = Frozen("fitted", 8, (0.0,) * 3, UNIT, "triangle", centres=6)
SPEC = NetworkSpec("patch-kmeans", channels=3, size=8, classes=3, frozen=FITTED)


def plan(loss: TeacherLoss = TeacherLoss.cross_entropy, epochs: int = 20) -> TeacherPlan:
    return TeacherPlan(1, Duration(epochs=epochs), loss, probe_recipe(18), False, seed=4)


def none() -> dict[str, torch.Tensor]:
    raise AssertionError("these weights are fitted")


def make(data: ImageSet, cache: Path, chosen: TeacherPlan | None = None) -> TeacherPool:
    return frozen_pool(data, SPEC, chosen or plan(), cache, "cpu", none, quiet=True)


def test_it_is_a_pool_of_one_network_like_any_other(data: ImageSet, tmp_path: Path):
    pool = make(data, tmp_path / "cache")
    assert len(pool) == 1 and pool.spec == SPEC and pool.data == data.fingerprint()
    assert pool.description["spec"]["frozen"]["centres"] == 6
    pool.export(tmp_path / "out")
    again = TeacherPool.open(tmp_path / "out")
    assert again.key == pool.key and again.train_accuracy == pool.train_accuracy
    network = PoolNetworks(again, torch.device("cpu"), torch.float32).final(0)
    assert network.feature_dim == 24 and not network.training
    images = normalise(data.images, data.mean, data.std)
    right = network(images).argmax(1) == data.labels
    shares = [float(part.double().mean()) for part in right.split(list(data.counts))]
    assert pool.train_accuracy == (tuple(shares),)


def test_features_do_not_depend_on_how_the_dataset_is_normalised(data: ImageSet, tmp_path: Path):
    from dataclasses import replace

    other = replace(data, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    features = [
        make(one, tmp_path).network(0).features(normalise(one.images, one.mean, one.std)) for one in (data, other)
    ]
    torch.testing.assert_close(*features, rtol=1e-3, atol=1e-3)


def test_a_killed_run_goes_on_after_the_fit_and_gives_the_same_bytes(data: ImageSet, tmp_path: Path, monkeypatch):
    whole = make(data, tmp_path / "whole")

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(backbones, "train_probe", killed)
        with pytest.raises(KeyboardInterrupt):
            make(data, tmp_path / "cut")
    monkeypatch.setattr(backbones, "fitted", killed)
    again = make(data, tmp_path / "cut")
    assert again.paths[0].read_bytes() == whole.paths[0].read_bytes()
    assert sorted(path.name for path in again.paths[0].parent.glob("*.safetensors")) == ["teacher-00.safetensors"]


def test_what_is_there_is_not_made_again_unless_it_is_damaged(data: ImageSet, tmp_path: Path, monkeypatch):
    path = make(data, tmp_path).paths[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert make(data, tmp_path).paths[0].read_bytes() == whole
    monkeypatch.setattr(backbones, "fitted", None)
    assert make(data, tmp_path).paths == (path,)


def test_logit_adjustment_lowers_the_bias_of_the_plain_probe(data: ImageSet, tmp_path: Path):
    plain, lowered = (
        make(data, tmp_path, plan(loss)).weights(0)
        for loss in (TeacherLoss.cross_entropy, TeacherLoss.logit_adjustment)
    )
    assert torch.equal(plain["classifier.weight"], lowered["classifier.weight"])
    torch.testing.assert_close(
        lowered["classifier.bias"], plain["classifier.bias"] - log_prior(data.counts).float(), rtol=0, atol=1e-6
    )


def test_it_has_no_training_to_look_at(data: ImageSet, tmp_path: Path):
    with pytest.raises(CsdmError, match="--teacher-schedule final"):
        make(data, tmp_path).weights(0, ("interpolate", 0.5))


def test_weights_that_it_comes_with_are_part_of_its_identity(data: ImageSet, tmp_path: Path):
    def pool(seed: int) -> TeacherPool:
        tensors = build(NetworkSpec("convnet", width=4, size=8, classes=9), seed).state_dict()
        digest = tensor_sha256(tensors["encoder.0.weight"])
        frozen = Frozen("a file", 8, data.mean, data.std, "input of the classifier", digest)
        spec = NetworkSpec("convnet", width=4, size=8, classes=3, frozen=frozen)
        return frozen_pool(data, spec, plan(epochs=1), tmp_path, "cpu", lambda: tensors, quiet=True)

    first, second = pool(0), pool(1)
    assert first.paths != second.paths and first.key != second.key
    weights = build(NetworkSpec("convnet", width=4, size=8, classes=9), 0).state_dict()["encoder.0.weight"]
    assert torch.equal(first.weights(0)["encoder.body.0.weight"], weights)
