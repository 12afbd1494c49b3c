"""The roofline: how fast this device could do a given work, measured, and how much of that is reached.

The attainable rate of a work is the lesser of the device's peak and of its bandwidth times the work's intensity
(Williams, Waterman and Patterson 2009, "Roofline: an insightful visual performance model").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from csdm_cli.profiling.costs import NETWORK_PHASES, Clock
from csdm_cli.profiling.work import Work, count_work
from csdm_cli.seeds import generator

# Seconds for which each candidate for the fastest is repeated; and never fewer runs than this.
PATIENCE, RUNS = 0.3, 3
# Side of the square matrices, images of the convolution, bytes of the arrays: large enough to reach the peak.
SIDES = {"cpu": (1024, 2048), "cuda": (4096, 8192)}
IMAGES = {"cpu": 16, "cuda": 1024}
ARRAY_BYTES = {"cpu": 128 * 2**20, "cuda": 2**30}
CHANNELS, MAP_SIDE = 128, 32
AT_THE_ROOF, BELOW_THE_ROOF = "network at the attainable rate", "network, the rest"


@dataclass(frozen=True)
class Roof:
    """The measured limits of a device.

    Attributes:
        flops_per_second: rate of the fastest matrix product or convolution.
        bytes_per_second: rate of the fastest copy or triad of arrays larger than any cache.
    """

    flops_per_second: float
    bytes_per_second: float

    def attainable(self, work: Work) -> float:
        """Floating-point operations per second."""
        return min(self.flops_per_second, work.intensity * self.bytes_per_second)

    def seconds(self, work: Work) -> float:
        """The time of ``work`` at the attainable rate."""
        return work.flops / self.attainable(work)


@dataclass(frozen=True)
class RooflinePoint:
    """An iteration under the roof.

    Attributes:
        work: work of the bare network, which is all that an iteration would ideally take.
        attainable: floating-point operations per second that the device could do of such work.
        seconds: duration of the whole iteration, median.
        phases: median seconds of its phases, measured apart.
    """

    work: Work
    attainable: float
    seconds: float
    phases: dict[str, float]

    @property
    def share(self) -> float:
        """The iteration's share of the attainable rate; above 1 if the caches spare the memory much of the traffic."""
        return self.work.flops / self.seconds / self.attainable

    @property
    def network_share(self) -> float:
        """Share of the attainable rate, by the network's own phases."""
        own = sum(seconds for name, seconds in self.phases.items() if name in NETWORK_PHASES)
        return self.work.flops / own / self.attainable

    def parts(self) -> dict[str, float]:
        """The iteration's time by share: the network at the attainable rate, its rest, the phases."""
        whole = sum(self.phases.values())
        network = sum(self.phases[name] for name in NETWORK_PHASES) / whole
        ideal = min(self.share, network)
        others = {name: seconds / whole for name, seconds in self.phases.items() if name not in NETWORK_PHASES}
        return {AT_THE_ROOF: ideal, BELOW_THE_ROOF: network - ideal} | others

    def as_dict(self) -> dict[str, float]:
        """Figures for JSON."""
        return {
            "flops": float(self.work.flops),
            "bytes": float(self.work.bytes),
            "attainable_flops_per_second": self.attainable,
            "share": self.share,
            "network_share": self.network_share,
        }


def measure_roof(device: torch.device, dtype: torch.dtype) -> Roof:
    """The peaks of ``device``: products and convolutions in ``dtype``, and traffic to its memory."""
    products = [_product(side, device, dtype) for side in SIDES[device.type]]
    rates = [_best_rate(run, count_work(run).flops, device) for run in products]
    convolution = _convolution(device, dtype)
    rates.append(_best_rate(convolution, count_work(convolution).flops, device))
    return Roof(max(rates), _bandwidth(device))


def _product(side: int, device: torch.device, dtype: torch.dtype) -> Callable[[], object]:
    left, right = (_noise((side, side), device, dtype) for _ in range(2))
    out = torch.empty_like(left)
    return lambda: torch.mm(left, right, out=out)


def _convolution(device: torch.device, dtype: torch.dtype) -> Callable[[], object]:
    layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
    shape = (IMAGES[device.type], CHANNELS, MAP_SIDE, MAP_SIDE)
    images = _noise(shape, device, dtype).to(memory_format=layout)
    weight = _noise((CHANNELS, CHANNELS, 3, 3), device, dtype).to(memory_format=layout)

    @torch.no_grad()
    def run() -> Tensor:
        return F.conv2d(images, weight, padding=1)

    return run


def _noise(shape: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Random numbers: constants would let some processors run faster than they do in earnest."""
    rng = generator(0, "roofline", device=device)
    return torch.randn(shape, generator=rng, device=device).to(dtype)


def _bandwidth(device: torch.device) -> float:
    """Bandwidth of a copy (two arrays) and a triad a = b + s·c (three), as STREAM has them: each array moved once."""
    size = ARRAY_BYTES[device.type]
    a, b, c = (torch.ones(size // 4, device=device) for _ in range(3))
    copy = _best_rate(lambda: a.copy_(b), 2 * size, device)
    triad = _best_rate(lambda: torch.add(b, c, alpha=3.0, out=a), 3 * size, device)
    return max(copy, triad)


def _best_rate(run: Callable[[], object], amount: int, device: torch.device) -> float:
    """``amount`` per second of the fastest run; the first one only warms up."""
    clock = Clock(device)
    run()
    fastest, spent, runs = float("inf"), 0.0, 0
    while spent < PATIENCE or runs < RUNS:
        start = clock.now()
        run()
        seconds = clock.now() - start
        fastest, spent, runs = min(fastest, seconds), spent + seconds, runs + 1
    return amount / fastest
