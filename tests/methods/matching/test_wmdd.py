"""wmdd against its formula, with and without batch norm."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from csdm_cli.errors import UsageError
from csdm_cli.images.augment import augment
from csdm_cli.images.multi_formation import decode
from csdm_cli.images.normalisation import normalise
from csdm_cli.methods.contract import Context
from csdm_cli.methods.matching.wmdd import WatchingNetwork, Wmdd, WmddParameters, norm_layers
from csdm_cli.networks import build
from csdm_cli.networks.spec import NetworkSpec
from tests.methods.random_batches import COUNTS, random_batch, total, value
from tests.methods.tiny_world import assembled, check_chunking, make_data, make_pool
from tests.reference import wmdd as oracle


def test_loss_is_the_formula():
    method = Wmdd(WmddParameters())
    averaged = Wmdd(WmddParameters(classes="mean"))
    for own in (method, averaged):
        own.prepare(Context(COUNTS, torch.device("cpu"), torch.float64, 4))
    batch, _ = random_batch(method.request())
    support = batch.real.summaries["support"]
    pairs = zip(batch.features.split(4), support, strict=True)
    expected = sum(oracle.feature_loss(own.tolist(), points.tolist()) for own, points in pairs)
    assert value(method.losses(batch, 0)) == pytest.approx(expected, rel=1e-9)
    assert value(averaged.losses(batch, 0)) == pytest.approx(expected / 3, rel=1e-9)
    own = batch.features
    assert torch.autograd.gradcheck(lambda rows: total(method.losses(replace(batch, features=rows), 0)), (own,))


def test_a_loss_of_zero_has_a_gradient():
    method = Wmdd(WmddParameters())
    method.prepare(Context(COUNTS, torch.device("cpu"), torch.float64, 4))
    batch, _ = random_batch(method.request())
    own = batch.real.summaries["support"].flatten(0, 1).clone().requires_grad_(True)
    loss = total(method.losses(replace(batch, features=own), 0))
    loss.backward()
    assert float(loss.detach()) == 0 and own.grad.isfinite().all()


def test_batch_norm_statistics_are_the_formula(tmp_path):
    """Against the inputs of the norm layers, watched in another way, of all synthetic and all real images."""
    data, weight = make_data(), 0.7
    parts = assembled(tmp_path, "wmdd", pool=make_pool("batch"), option={"batch_norm": weight}, calibration=0)
    target = parts.real.at(0)
    network = make_pool("batch").network(target.view.teacher).double().eval()
    inputs: list[torch.Tensor] = []
    for layer in norm_layers(network):
        layer.register_forward_hook(lambda _, seen, __: inputs.append(seen[0].detach().flatten(2)))

    def watched(images: torch.Tensor, label: int) -> list:
        inputs.clear()
        rows = target.view.theta.rows(torch.full((len(images),), label))
        network.features(augment(normalise(images, data.mean, data.std), rows))
        return [maps.tolist() for maps in inputs]

    expected = 0.0
    stored = parts.leaves.images.detach()
    for label in range(3):
        own = decode(stored[2 * label : 2 * label + 2], 2, 8)
        expected += oracle.batch_norm_loss(watched(own, label), watched(data.of_class(label).double() / 255, label))
    terms = parts.matching.backward(parts.leaves.images, target, 0)
    assert float(terms["batch_norm"]) == pytest.approx(weight * expected, rel=1e-9)
    assert len(norm_layers(network)) == 2


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_gradient_is_the_same_in_any_chunking(tmp_path, norm):
    parts = assembled(tmp_path, "wmdd", pool=make_pool(norm))
    for step in range(2):
        check_chunking(parts, step, atol=1e-10)


@pytest.mark.parametrize("name", ["convnet", "resnet18"])
def test_a_watched_network_gives_the_same_features_and_logits(name):
    network = build(NetworkSpec(name, 4, 2, "batch", "avg", 3, 16, 5), seed=0).eval()
    watching = WatchingNetwork(network)
    images = torch.rand(3, 3, 16, 16)
    found = watching.features(images)
    assert found.shape == (3, watching.feature_dim)
    assert torch.equal(found[:, : network.feature_dim], network.features(images))
    assert torch.equal(watching.classifier(found), network(images)) and torch.equal(watching(images), network(images))


def test_batch_norm_is_used_where_it_is(tmp_path):
    plain = assembled(tmp_path, "wmdd")
    assert set(plain.matching.backward(plain.leaves.images, plain.real.at(0), 0)) == {"barycentre", "calibration"}
    normed = assembled(tmp_path / "normed", "wmdd", pool=make_pool("batch"))
    terms = normed.matching.backward(normed.leaves.images, normed.real.at(0), 0)
    assert set(terms) == {"barycentre", "batch_norm", "calibration"}
    off = assembled(tmp_path / "normed", "wmdd", pool=make_pool("batch"), option={"batch_norm": 0})
    again = off.matching.backward(off.leaves.images, off.real.at(0), 0)
    assert set(again) == {"barycentre", "calibration"} and torch.equal(again["barycentre"], terms["barycentre"])
    with pytest.raises(UsageError, match="batch_norm=2: the teachers have no batch norm"):
        assembled(tmp_path, "wmdd", option={"batch_norm": 2})


def test_fresh_minibatches_are_refused(tmp_path):
    with pytest.raises(UsageError, match="--real fresh"):
        assembled(tmp_path, "wmdd", real="fresh")


def test_a_support_point_starts_at_the_same_image_in_every_view():
    """Features seen through another linear map give the same support, mapped."""
    method = Wmdd(WmddParameters())
    method.prepare(Context((9,), torch.device("cpu"), torch.float64, 3))
    (summary,) = method.request().summaries
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(9, 4, generator=rng, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=rng, dtype=torch.float64)).Q
    torch.testing.assert_close(summary.of(features @ turn, 2, seed=1), summary.of(features, 2, seed=2) @ turn)
