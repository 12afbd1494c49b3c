"""Free-support barycentres of csdm beside POT's, which needs `pip install pot`: `python benchmarks/barycentres.py`.

Both start at the same support; W₂² is that of POT's exact plan to each result.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import ot
import torch
from torch import Tensor
from torch.nn.functional import normalize

from csdm_cli.display.markdown import markdown_table
from csdm_cli.methods.matching.transport.barycentre import barycentre, first_support
from csdm_cli.seeds import generator

CASES = (  # points, support, size
    (25, 10, 2048),
    (100, 10, 512),
    (500, 10, 512),
    (500, 50, 512),
    (1000, 50, 128),
    (5000, 10, 512),
    (5000, 50, 512),
)
CLOUDS, SPREAD = 5, 0.7


def clouds(count: int, size: int) -> Tensor:
    """Unit vectors (count, size) around ``CLOUDS`` centres."""
    rng = generator(0, "clouds", count, size)
    centres = torch.randn(CLOUDS, size, generator=rng)
    drawn = torch.randint(CLOUDS, (count,), generator=rng)
    return normalize(centres[drawn] + SPREAD * torch.randn(count, size, generator=rng), dim=1)


def by_pot(points: Tensor, count: int) -> Tensor:
    """POT's barycentre, from the support that csdm's starts at."""
    start = first_support(points, count, 0).double().numpy()
    weights = [np.full(len(points), 1 / len(points))]
    found = ot.lp.free_support_barycenter([points.double().numpy()], weights, start, np.full(count, 1 / count))
    return torch.from_numpy(found)


def squared_distance(points: Tensor, support: Tensor) -> float:
    """W₂² between two point sets of equal weights, by the exact plan."""
    cost = torch.cdist(points.double(), support.double()).square().numpy()
    sides = (np.full(size, 1 / size) for size in cost.shape)
    return float(ot.emd2(*sides, cost, numItermax=10**7))


def measured(make: Callable[[Tensor, int], Tensor], points: Tensor, count: int) -> tuple[str, str]:
    """W₂² and seconds."""
    start = time.perf_counter()
    support = make(points, count)
    seconds = time.perf_counter() - start
    return f"{squared_distance(points, support):.6f}", f"{seconds:.3f}"


def main() -> None:
    """Print a row for every case."""
    torch.set_num_threads(1)
    rows = []
    for count, kept, size in CASES:
        points = clouds(count, size)
        ours = measured(lambda points, kept: barycentre(points, kept, 0), points, kept)
        rows.append([f"{count:,}", str(kept), f"{size:,}", *ours, *measured(by_pot, points, kept)])
    print(markdown_table(("n", "k", "D", "csdm: W₂²", "csdm: s", "POT: W₂²", "POT: s"), rows, ()))


if __name__ == "__main__":
    main()
