"""Steps of views that come again, recorded as CUDA graphs: a GPU then gets all of a step's work in one call.

A step launches some 240 kernels, which takes the host longer than it takes the GPU to run them: on an H100 an iteration
(ConvNet-3 of width 128, IPC 10) waits 7 ms for the host, where the kernels take 5 ms, in bf16 compiled 2.5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from csdm_cli.display.console import note
from csdm_cli.distillation.bank import BankedRealSide
from csdm_cli.distillation.real_side import RealSide, Target
from csdm_cli.distillation.step import AUGMENTATIONS, Backward, Matching

Terms = dict[str, Tensor]


class Recorder(Protocol):
    """Makes of work on a device a call that does the same work on the same memory again."""

    def __call__(self, work: Callable[[], Terms]) -> tuple[Callable[[], None], Terms]:
        """The call, and where the work's results will be after it; the work need not have been done yet."""
        ...


class GraphRecorder:
    """Records CUDA graphs that run one at a time, and so share their memory."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream()

    def __call__(self, work: Callable[[], Terms]) -> tuple[Callable[[], None], Terms]:
        """Does the work once beside, as PyTorch asks, and then records it.

        Raises:
            RuntimeError: if something in it cannot be recorded, or memory does not suffice.
        """
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            work()
        torch.cuda.current_stream().wait_stream(self._stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            results = work()
        return graph.replay, results


@dataclass(frozen=True)
class _Recorded:
    """A step of a view.

    Attributes:
        again: fills ``gradient`` and ``terms``.
        weights: the networks' tensors, where it reads them.
        target: the rest of its inputs, kept for as long as it may be called.
    """

    again: Callable[[], None]
    gradient: Tensor
    terms: Terms
    weights: list[Tensor]
    target: Target


class Replay:
    """:meth:`Matching.backward` that records the step of a view when it comes the second time."""

    def __init__(self, matching: Matching, recorder: Recorder) -> None:
        self._matching, self._recorder = matching, recorder
        self._seen: set[int] = set()
        self._recorded: dict[int, _Recorded] = {}
        self._refused = False

    def backward(self, images: Tensor, target: Target, step: int) -> Terms:
        """As :meth:`Matching.backward`, of the same images at every call; their ``grad`` is None before."""
        index = target.view.index
        if index in self._seen and index not in self._recorded and not self._refused:
            self._record(images, target, step)
        found = self._recorded.get(index)
        # Networks take on weights in turn: asking for them also has them hold those of the step.
        if found is not None and _same(found.weights, self._weights(target)):
            found.again()
            images.grad = found.gradient
            return found.terms
        self._seen.add(index)
        return self._matching.backward(images, target, step)

    def _weights(self, target: Target) -> list[Tensor]:
        networks = self._matching.networks_of(target)
        return [weight for network in networks for weight in network.parameters()]

    def _record(self, images: Tensor, target: Target, step: int) -> None:
        def work() -> Terms:
            images.grad = None
            return self._matching.backward(images, target, step)

        try:
            again, terms = self._recorder(work)
        except RuntimeError as error:
            self._refused = True
            note(f"steps are not recorded as CUDA graphs, which would be faster: {str(error).splitlines()[0]}")
        else:
            assert images.grad is not None
            self._recorded[target.view.index] = _Recorded(again, images.grad, terms, self._weights(target), target)
        images.grad = None


def _same(these: list[Tensor], those: list[Tensor]) -> bool:
    return len(these) == len(those) and all(one is other for one, other in zip(these, those, strict=True))


def backward_of(matching: Matching, real: RealSide, device: torch.device) -> Backward:
    """:meth:`Matching.backward`; recorded on a GPU where views come again and nothing else changes from step to step.

    Not where equal bits are asked for: a resumed run records other steps than a whole one.
    """
    if device.type != "cuda" or torch.are_deterministic_algorithms_enabled():
        return matching.backward
    if not matching.method.replayable or matching.extra or not isinstance(real, BankedRealSide):
        return matching.backward
    chunks = -(-matching.formation.classes // matching.layout.classes)
    if real.views * chunks > AUGMENTATIONS:  # which then do not stay where they are
        return matching.backward
    return Replay(matching, GraphRecorder()).backward
