from __future__ import annotations

import pytest
import torch
from torch import Tensor

from csdm_cli.methods.gradient.distances import (
    absolute,
    released_row_cosine,
    row_cosine,
    squared,
)
from tests.reference import gradient_distance as reference

ROWS = 4 + 3  # of the convolution and of the linear layer


def gradients(seed: int) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    shapes = {"conv": (4, 2, 3, 3), "scale": (4,), "linear": (3, 5), "bias": (3,)}
    return {name: torch.randn(shape, dtype=torch.float64) for name, shape in shapes.items()}


G, H = gradients(1), gradients(2)


def row_factors(values: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Every row times a positive factor of its own."""
    torch.manual_seed(seed)
    factors = {name: 10 ** (4 * torch.rand(len(own), dtype=torch.float64) - 2) for name, own in values.items()}
    return {name: own * factors[name].view(-1, *[1] * (own.ndim - 1)) for name, own in values.items()}


def negative(values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: -own for name, own in values.items()}


def test_distances_are_their_formulas() -> None:
    assert float(row_cosine(G, H)) == pytest.approx(reference.dc(G, H, 0.0), rel=1e-12)
    assert float(released_row_cosine(G, H)) == pytest.approx(reference.dc(G, H, 1e-6), rel=1e-12)
    assert float(released_row_cosine(G, H, 0.5)) == pytest.approx(reference.dc(G, H, 0.5), rel=1e-12)
    assert float(squared(G, H)) == pytest.approx(reference.idc(G, H, 2), rel=1e-12)
    assert float(absolute(G, H)) == pytest.approx(reference.idc(G, H, 1), rel=1e-12)


def test_row_cosine_is_blind_to_the_length_of_rows() -> None:
    expected = float(row_cosine(G, H))
    assert 0 < expected < 2 * ROWS
    assert float(row_cosine(row_factors(G, 3), row_factors(H, 4))) == pytest.approx(expected, rel=1e-12)
    tiny = [{name: 1e-9 * own for name, own in values.items()} for values in (G, H)]
    assert float(row_cosine(*tiny)) == pytest.approx(expected, rel=1e-12)


def test_row_cosine_of_equal_and_opposite_gradients() -> None:
    assert float(row_cosine(G, row_factors(G, 5))) == pytest.approx(0, abs=1e-13)
    assert float(row_cosine(G, negative(G))) == pytest.approx(2 * ROWS, rel=1e-13)


def test_released_distance_of_a_gradient_from_itself_is_not_zero() -> None:
    norms = torch.cat([G[name].flatten(1).norm(dim=1) for name in ("conv", "linear")])
    small = {name: 1e-3 * own / norms.mean() for name, own in G.items()}
    norms = 1e-3 * norms / norms.mean()
    expected = (1e-6 / (norms**2 + 1e-6)).sum()
    assert float(expected) > 2  # of 7 rows, although both gradients agree
    assert float(released_row_cosine(small, small)) == pytest.approx(float(expected), rel=1e-9)
    assert float(row_cosine(small, small)) == pytest.approx(0, abs=1e-13)


@pytest.mark.parametrize("distance", [row_cosine, released_row_cosine, squared, absolute])
def test_tensors_of_one_axis_add_nothing(distance) -> None:
    other = H | {"scale": H["scale"] + 9, "bias": 7 * H["bias"]}
    assert torch.equal(distance(G, H), distance(G, other))


@pytest.mark.parametrize("distance", [squared, absolute])
def test_idc_leaves_the_linear_layer_out(distance) -> None:
    assert torch.equal(distance(G, H), distance(G, H | {"linear": 3 * H["linear"]}))


def test_rows_of_zeros_cost_one_and_pull_nowhere() -> None:
    dead = {name: own.clone() for name, own in H.items()}
    dead["conv"][1] = 0
    dead["linear"][2] = 1e-30
    leaves = {name: own.requires_grad_(True) for name, own in dead.items()}
    value = row_cosine(G, leaves)
    living = sum(
        float(1 - torch.cosine_similarity(G[name][row].flatten(), H[name][row].flatten(), 0))
        for name, row in [("conv", 0), ("conv", 2), ("conv", 3), ("linear", 0), ("linear", 1)]
    )
    assert value.item() == pytest.approx(2 + living, rel=1e-12)
    value.backward()
    assert leaves["conv"].grad.isfinite().all() and leaves["linear"].grad.isfinite().all()
    assert not leaves["conv"].grad[1].any() and not leaves["linear"].grad[2].any()
    assert leaves["conv"].grad[[0, 2, 3]].abs().amin() > 0
    broken = {name: torch.full_like(own, torch.nan) for name, own in G.items()}
    assert row_cosine(G, broken).isnan()
    nothing = {name: torch.zeros_like(own) for name, own in G.items()}
    assert float(row_cosine(nothing, nothing)) == ROWS


@pytest.mark.parametrize("distance", [row_cosine, released_row_cosine, squared])
def test_derivatives_are_difference_quotients(distance) -> None:
    names = list(H)

    def function(*values: Tensor) -> Tensor:
        return distance(G, dict(zip(names, values, strict=True)))

    assert torch.autograd.gradcheck(function, [H[name].clone().requires_grad_(True) for name in names])
