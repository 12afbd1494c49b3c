from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call

from csdm_cli.networks import build
from csdm_cli.networks.instance_block import InstanceBlock, in_blocks
from csdm_cli.networks.spec import NetworkSpec

CHANNELS, EPS = 3, 1e-3
Layers = Callable[[Tensor, Tensor, Tensor], Tensor]  # of maps, weight and bias


def plain(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return nn.functional.avg_pool2d(nn.functional.group_norm(maps, CHANNELS, weight, bias, EPS).relu(), 2)


def block(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return functional_call(InstanceBlock(nn.GroupNorm(CHANNELS, CHANNELS, EPS)), {"weight": weight, "bias": bias}, maps)


def numbers(seed: int = 0) -> list[Tensor]:
    """Maps whose mean is not zero, a weight with a negative entry, and a bias."""
    torch.manual_seed(seed)
    maps = 2 + torch.randn(2, CHANNELS, 4, 6, dtype=torch.float64)
    weight = torch.tensor([0.7, -1.3, 0.1], dtype=torch.float64)
    return [value.requires_grad_(True) for value in (maps, weight, torch.randn(CHANNELS, dtype=torch.float64))]


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_it_is_the_three_layers(order: torch.memory_format) -> None:
    maps, weight, bias = numbers()
    found = block(maps.to(memory_format=order), weight, bias)
    torch.testing.assert_close(found, plain(maps, weight, bias), rtol=1e-13, atol=1e-14)
    assert found.shape == (2, CHANNELS, 2, 3)


def test_it_is_twice_differentiable() -> None:
    assert torch.autograd.gradcheck(block, numbers()) and torch.autograd.gradgradcheck(block, numbers())


@pytest.mark.parametrize("still", [(), (1, 2), (0,)])
def test_forward_mode_and_its_derivatives(still: tuple[int, ...]) -> None:
    """Beside autograd's own of the three layers: values, moves, and the derivatives of both."""
    moves = [value.detach().requires_grad_(True) for value in numbers(1)]
    pooled, moved = (torch.randn(2, CHANNELS, 2, 3, dtype=torch.float64) for _ in range(2))
    found = []
    for layers in (block, plain):
        given = numbers()
        with forward_ad.dual_level():
            duals = [x if n in still else forward_ad.make_dual(x, moves[n]) for n, x in enumerate(given)]
            value, move = forward_ad.unpack_dual(layers(*duals))
        asked = given if 0 in still else [*given, moves[0]]
        derivatives = torch.autograd.grad((value * pooled).sum() + (move * moved).sum(), asked)
        found.append([value.detach(), move.detach(), *derivatives])
    for own, expected in zip(*found, strict=True):
        torch.testing.assert_close(own, expected, rtol=1e-11, atol=1e-12)


def test_odd_maps_are_pooled_as_ever() -> None:
    maps, weight, bias = numbers()
    torch.testing.assert_close(block(maps[..., :5], weight, bias), plain(maps[..., :5], weight, bias))


def test_half_the_precision_is_near() -> None:
    maps, weight, bias = numbers()
    found = block(maps.bfloat16(), weight.float(), bias.float())
    assert found.dtype is torch.bfloat16
    torch.testing.assert_close(found.double(), plain(maps, weight, bias), rtol=0, atol=0.05)


def test_blocks_of_a_network_keep_its_weights_and_logits() -> None:
    spec, images = NetworkSpec("convnet", width=4, depth=2, size=8), torch.rand(2, 3, 8, 8)
    network = in_blocks(build(spec, seed=0))
    assert sum(isinstance(module, InstanceBlock) for module in network.modules()) == 2
    assert list(network.state_dict()) == list(build(spec, seed=0).state_dict())
    torch.testing.assert_close(network(images), build(spec, seed=0)(images))


@pytest.mark.parametrize("other", [{"norm": "batch"}, {"norm": "layer"}, {"pooling": "max"}])
def test_other_layers_stay(other: dict[str, str]) -> None:
    network = in_blocks(build(NetworkSpec("convnet", width=4, depth=2, size=8, **other), seed=0))
    assert not any(isinstance(module, InstanceBlock) for module in network.modules())
