"""The pairing of papers' values with our rows, and whether both were measured under the same settings.

"The same" reaches only as far as a paper prints its settings. For the CSDM paper these are the network, 10,000
iterations and the class sizes; its kernel scale, α schedule, frequencies, teachers, label type and whether the best or
the last step counts are not printed. Students of full scale have 16,000 steps, which is this project's own estimate.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from csdm_cli.ledger.departures import is_optimised, method_departures
from csdm_cli.ledger.papers import PaperValue, paper_values
from csdm_cli.ledger.probe_rows import probe_differences
from csdm_cli.ledger.row import Row
from csdm_cli.names import Precision

WIDTH, ITERATIONS, STUDENT_STEPS = 128, 10_000, 16_000
LARGEST_CLASS = {"cifar10": 5000, "cifar100": 500}
SIZE, SIZE_OF_SUBSETS = {"cifar10": 32, "cifar100": 32}, 128  # the others are subsets of ImageNet
LOSSLESS = ("cifar10", "cifar100", "svhn", "fashion-mnist", "digits")  # as they were published; ImageNet is JPEG-coded
ARCHITECTURES = {"alexnet": "AlexNet", "vgg11": "VGG-11", "resnet18": "ResNet-18"}


class MatchStatus(StrEnum):
    """The fate of a paper's value here."""

    measured = "measured"
    not_run = "not run yet"
    no_data = "not run: code ready, no data here"
    no_method = "no such method here"
    unstated = "not comparable: no imbalance is printed"


@dataclass(frozen=True)
class Comparison:
    """A paper's value and one row of ours for it, if there is one."""

    paper: PaperValue
    row: Row | None
    status: MatchStatus

    @property
    def difference(self) -> float | None:
        """Ours less the paper's, in points."""
        return None if self.row is None else 100 * self.row.spread.mean - self.paper.value

    @property
    def settings(self) -> str:
        """Whether the settings match, or why there is nothing to compare."""
        if self.row is None:
            return str(self.status)
        found = differences(self.row)
        return "; ".join(found) if found else "match, as far as they are printed"


def architecture(row: Row) -> str:
    """The network's name in papers."""
    name = str(row.network["name"])
    return f"ConvNet-D{row.network['depth']}" if name == "convnet" else ARCHITECTURES.get(name, name)


def matches(paper: PaperValue, row: Row) -> bool:
    """Whether ``row`` measures what ``paper`` claims, settings aside."""
    if row.probe is not None:  # the papers' values are of students
        return False
    same_data = (paper.our_dataset, paper.imbalance) == (row.data.dataset, row.data.imbalance)
    same_set = (paper.our_method, paper.ipc) == (row.method, row.ipc)
    return same_data and same_set and row.data.tested_on == "test" and paper.arch in ("", architecture(row))


def scale_differences(row: Row) -> list[str]:
    """The settings that make a row less than full scale."""
    if row.probe is not None:
        return probe_differences(row)
    found = []
    if row.network["name"] == "convnet" and row.network["width"] < WIDTH:
        found.append(f"width {row.network['width']}, not {WIDTH}")
    iterations = row.config["distill"].get("iterations")
    if row.sets[0].run is not None and iterations is not None and iterations < ITERATIONS and is_optimised(row):
        found.append(f"{iterations:,} iterations, not {ITERATIONS:,}")
    if (steps := row.student_steps) < STUDENT_STEPS:
        found.append(f"students of {steps:,} steps, not {STUDENT_STEPS:,} (this project's estimate)")
    return found


def differences(row: Row) -> list[str]:
    """Everything known in which the row departs from the CSDM paper, and then from its method's own."""
    found = scale_differences(row)
    largest = LARGEST_CLASS.get(row.data.dataset)
    if largest is None:
        found.append(f"{max(row.data.counts):,} images in the largest class, where the paper's is not known")
    elif max(row.data.counts) != largest:
        found.append(f"{max(row.data.counts):,} images in the largest class, not {largest:,}")
    size = SIZE.get(row.data.dataset, SIZE_OF_SUBSETS)
    if row.network["size"] != size:
        found.append(f"images of {row.network['size']}×{row.network['size']}, not {size}×{size}")
    if row.coded_as:
        found.append(f"stored as {row.coded_as}, not as images")
    if row.data.jpeg and row.data.dataset in LOSSLESS:
        found.append("JPEG-coded images")
    half = [part for part, own in row.numerics.items() if own.precision is Precision.bf16]
    return [*found, *(f"{part} in bf16" for part in half), *method_departures(row, {"iterations": ITERATIONS})]


def compare(rows: Sequence[Row], data_here: Container[str]) -> list[Comparison]:
    """Every printed accuracy, once for each row of ours that measures it, else once with the reason why there is none.

    Args:
        rows: ours.
        data_here: names of the datasets that can be read on this machine.
    """
    found = []
    for paper in paper_values():
        own = _distinct([row for row in rows if matches(paper, row)])
        found += [Comparison(paper, row, MatchStatus.measured) for row in own]
        if not own:
            found.append(Comparison(paper, None, _reason(paper, data_here)))
    return found


def _distinct(rows: Sequence[Row]) -> list[Row]:
    """``rows`` without controls on all real images that another table has already: the same students."""
    found: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        found.setdefault(row.sets if row.is_full_data else (row.name,), row)
    return list(found.values())


def _reason(paper: PaperValue, data_here: Container[str]) -> MatchStatus:
    if paper.our_method is None or paper.our_dataset is None:
        return MatchStatus.no_method
    if paper.imbalance is None:
        return MatchStatus.unstated
    return MatchStatus.not_run if paper.our_dataset in data_here else MatchStatus.no_data
