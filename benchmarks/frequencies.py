"""How well each frequency rule estimates the spectral distance, on real features: `python benchmarks/frequencies.py`.

Handwritten digits (they come with scikit-learn) through an untrained ConvNet. Within each class some images stand
for the synthetic ones and the others are the real class, as near the end of a distillation. With all frequencies
the distance is the kernel's MMD², which has a closed form: the mean squared error of the estimate around it is the
rule's variance, and that of its gradient in the synthetic features is what the optimiser sees. Both are printed
relative to Monte-Carlo frequencies of the same number.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import normalize

from csdm_cli.data.sources.digits import load
from csdm_cli.images.normalisation import normalise, statistics_of
from csdm_cli.names import FrequencyRule, KernelName
from csdm_cli.networks import build
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.seeds import generator
from csdm_cli.spectral.characteristic import ecf
from csdm_cli.spectral.distance import sdd
from csdm_cli.spectral.kernels import median_distance, sample_frequencies
from csdm_cli.spectral.mmd import biased_mmd2

SIZE, SYNTHETIC = 32, 40  # height and width; images per class that stand for the synthetic ones
RULES = {
    KernelName.rbf: tuple(FrequencyRule),
    KernelName.matern: tuple(FrequencyRule),
    KernelName.laplace: (FrequencyRule.monte_carlo, FrequencyRule.sobol),  # rotations change its measure
}
SHAPE = 1.5  # ν of matern


@dataclass(frozen=True)
class Side:
    """Normalised features, class after class: ``rows`` (N, D) of ``counts`` images."""

    rows: Tensor
    counts: tuple[int, ...]

    def parts(self) -> tuple[Tensor, ...]:
        """One (n, D) tensor per class."""
        return self.rows.split(list(self.counts))


@dataclass(frozen=True)
class Exact:
    """The distance of each class, (C,), and the gradient of their sum in the synthetic features, (N, D)."""

    distance: Tensor
    gradient: Tensor


@dataclass(frozen=True)
class Spread:
    """Mean squared errors of one rule.

    Attributes:
        distance: error of the classes' distances.
        gradient: the gradient's, as a share of its square; None where the measure has no second moment (laplace),
            and the gradient's error therefore none either.
    """

    kernel: str
    rule: str
    count: int
    distance: float
    gradient: float | None


def digit_features(width: int, device: torch.device) -> tuple[Side, Side]:
    """The real and the synthetic side, in float64."""
    digits = load(SIZE).train
    images = [digits.read(digits.positions(label).tolist()) for label in range(10)]
    statistics = statistics_of(torch.cat(images))
    network = build(NetworkSpec("convnet", width, channels=1, size=SIZE), 0).to(device)

    @torch.no_grad()
    def through(each: list[Tensor]) -> Side:
        seen = [
            network.features(normalise(piece.to(device), statistics.mean, statistics.std))
            for part in each
            for piece in part.split(64)
        ]
        return Side(normalize(torch.cat(seen)).double(), tuple(len(part) for part in each))

    return through([part[SYNTHETIC:] for part in images]), through([part[:SYNTHETIC] for part in images])


def exact(kernel: KernelName, real: Side, synthetic: Side, length: float) -> Exact:
    """By the kernel's matrices."""
    rows = synthetic.rows.clone().requires_grad_(True)
    pairs = zip(real.parts(), rows.split(list(synthetic.counts)), strict=True)
    distance = torch.stack([biased_mmd2(own, other, kernel, length, SHAPE) for own, other in pairs])
    (gradient,) = torch.autograd.grad(distance.sum(), rows)
    return Exact(distance.detach(), gradient)


def spread(
    kernel: KernelName,
    rule: FrequencyRule,
    count: int,
    sides: tuple[Side, Side],
    length: float,
    truth: Exact,
    runs: int,
) -> Spread:
    """Over ``runs`` independent sets of ``count`` frequencies."""
    real, synthetic = sides
    distances, gradients = [], []
    for run in range(runs):
        rng = generator(0, "frequencies", kernel, rule, count, run, device=real.rows.device)
        omega = sample_frequencies(kernel, count, real.rows.shape[1], length, SHAPE, rng, torch.float64, rule)
        rows = synthetic.rows.clone().requires_grad_(True)
        estimate = sdd(ecf(real.rows, omega, real.counts), ecf(rows, omega, synthetic.counts))
        (gradient,) = torch.autograd.grad(estimate.sum(), rows)
        distances.append((estimate.detach() - truth.distance).square().mean())
        gradients.append((gradient - truth.gradient).square().sum() / truth.gradient.square().sum())
    error = None if kernel is KernelName.laplace else float(torch.stack(gradients).mean())
    return Spread(kernel, rule, count, float(torch.stack(distances).mean()), error)


def frequency_rows(width: int, counts: tuple[int, ...], runs: int, device: torch.device) -> list[Spread]:
    """Every rule of every kernel at every number of frequencies."""
    sides = digit_features(width, device)
    rows = []
    for kernel, rules in RULES.items():
        length = median_distance(torch.cat([side.rows for side in sides]), kernel)
        truth = exact(kernel, *sides, length)
        for count in counts:
            rows += [spread(kernel, rule, count, sides, length, truth, runs) for rule in rules]
    return rows


def frequency_table(rows: list[Spread]) -> Table:
    """Every row relative to Monte-Carlo frequencies of the same number."""
    table = Table(title="variance of each frequency rule / Monte-Carlo")
    for name in ("kernel", "K", "rule", "distance", "gradient"):
        table.add_column(name, justify="left" if name in ("kernel", "rule") else "right")
    base = {(row.kernel, row.count): row for row in rows if row.rule == FrequencyRule.monte_carlo}
    for row in rows:
        own = base[row.kernel, row.count]
        gradient = f"{row.gradient / own.gradient:.2f}" if row.gradient and own.gradient else "–"
        table.add_row(row.kernel, f"{row.count:,}", row.rule, f"{row.distance / own.distance:.2f}", gradient)
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--frequencies", type=int, nargs="+", default=[1024, 2048, 4096])
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    rows = frequency_rows(options.width, tuple(options.frequencies), options.runs, torch.device(options.device))
    Console(width=110).print(frequency_table(rows))
    if options.out:
        settings = {"width": options.width, "runs": options.runs, "images": "digits", "synthetic": SYNTHETIC}
        found = {"settings": settings, "rows": [asdict(row) for row in rows]}
        options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
