"""The papers' values: the packaged table of claims, in csdm's own names where there are any."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from csdm_cli.methods import method_names
from csdm_cli.names import Source

FULL_DATASET = "Full Dataset"
FULL_CROSS_ENTROPY = "full, cross-entropy"


@dataclass(frozen=True)
class PaperValue:
    """One printed value; it is never ours, whatever its method.

    Attributes:
        source: arXiv number of the paper that prints it.
        table: where in that paper.
        dataset: as printed, e.g. ``CIFAR-10-LT``.
        imbalance: β; 1 for balanced data, None where it is not printed.
        ipc: images per class; None for all real images.
        arch: network, e.g. ``ConvNet-D3``; empty where it is not printed.
        method: as printed.
        value, std: in percent; std None where none is printed.
    """

    source: str
    table: str
    dataset: str
    imbalance: float | None
    ipc: int | None
    arch: str
    method: str
    value: float
    std: float | None

    @property
    def our_dataset(self) -> str | None:
        """The same dataset's name in ``csdm make-lt``; None if it has none."""
        name = self.dataset.lower().removesuffix("-lt").replace("-", "")
        return name if name in list(Source) else None

    @property
    def our_method(self) -> str | None:
        """The same method's name here; None if csdm has no such method."""
        if self.method == FULL_DATASET:
            return FULL_CROSS_ENTROPY
        name = self.method.lower()
        return name if name in method_names() else None

    def __str__(self) -> str:
        """As tables print it."""
        return f"{self.value:.1f}" + ("" if self.std is None else f" ± {self.std:.1f}")


@cache
def paper_values() -> tuple[PaperValue, ...]:
    """All printed test accuracies, in the order of the file."""
    text = (files("csdm_cli.ledger") / "paper_results.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple(_value(row) for row in rows if row["metric"] == "test_accuracy")


def _value(row: dict[str, str]) -> PaperValue:
    return PaperValue(
        source=row["source"],
        table=row["table"],
        dataset=row["dataset"],
        imbalance=float(row["imbalance"]) if row["imbalance"] else None,
        ipc=None if row["ipc"] == "full" else int(row["ipc"]),
        arch=row["arch"],
        method=row["method"],
        value=float(row["value"]),
        std=float(row["std"]) if row["std"] else None,
    )
