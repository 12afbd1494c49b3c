"""Instance norm, ReLU and 2x2 average pooling as one operation, whose derivatives are written out.

On a CPU what lies between the convolutions costs as much as they do, for every operation goes through all pixels, and
autograd's second derivative of a norm is dozens of operations. Here the maps lie in memory pixel by pixel, and what is
known per image and channel is folded into a few coefficients before it meets the pixels.

For maps y of an image and channel with mean μ and r = 1/√(variance + ε), normalised h = r(y − μ) and the projection
P(t) = t − mean(t) − h·mean(h·t), the derivative of h in y is r·P, and with d the output's derivative, spread over its
pixels and 0 where the ReLU is:

* first: of y γr·P(d), of γ Σ h·d, of β Σ d.
* second, of ⟨v, γr·P(d)⟩ + ⟨u, Σ h·d⟩ + ⟨w, Σ d⟩ with k = mean(h·d), q = mean(h·v) and s = mean(v·P(d)): of d
  γr·P(v) + u·h + w, of γ Σ r·v·P(d), of y −γr²·(s·h + P(k·v + q·d)) + u·r·P(d), where
  P(k·v + q·d) = k(v − mean(v)) + q(d − mean(d)) − 2kq·h.

Forward mode needs the same: y moves by v, γ by u and β by w, and the output by the first of these three, where the ReLU
lets it through; its derivative in y is the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.autograd.function import once_differentiable

from csdm_cli.networks.network import Network

TYPES = (torch.float32, torch.float64, torch.bfloat16)


class InstanceBlock(nn.Module):
    """``AvgPool2d(2)`` of the ReLU of a group norm with one channel per group, up to rounding.

    It is twice differentiable, and once where it is differentiated in forward mode.

    Args:
        norm: gives its weight and bias, which keep their names, and its ε.
    """

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H // 2, W // 2)."""
        even = maps.shape[2] % 2 == maps.shape[3] % 2 == 0
        if not (even and maps.device.type == "cpu" and maps.dtype in TYPES):
            return F.avg_pool2d(F.group_norm(maps, len(self.weight), self.weight, self.bias, self.eps).relu(), 2)
        given = [forward_ad.unpack_dual(value) for value in (maps, self.weight, self.bias)]
        values = [_pixel_by_pixel(given[0].primal), given[1].primal, given[2].primal]
        if all(one.tangent is None for one in given):
            pooled: Tensor = _Block.apply(*values, self.eps)
            return pooled.permute(0, 3, 1, 2)
        moves = [torch.zeros_like(one.primal) if one.tangent is None else one.tangent for one in given]
        pooled, moved = _MovingBlock.apply(*values, _pixel_by_pixel(moves[0]), *moves[1:], self.eps)
        moving: Tensor = forward_ad.make_dual(pooled.permute(0, 3, 1, 2), moved.permute(0, 3, 1, 2))
        return moving


def in_blocks(network: Network) -> Network:
    """``network`` itself, with an :class:`InstanceBlock` wherever its three parts follow each other in a sequence.

    If there is any, the weights' order in memory is that of the blocks' maps.
    """
    found = False
    for sequence in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for place in range(len(sequence) - 2):
            norm, relu, pool = (sequence[place + ahead] for ahead in range(3))
            if isinstance(norm, nn.GroupNorm) and _per_channel(norm) and isinstance(relu, nn.ReLU) and halves(pool):
                sequence[place] = InstanceBlock(norm)
                sequence[place + 1], sequence[place + 2] = nn.Identity(), nn.Identity()
                found = True
    return network.to(memory_format=torch.channels_last) if found else network


def halves(layer: nn.Module) -> bool:
    """Whether ``layer`` is an average pooling of 2x2 without extras."""
    if not isinstance(layer, nn.AvgPool2d):
        return False
    sides = {layer.kernel_size, layer.stride}
    plain = layer.padding in (0, (0, 0)) and layer.divisor_override is None and not layer.ceil_mode
    return sides <= {2, (2, 2)} and plain


