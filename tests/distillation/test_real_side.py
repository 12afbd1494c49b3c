"""csdm's options about real classes on the engine: exact for any chunks, from the plain bank where they can be."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from csdm_cli.distillation.real_side import class_stretch
from csdm_cli.methods.statistics import Request, Spectrum
from csdm_cli.names import KernelName
from csdm_cli.runs.method_options import make_method
from csdm_cli.settings.sections import Distill
from csdm_cli.spectral.distance import class_distance
from csdm_cli.teachers.networks import PoolNetworks
from tests.methods.tiny_world import assembled, check_layouts, make_data, make_pool
from tests.reference.distillation import csdm_loss, stretches

OPTIONS = [
    {"debias": True},
    {"borrow": 0.6},
    {"adaptive": True},
    {"debias": True, "borrow": 1.0, "adaptive": True, "mixture": 2},
]


@pytest.mark.parametrize("real", ["bank", "fresh"])
@pytest.mark.parametrize("option", OPTIONS, ids="-".join)
def test_engine_equals_the_reference_in_any_chunking(tmp_path, monkeypatch, option, real):
    # |φ| is smoothed, which shows at 1e-7 where the estimate of a real |φ| is 0
    monkeypatch.setattr("csdm_cli.methods.matching.csdm.class_distance", partial(class_distance, eps=1e-30))
    parts = assembled(tmp_path, "csdm", option=option, real=real, real_batch=1000, calibration=1.0)
    data = make_data()
    for step in range(3):
        target = parts.real.at(step)
        network = parts.networks.final(target.view.teacher)
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
            stretch=stretches(network, data) if "adaptive" in option else None,
            debias="debias" in option,
            borrow=option.get("borrow", 0.0),
        )
        loss.backward()
        check_layouts(parts, step, float(loss.detach()), stored.grad, atol=1e-9)


def test_only_what_a_bank_holds_makes_another_bank(tmp_path):
    for option in ({}, {"debias": True}, {"borrow": 0.5}, {"debias": True, "borrow": 1.0}):
        assembled(tmp_path, "csdm", option=option)
    assert len(list((tmp_path / "bank").iterdir())) == 1
    for option in ({"mixture": 2}, {"adaptive": True}, {"mixture": 2, "adaptive": True, "debias": True}):
        assembled(tmp_path, "csdm", option=option)
    assert len(list((tmp_path / "bank").iterdir())) == 4


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
