"""m3d against its formula, and at its limits."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from csdm_cli.errors import UsageError
from csdm_cli.methods.matching.dm import Dm
from csdm_cli.methods.matching.m3d import M3d, M3dParameters, SquaredDistances, moment_distances
from csdm_cli.names import KernelName
from tests.methods.random_batches import random_batch, total, value
from tests.methods.tiny_world import assembled, check_chunking, gradient
from tests.reference import m3d as oracle
from tests.reference.mmd import biased_mmd2, kernel

DEFAULT = M3dParameters(KernelName.rbf, None)
MOMENTS = {"second": 1.0, "third": 0.1}


@pytest.mark.parametrize(("scales", "width"), [(5, 1.0), (1, 0.4), (2, 3.0)])
def test_gaussian_loss_is_the_formula(scales, width):
    method = M3d(M3dParameters(KernelName.rbf, None, scales, width, 0.3, 0.7))
    batch, real = random_batch(method.request())
    expected = 0.0
    for label, own in enumerate(batch.features.split(4)):
        rows, theirs = own.tolist(), real[label].tolist()
        spread = width * oracle.mean_squared_distance(theirs, rows)
        expected += oracle.gaussian_mmd2(theirs, rows, spread, scales)
        expected += 0.3 * oracle.moment_distance(theirs, rows, 2) + 0.7 * oracle.moment_distance(theirs, rows, 3)
    assert value(method.losses(batch, 0)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_polynomial_loss_is_the_formula(degree):
    method = M3d(M3dParameters(KernelName.polynomial, degree, second=0, third=0))
    batch, real = random_batch(method.request())
    kappa = kernel("polynomial", 1.0, degree)
    expected = sum(biased_mmd2(real[label], own, kappa) for label, own in enumerate(batch.features.split(4)))
    assert value(method.losses(batch, 0)) == pytest.approx(expected, rel=1e-9)


def test_linear_kernel_without_moments_is_dm(tmp_path):
    method = M3d(M3dParameters(KernelName.linear, None))
    assert method.bankable and method.request() == Dm(None).request()
    batch, real = random_batch(method.request())
    found = total(method.losses(batch, 0))
    assert torch.equal(found, total(Dm(None).losses(batch, 0)))
    by_kernel = sum(
        biased_mmd2(r, own, kernel("linear", 1, 1)) for r, own in zip(real, batch.features.split(4), strict=True)
    )
    assert float(found.detach()) == pytest.approx(by_kernel, rel=1e-9)
    one, other = assembled(tmp_path, "m3d", kernel="linear"), assembled(tmp_path, "dm")
    assert all(torch.equal(gradient(one, step)[1], gradient(other, step)[1]) for step in range(3))


def test_loss_is_zero_between_a_class_and_itself():
    for kernel_name in (KernelName.rbf, KernelName.linear, KernelName.polynomial):
        method = M3d(M3dParameters(kernel_name, None, **MOMENTS))
        batch, _ = random_batch(method.request())
        real = replace(batch.real, features=list(batch.features.detach().split(4)))
        if real.mean is not None:
            real = replace(real, mean=batch.class_means(batch.features).detach())
        moments = torch.stack([method.request().summaries[0].of(own, 2, 0) for own in batch.features.detach().split(4)])
        own = replace(batch, real=replace(real, summaries={"central_moments": moments}))
        assert abs(value(method.losses(own, 0))) < 1e-12


@pytest.mark.parametrize("settings", [{}, {"kernel": "linear"}, {"kernel": "polynomial"}])
def test_gradient_is_the_same_in_any_chunking(tmp_path, settings):
    parts = assembled(tmp_path, "m3d", **settings)
    for step in range(2):
        check_chunking(parts, step, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kernel", [KernelName.linear, KernelName.polynomial])
def test_gradient_equals_finite_differences(kernel):
    method = M3d(M3dParameters(kernel, None, second=0.3, third=0.7))
    batch, _ = random_batch(method.request(), per_class=2)
    own = batch.features
    assert torch.autograd.gradcheck(lambda rows: total(method.losses(replace(batch, features=rows), 0)), (own,))


def test_gradient_of_the_gaussian_equals_finite_differences_at_a_fixed_width():
    batch, real = random_batch(M3d(DEFAULT).request(), per_class=2)
    own = batch.features.detach()[:2].requires_grad_(True)
    assert torch.autograd.gradcheck(lambda rows: SquaredDistances.between(real[0], rows).mmd2(3.0, 5), (own,))


def test_the_width_follows_the_batch_and_passes_no_gradient():
    batch, real = random_batch(M3d(DEFAULT).request())
    own = batch.features[:4]
    squared = SquaredDistances.between(real[0], own)
    width = squared.mean_of_pairs()
    assert not width.requires_grad
    assert float(width) == pytest.approx(oracle.mean_squared_distance(real[0].tolist(), own.tolist()), rel=1e-12)
    assert SquaredDistances.between(torch.ones(3, 2), torch.ones(2, 2)).mean_of_pairs() > 0


def test_a_class_of_one_real_image_has_no_moments_to_match():
    own = torch.rand(1, 2, 5, dtype=torch.float64).requires_grad_(True)
    distance = moment_distances(own, torch.zeros(1, 2, 5, dtype=torch.float64)).sum()
    distance.backward()
    assert float(distance.detach()) == 0 and torch.equal(own.grad, torch.zeros_like(own))


def test_other_kernels_are_refused():
    with pytest.raises(UsageError, match="m3d takes rbf, linear, polynomial"):
        M3d(M3dParameters(KernelName.laplace, None))
    with pytest.raises(UsageError, match="whole number"):
        M3d(M3dParameters(KernelName.polynomial, 1.5))
    assert M3d(DEFAULT).idle_options() == {"kernel_shape"}
    assert M3d(M3dParameters(KernelName.polynomial, 3)).idle_options() == {"scales", "width"}
    assert M3d(M3dParameters(KernelName.linear, None)).idle_options() == {"scales", "width", "kernel_shape"}