def _per_channel(norm: nn.GroupNorm) -> bool:
    return norm.num_groups == norm.num_channels and norm.affine


def _pixel_by_pixel(maps: Tensor) -> Tensor:
    return maps.permute(0, 2, 3, 1).contiguous()


# How some maps lie on those of a norm: their mean and that of h times them, per image and channel.
Moments = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class _Normalised:
    """Maps (N, H, W, C) with what is known of them per image and channel, (N, 1, 1, C) in at least float32."""

    maps: Tensor
    mean: Tensor
    r: Tensor

    @classmethod
    def of(cls, maps: Tensor, eps: float) -> _Normalised:
        mean = maps.mean((1, 2), keepdim=True)
        variance = _mean((maps - mean).square_())
        return cls(maps, _wide(mean), (variance + eps).rsqrt())

    @property
    def pixels(self) -> int:
        return self.maps.shape[1] * self.maps.shape[2]

    def moments(self, maps: Tensor) -> Moments:
        mean = _mean(maps)
        return mean, self.r * (_mean(maps * self.maps) - self.mean * mean)

    def combined(self, parts: list[tuple[Tensor, Tensor]], of_h: Tensor, constant: Tensor) -> Tensor:
        """Σ factor·part + ``of_h``·h + ``constant``: (N, H, W, C)."""
        factor, kind = of_h * self.r, self.maps.dtype
        total = torch.addcmul((constant - factor * self.mean).to(kind), self.maps, factor.to(kind))
        for part, own in parts:
            total.addcmul_(part, own.to(kind))
        return total

    def second(self, scale: Tensor, u: Tensor, d: Tensor, of_d: Moments, v: Tensor, of_v: Moments) -> Second:
        """The derivative in y of ⟨v, scale·P(d)⟩ + ⟨u, Σ h·d⟩, where scale is γr."""
        (d_mean, k), (v_mean, q) = of_d, of_v
        s = _mean(v * d) - v_mean * d_mean - k * q
        by_v, by_d = -scale * self.r * k, self.r * (u - scale * q)
        of_h = scale * self.r * (2 * k * q - s) - u * self.r * k
        return Second(s, [(v, by_v), (d, by_d)], of_h, -by_v * v_mean - by_d * d_mean)


@dataclass(frozen=True)
class Second:
    """mean(v·P(d)), and the arguments of :meth:`_Normalised.combined`."""

    s: Tensor
    parts: list[tuple[Tensor, Tensor]]
    of_h: Tensor
    constant: Tensor


