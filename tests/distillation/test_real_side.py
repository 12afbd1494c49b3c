"""csdm's options about real classes on the engine: exact for any chunks, from the plain bank where they can be."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from csdm_cli.distillation.real_side import ViewedNetwork, class_statistics, class_stretch, kernel_length
from csdm_cli.errors import UsageError
from csdm_cli.methods.statistics import Request, Spectrum
from csdm_cli.names import KernelName
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.runs.method_options import make_method
from csdm_cli.settings.sections import Distill
from csdm_cli.spectral.distance import class_distance
from csdm_cli.teachers.networks import PoolNetworks
from tests.methods.tiny_world import Pool, assembled, check_layouts, check_resumption, make_data, make_pool
from tests.reference.distillation import csdm_loss, stretches

OPTIONS = [
    {"debias": True},
    {"borrow": 0.6},
    {"adaptive": True},
    {"debias": True, "borrow": 1.0, "adaptive": True, "mixture": 2},
    {"raw": True},
    {"raw": True, "debias": True, "borrow": 0.6, "adaptive": True, "mixture": 2},
    {"block": 1},
    {"block": 1, "raw": True, "adaptive": True},
]
SEEN = [{"raw": True}, {"block": 1}, {"block": 1, "raw": True}]


class FirstBlock:
    """A network of the tiny world as a loss sees it that matches the first block: 4x4 maps, averaged down to 2x2."""

    def __init__(self, network):
        self._network = network

    def features(self, images):
        convolution, norm, relu, pool = self._network.encoder[:4]
        maps = pool(relu(norm(convolution(images))))
        return maps.view(len(images), 4, 2, 2, 2, 2).mean((3, 5)).flatten(1)

    def __call__(self, images):
        return self._network(images)


@pytest.mark.parametrize("real", ["bank", "fresh"])
@pytest.mark.parametrize("option", OPTIONS, ids="-".join)
def test_engine_equals_the_reference_in_any_chunking(tmp_path, monkeypatch, option, real):
    # |φ| is smoothed, which shows at 1e-7 where the estimate of a real |φ| is 0
    monkeypatch.setattr("csdm_cli.methods.matching.csdm.class_distance", partial(class_distance, eps=1e-30))
    parts = assembled(tmp_path, "csdm", option=option, real=real, real_batch=1000, calibration=1.0)
    data = make_data()
    for step in range(3):
        target = parts.real.at(step)
        network = PoolNetworks(make_pool(), torch.device("cpu"), torch.float64).final(target.view.teacher)
        network = FirstBlock(network) if "block" in option else network
        stored = parts.leaves.images.detach().clone().requires_grad_(True)
        loss = csdm_loss(
            network,
            stored,
            data,
            parts.formation,
            target.view.theta,
            target.frequencies,
            parts.method.alpha,
            1.0,
            stretch=stretches(network, data, "raw" in option) if "adaptive" in option else None,
            debias="debias" in option,
            borrow=option.get("borrow", 0.0),
            raw="raw" in option,
        )
        loss.backward()
        check_layouts(parts, step, float(loss.detach()), stored.grad, atol=1e-9)


def test_only_what_a_bank_holds_makes_another_bank(tmp_path):
    for option in ({}, {"debias": True}, {"borrow": 0.5}, {"debias": True, "borrow": 1.0}):
        assembled(tmp_path, "csdm", option=option)
    assert len(list((tmp_path / "bank").iterdir())) == 1
    for option in (
        {"mixture": 2},
        {"adaptive": True},
        {"mixture": 2, "adaptive": True, "debias": True},
        {"raw": True},
        {"block": 1},
    ):
        assembled(tmp_path, "csdm", option=option)
    assert len(list((tmp_path / "bank").iterdir())) == 6


def test_the_bias_taken_away_is_that_of_the_minibatch(tmp_path):
    plain, debiased = (assembled(tmp_path, "csdm", real="fresh", option={"debias": on}) for on in (False, True))
    one, other = plain.real.at(2).statistics, debiased.real.at(2).statistics
    assert list(one.counts) == list(other.counts) == [4, 4, 3]
    squared, found = (each.ecf.re.square() + each.ecf.im.square() for each in (one, other))
    n = torch.tensor([[4.0], [4.0], [3.0]], dtype=torch.float64)
    torch.testing.assert_close(found, ((n * squared - 1) / (n - 1)).clamp(min=0))


def test_regularisers_leave_it_as_it_is(tmp_path):
    option = {"borrow": 0.5}
    plain = assembled(tmp_path, "csdm", option=option)
    added = assembled(tmp_path, "csdm", option=option, regularizer=["centralization"])
    assert added.method.pools_real
    assert torch.equal(added.real.at(0).statistics.ecf.re, plain.real.at(0).statistics.ecf.re)
    assert not make_method(Distill(regularizer=["centralization"])).pools_real


def test_a_class_of_one_image_keeps_the_common_length():
    data = make_data()
    single = replace(data, images=data.images[:16], counts=(9, 6, 1))
    request = Request(spectrum=Spectrum(KernelName.rbf, 1.5, 2.0, 4, adaptive=True))
    network = PoolNetworks(make_pool(), torch.device("cpu"), torch.float64).final(0)
    stretch = class_stretch(network, single, request, 1.0, torch.float64)
    assert stretch[2] == 1 and (stretch[:2] != 1).all()


@pytest.mark.parametrize("raw", [False, True])
def test_the_length_counts_in_the_median_distance_of_what_is_seen(raw):
    data = make_data()
    network = PoolNetworks(make_pool(), torch.device("cpu"), torch.float64).final(0)
    mean, std = (torch.tensor(values, dtype=torch.float64).view(3, 1, 1) for values in (data.mean, data.std))
    rows = network.features((data.images.double() / 255 - mean) / std)
    rows = rows if raw else rows / rows.square().sum(1, keepdim=True).sqrt()
    distances = sorted(float((x - y).square().sum().sqrt()) for i, x in enumerate(rows) for y in rows[:i])
    request = Request(spectrum=Spectrum(KernelName.rbf, 1.5, 2.0, 4, raw=raw))
    median = distances[(len(distances) - 1) // 2]
    assert kernel_length(network, data, request, torch.float64) == pytest.approx(2 * median, rel=1e-12)


@pytest.mark.parametrize("option", SEEN, ids="-".join)
def test_the_loss_is_nothing_between_images_and_themselves(tmp_path, option):
    parts = assembled(tmp_path, "csdm", option=option, initial="real", factor=1, calibration=0.0)
    target, data = parts.real.at(0), make_data()
    same = (parts.leaves.images.detach() * 255).round().to(torch.uint8).split(2)
    network = parts.networks.at(target.view.teacher, target.view.stage)
    viewed = ViewedNetwork(network, target.view, parts.networks.channels, target.frequencies)
    statistics = class_statistics(viewed, data, same, parts.method.request(), torch.float64)
    away = parts.matching.backward(parts.leaves.images, target, 0)["spectral"]
    here = parts.matching.backward(parts.leaves.images, replace(target, statistics=statistics), 0)["spectral"]
    assert away > 1e-3 and here < 1e-12 * away


@pytest.mark.parametrize("option", SEEN, ids="-".join)
def test_both_engines_have_the_same_loss(tmp_path, option):
    settings = {"option": option, "real": "fresh", "teacher_schedule": "interpolate"}
    batched, textbook = (assembled(tmp_path, "csdm", engine=engine, **settings) for engine in ("batched", "textbook"))
    torch.testing.assert_close(batched.iterate(0)["spectral"], textbook.iterate(0)["spectral"], rtol=1e-10, atol=0)


@pytest.mark.parametrize("option", SEEN, ids="-".join)
def test_a_run_that_was_cut_goes_on_to_the_same_bytes(tmp_path, option):
    check_resumption(tmp_path, 4, "csdm", option=option, teacher_schedule="interpolate")


def test_the_last_block_is_the_default(tmp_path):
    for real in ("bank", "fresh"):
        plain, last = (assembled(tmp_path, "csdm", option={"block": k}, real=real, calibration=1.0) for k in (0, 2))
        found, expected = (each.matching.backward(each.leaves.images, each.real.at(1), 1) for each in (last, plain))
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)
        torch.testing.assert_close(last.leaves.images.grad, plain.leaves.images.grad)


def test_a_block_that_is_not_there_is_refused_before_the_bank(tmp_path):
    with pytest.raises(UsageError, match="block=3: the teachers are a convnet of 2 blocks; ask for one up to 2"):
        assembled(tmp_path, "csdm", option={"block": 3})
    vgg = Pool(NetworkSpec("vgg11", norm="instance", size=32, classes=3))
    with pytest.raises(UsageError, match="block=1: the teachers are vgg11, which has no blocks; look through a con"):
        assembled(tmp_path, "csdm", pool=vgg, option={"block": 1})
    assert not list(tmp_path.iterdir())


def test_regularisers_that_read_features_want_those_of_the_last_block(tmp_path):
    with pytest.raises(UsageError, match="--regularizer covariance reads the teachers' features alone"):
        assembled(tmp_path, "csdm", option={"block": 1}, regularizer=["covariance"])
