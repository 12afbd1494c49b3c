"""The arithmetic and the traffic of a network, counted operation by operation without computing anything.

A multiplication and an addition are two floating-point operations; those of convolutions and matrix products are
counted, by torch's own counter. The traffic is that of a plain execution: every operation reads its operands and
writes its results once. Execution that fuses operations, or keeps their operands in a cache, moves less through memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from csdm_cli.networks import NetworkSpec, build
from csdm_cli.networks.network import Network

aten = torch.ops.aten
RESERVING = frozenset({aten.empty, aten.empty_like, aten.new_empty, aten._unsafe_view, aten.detach})


@dataclass(frozen=True)
class Work:
    """The arithmetic and the traffic of a computation.

    Attributes:
        flops: floating-point operations of convolutions and matrix products.
        bytes: weights and activations, read and written.
    """

    flops: int
    bytes: int

    @property
    def intensity(self) -> float:
        """Floating-point operations per byte."""
        return self.flops / self.bytes


def matching_work(spec: NetworkSpec, images: int, at_once: int, dtype: torch.dtype) -> Work:
    """Features of ``images`` images and their gradient in the images, weights frozen, ``at_once`` images at a time."""

    def run(network: Network, piece: Tensor) -> None:
        network.requires_grad_(False).eval().features(piece.requires_grad_(True)).sum().backward()

    return _in_pieces(spec, images, at_once, dtype, run)


def training_work(spec: NetworkSpec, images: int, at_once: int, dtype: torch.dtype) -> Work:
    """The cross-entropy of ``images`` images and its gradient in the weights, ``at_once`` images at a time."""

    def run(network: Network, piece: Tensor) -> None:
        labels = torch.zeros(len(piece), dtype=torch.long, device=piece.device)
        cross_entropy(network(piece), labels).backward()

    return _in_pieces(spec, images, at_once, dtype, run)


def count_work(run: Callable[[], object]) -> Work:
    """The work of whatever ``run`` does with tensors, which may be on the meta device."""
    with FlopCounterMode(display=False) as operations, _Traffic() as traffic:
        run()
    return Work(operations.get_total_flops(), traffic.bytes)


def _in_pieces(
    spec: NetworkSpec, images: int, at_once: int, dtype: torch.dtype, run: Callable[[Network, Tensor], None]
) -> Work:
    """The sum over pieces of ``at_once`` images and what is left, each counted once."""
    whole, left = divmod(images, at_once)
    total = Work(0, 0)
    for times, size in ((whole, at_once), (1, left)):
        if times and size:
            network = build(spec, seed=0).to(device="meta", dtype=dtype)
            piece = torch.empty(size, spec.channels, spec.size, spec.size, device="meta", dtype=dtype)
            one = count_work(lambda network=network, piece=piece: run(network, piece))  # type: ignore[misc]
            total = Work(total.flops + times * one.flops, total.bytes + times * one.bytes)
    return total


class _Traffic(TorchDispatchMode):
    """The bytes that every operation below autograd reads and writes, which no library counts without running it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if _moves_data(func):
            operands = {id(tensor): tensor for tensor in _tensors((_read(func, args), kwargs))}
            self.bytes += sum(tensor.nbytes for tensor in (*operands.values(), *_tensors(result)))
        return result


def _moves_data(func: Any) -> bool:
    """Not so a view, which gives an operand's own memory another shape, nor memory that is only reserved."""
    viewed = any(value.alias_info is not None and not value.alias_info.is_write for value in func._schema.returns)
    return not viewed and func._overloadpacket not in RESERVING


def _read(func: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments without those that only lend their shape."""
    if func._overloadpacket is aten.convolution_backward:
        gradient, images, weight, *_, wanted = args
        return (gradient, images if wanted[1] else None, weight if wanted[0] else None)
    if func._overloadpacket in (aten.avg_pool2d_backward, aten._adaptive_avg_pool2d_backward):
        return args[:1]
    return args


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(tuple(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)