class _Block(torch.autograd.Function):
    """y (N, H, W, C), γ (C,), β (C,), ε -> (N, H/2, W/2, C)."""

    @staticmethod
    def forward(context: Any, maps: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        norm = _Normalised.of(maps, eps)
        shown = norm.combined([], weight, bias).clamp_min_(0)
        context.save_for_backward(maps, weight, shown, norm.mean, norm.r)
        return _halved(shown)

    @staticmethod
    def backward(context: Any, *derivatives: Tensor) -> Any:
        return *_Derivative.apply(derivatives[0].contiguous(), *context.saved_tensors), None


class _Derivative(torch.autograd.Function):
    """The derivatives of :class:`_Block` in y, γ and β, as a function of the output's derivative, y and γ."""

    @staticmethod
    def forward(
        context: Any, pooled: Tensor, maps: Tensor, weight: Tensor, shown: Tensor, mean: Tensor, r: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        norm, d, scale = _Normalised(maps, mean, r), _spread(pooled, shown), weight * r
        d_mean, k = norm.moments(d)
        context.save_for_backward(maps, weight, shown, mean, r, d, d_mean, k)
        by_maps = norm.combined([(d, scale)], -scale * k, -scale * d_mean)
        return by_maps, _per_weight(norm.pixels * k, weight), _per_weight(norm.pixels * d_mean, weight)

    @staticmethod
    @once_differentiable
    def backward(context: Any, v: Tensor, u: Tensor, w: Tensor) -> Any:
        maps, weight, shown, mean, r, d, d_mean, k = context.saved_tensors
        norm, v, scale = _Normalised(maps, mean, r), v.contiguous(), weight * r
        v_mean, q = norm.moments(v)
        second = norm.second(scale, u, d, (d_mean, k), v, (v_mean, q))
        by_maps = norm.combined(second.parts, second.of_h, second.constant)
        by_d = _let_through(norm.combined([(v, scale)], u - scale * q, w - scale * v_mean), shown)
        by_weight = _per_weight(norm.pixels * r * second.s, weight)
        return _halved(by_d), by_maps, by_weight, None, None, None


class _MovingBlock(torch.autograd.Function):
    """y, γ, β, their moves v, u, w, and ε -> the output and its move; differentiable in y, γ, β and v."""

    @staticmethod
    def forward(
        context: Any, maps: Tensor, weight: Tensor, bias: Tensor, v: Tensor, u: Tensor, w: Tensor, eps: float
    ) -> tuple[Tensor, Tensor]:
        norm = _Normalised.of(maps, eps)
        scale, (v_mean, q) = weight * norm.r, norm.moments(v)
        shown = norm.combined([], weight, bias).clamp_min_(0)
        moved = _let_through(norm.combined([(v, scale)], u - scale * q, w - scale * v_mean), shown)
        context.save_for_backward(maps, weight, v, u, shown, norm.mean, norm.r, v_mean, q)
        return _halved(shown), _halved(moved)

    @staticmethod
    @once_differentiable
    def backward(context: Any, pooled: Tensor, moved: Tensor) -> Any:
        maps, weight, v, u, shown, mean, r, v_mean, q = context.saved_tensors
        norm, scale = _Normalised(maps, mean, r), weight * r
        d, e = _spread(pooled.contiguous(), shown), _spread(moved.contiguous(), shown)
        (d_mean, of_d), (e_mean, k) = norm.moments(d), norm.moments(e)
        second = norm.second(scale, u, e, (e_mean, k), v, (v_mean, q))
        by_maps = norm.combined(
            [*second.parts, (d, scale)], second.of_h - scale * of_d, second.constant - scale * d_mean
        )
        by_v = norm.combined([(e, scale)], -scale * k, -scale * e_mean)
        by_weight = _per_weight(norm.pixels * (of_d + r * second.s), weight)
        return by_maps, by_weight, _per_weight(norm.pixels * d_mean, weight), by_v, None, None, None


def _halved(maps: Tensor) -> Tensor:
    """Means of 2x2 pixels: (N, H, W, C) -> (N, H/2, W/2, C)."""
    lines = maps[:, ::2] + maps[:, 1::2]
    return (lines[:, :, ::2] + lines[:, :, 1::2]).mul_(0.25)


def _spread(pooled: Tensor, shown: Tensor) -> Tensor:
    """The transpose of :func:`_halved`, 0 where ``shown`` is not positive: (N, H/2, W/2, C) -> (N, H, W, C)."""
    count, height, width, channels = pooled.shape
    squares = (count, height, 2, width, 2, channels)
    wide = (pooled * 0.25)[:, :, None, :, None].expand(squares)
    spread: Tensor = torch.ops.aten.threshold_backward(wide, shown.view(squares), 0)
    return spread.view(shown.shape)


def _let_through(maps: Tensor, shown: Tensor) -> Tensor:
    """``maps`` themselves, 0 where ``shown`` is not positive."""
    torch.ops.aten.threshold_backward.grad_input(maps, shown, 0, grad_input=maps)
    return maps


def _mean(maps: Tensor) -> Tensor:
    """Over pixels: (N, H, W, C) -> (N, 1, 1, C), in at least float32."""
    return _wide(maps.sum((1, 2), keepdim=True)) / (maps.shape[1] * maps.shape[2])


def _per_weight(values: Tensor, weight: Tensor) -> Tensor:
    """Sums over images: (N, 1, 1, C) -> (C,)."""
    return values.sum((0, 1, 2)).to(weight)


def _wide(values: Tensor) -> Tensor:
    return values.float() if values.dtype is torch.bfloat16 else values
