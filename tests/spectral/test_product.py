"""The product equals a plain one in value and gradients, whatever layout its operands have."""

from __future__ import annotations

import pytest
import torch

from csdm_cli.spectral.product import FEWEST_ROWS, _has_onednn, product


def matrices(rows: int, columns: int, dim: int, dtype=torch.float32):
    rng = torch.Generator().manual_seed(0)
    return (torch.randn(size, dim, generator=rng, dtype=dtype).requires_grad_(True) for size in (rows, columns))


LAYOUTS = {
    "rows": lambda x: x,
    "columns": lambda x: x.T.contiguous().T,
    "every other": lambda x: x.repeat_interleave(2, 1)[:, ::2],
    "repeated": lambda x: x[:1].expand(len(x), -1),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(1, 3, 5), (FEWEST_ROWS, FEWEST_ROWS, FEWEST_ROWS), (40, 33, 70)], ids=str)
def test_value_and_gradients_are_those_of_a_plain_product_in_float64(shape, layout):
    left, right = matrices(*shape)
    own = product(LAYOUTS[layout](left), right)
    weights = torch.randn(own.shape, generator=torch.Generator().manual_seed(1))
    gradients = torch.autograd.grad((own * weights).sum(), (left, right))
    exact_left, exact_right = (value.detach().double().requires_grad_(True) for value in (left, right))
    exact = LAYOUTS[layout](exact_left) @ exact_right.T
    torch.testing.assert_close(own.double(), exact, rtol=1e-5, atol=1e-4)
    for found, wanted in zip(
        gradients, torch.autograd.grad((exact * weights).sum(), (exact_left, exact_right)), strict=True
    ):
        torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-3)


def test_second_derivatives():
    left, right = matrices(10, 12, 9)
    value = product(left, right).square().sum()
    (first,) = torch.autograd.grad(value, left, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), right)
    a, b = (value.detach().double().requires_grad_(True) for value in (left, right))
    (plain,) = torch.autograd.grad((a @ b.T).square().sum(), a, create_graph=True)
    torch.testing.assert_close(second.double(), torch.autograd.grad(plain.square().sum(), b)[0], rtol=1e-4, atol=1e-2)


def test_the_choice_leaves_float64_and_small_products_alone():
    assert not _has_onednn(*matrices(40, 40, 40, torch.float64))
    assert not _has_onednn(*matrices(FEWEST_ROWS - 1, 40, 40))
    if torch.backends.mkldnn.is_available():
        assert _has_onednn(*matrices(40, 40, 40))
