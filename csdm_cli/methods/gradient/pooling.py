"""2x2 average pooling as sums of lines and columns: on a CPU several times as fast as torch's own."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad

from csdm_cli.networks.instance_block import halves
from csdm_cli.networks.network import Network


class HalfPool(nn.Module):
    """``AvgPool2d(2)``, the same up to rounding, and as often differentiable."""

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H // 2, W // 2)."""
        even = images.shape[2] % 2 == images.shape[3] % 2 == 0
        quick = even and images.device.type == "cpu" and images.dtype in (torch.float32, torch.float64)
        if not quick:
            return F.avg_pool2d(images, 2)
        values, moves = forward_ad.unpack_dual(images)
        halved: Tensor = _Halve.apply(values)
        return halved if moves is None else forward_ad.make_dual(halved, _Halve.apply(moves))


def pool_quickly(network: Network) -> Network:
    """``network`` itself, with a :class:`HalfPool` in place of every average pooling of 2x2."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if halves(child):
                setattr(module, name, HalfPool())
    return network


class _Halve(torch.autograd.Function):
    """Means of 2x2 pixels. It is linear, so that nothing is kept for its derivative."""

    @staticmethod
    def forward(_context: Any, images: Tensor) -> Tensor:
        lines = images[..., ::2, :] + images[..., 1::2, :]
        return (lines[..., ::2] + lines[..., 1::2]).mul_(0.25)

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> Tensor:
        return _Spread.apply(gradients[0])  # type: ignore[no-any-return]


class _Spread(torch.autograd.Function):
    """The transpose of :class:`_Halve`: a quarter of every value at each of its four pixels."""

    @staticmethod
    def forward(_context: Any, means: Tensor) -> Tensor:
        quarters = means * 0.25
        lines = torch.view_as_real(torch.complex(quarters, quarters)).flatten(-2)  # every value twice in its line
        return torch.stack((lines, lines), -2).flatten(-3, -2)

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> Tensor:
        return _Halve.apply(gradients[0])  # type: ignore[no-any-return]
