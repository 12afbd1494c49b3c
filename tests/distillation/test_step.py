"""The batched, banked, chunked engine equals the written-out one."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from csdm_cli.distillation.bank import BankedRealSide, build_bank
from csdm_cli.distillation.layout import Chunking, Formation, activation_bytes, chunking
from csdm_cli.distillation.step import Matching
from csdm_cli.images.initial import initial_images
from csdm_cli.methods import load
from csdm_cli.methods.contract import Context
from csdm_cli.names import (
    AlphaSchedule,
    AugmentMode,
    Initial,
    TeacherSchedule,
)
from csdm_cli.spectral.weights import alphas
from csdm_cli.teachers.networks import PoolNetworks
from csdm_cli.teachers.views import PooledViews, ViewPlan
from tests.reference.distillation import csdm_loss
from tests.tiny_pool import CSDM

CPU = torch.device("cpu")
STRATEGY = ("color", "crop", "cutout", "flip", "scale", "rotate")


@pytest.fixture
def world(data, pool, tmp_path):
    """Formation, networks, banked real side and starting images, in float64."""
    formation = Formation(data.classes, 2, 2, data.size, data.mean, data.std)
    networks = PoolNetworks(pool, CPU, torch.float64)
    plan = ViewPlan(2, data.classes, STRATEGY, AugmentMode.single, TeacherSchedule.final, 10, seed=3)
    views = PooledViews(plan, draws=3)
    method = load("csdm")(CSDM)
    method.prepare(Context(data.counts, CPU, torch.float64))
    build_bank(tmp_path, data, views, 6, method.request(), networks, torch.float64, quiet=True)
    real = BankedRealSide(tmp_path, views, method.request(), networks, torch.float64)
    images = initial_images(data, 2, 2, Initial.mix, seed=0, dtype=torch.float64).requires_grad_(True)
    return formation, networks, real, method, images


def gradient(matching: Matching, images, target, step):
    images.grad = None
    terms = matching.backward(images, target, step)
    return terms, images.grad.clone()


@pytest.mark.parametrize("layout", [Chunking(3, 2), Chunking(2, 2), Chunking(1, 2), Chunking(1, 1)])
def test_engine_equals_the_reference_in_any_chunking(world, data, layout):
    formation, networks, real, method, images = world
    matching = Matching(method, formation, networks, 0.5, layout)
    for step in range(6):
        target = real.at(step)
        terms, grad = gradient(matching, images, target, step)
        network = networks.final(target.view.teacher)
        alpha = alphas(data.counts, AlphaSchedule.log_count, CSDM.alpha_head, CSDM.alpha_tail).double()
        stored = images.detach().clone().requires_grad_(True)
        loss = csdm_loss(network, stored, data, formation, target.view.theta, target.frequencies, alpha, 0.5)
        loss.backward()
        # 1e-9, but for the smoothing of |φ| that the engine needs at φ = 0
        assert float(sum(terms.values())) == pytest.approx(float(loss.detach()), abs=1e-9)
        torch.testing.assert_close(grad, stored.grad, rtol=0, atol=1e-9)


@pytest.mark.parametrize("schedule", [TeacherSchedule.interpolate, TeacherSchedule.trajectory])
def test_calibration_uses_final_weights_under_every_schedule(data, pool, schedule, tmp_path):
    formation = Formation(data.classes, 2, 1, data.size, data.mean, data.std)
    networks = PoolNetworks(pool, CPU, torch.float64)
    views = PooledViews(ViewPlan(2, data.classes, (), AugmentMode.single, schedule, 10, seed=3), draws=2)
    method = load("csdm")(CSDM)
    method.prepare(Context(data.counts, CPU, torch.float64))
    build_bank(tmp_path, data, views, 4, method.request(), networks, torch.float64, quiet=True)
    real = BankedRealSide(tmp_path, views, method.request(), networks, torch.float64)
    images = initial_images(data, 2, 1, Initial.real, seed=0, dtype=torch.float64).requires_grad_(True)
    one = partial(gradient, images=images, target=real.at(1), step=1)
    with_both = one(Matching(method, formation, networks, 2.0, Chunking(3, 2)))[1]
    matching_only = one(Matching(method, formation, networks, 0.0, Chunking(3, 2)))[1]
    network = networks.final(real.at(1).view.teacher)
    centre, spread = (torch.tensor(v, dtype=torch.float64).view(1, -1, 1, 1) for v in (data.mean, data.std))
    logits = network((images - centre) / spread)
    labels = torch.arange(3).repeat_interleave(2)
    images.grad = None
    (2.0 * 3 * torch.nn.functional.cross_entropy(logits, labels)).backward()  # a sum over 3 classes
    torch.testing.assert_close(with_both - matching_only, images.grad, rtol=0, atol=1e-10)


def test_chunks_hold_whole_classes_or_pieces_of_one():
    formation = Formation(10, 5, 2, 32, (0.0,), (1.0,))
    assert chunking(formation, bytes_per_image=100, budget=10**9) == Chunking(10, 5)
    assert chunking(formation, bytes_per_image=100, budget=4 * 100 * 12) == Chunking(2, 5)
    assert chunking(formation, bytes_per_image=100, budget=4 * 100 * 3) == Chunking(1, 3)
    assert chunking(replace(formation, ipc=1), bytes_per_image=100, budget=1) == Chunking(1, 1)


def test_activation_bytes_grow_with_the_network(pool):
    narrow = pool.network(0).requires_grad_(False)
    wide = replace(pool, spec=replace(pool.spec, width=8)).network(0).requires_grad_(False)
    shape = (3, 8, 8)
    small = activation_bytes(narrow, shape, CPU, torch.float32)
    # at least the input of every convolution, norm and activation of the first block: 3 + 3·4 planes
    assert small >= 8 * 8 * (3 + 2 * 4) * 4
    assert 1.5 * small < activation_bytes(wide, shape, CPU, torch.float32) < 2.5 * small
