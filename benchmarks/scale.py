"""The cost of ImageNet-1K on paper: `python benchmarks/scale.py` prints the table of docs/scale-out.md.

Operations are counted by PyTorch, bytes follow from shapes, and the sustained rate of a device is a parameter: times
are inversely proportional to it, and to the number of ranks.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import torch

from csdm_cli.display.markdown import markdown_table
from csdm_cli.distillation.layout import activation_bytes
from csdm_cli.networks import build
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.profiling.work import matching_work, training_work

FLOAT = 4  # bytes
GIGA, TERA = 1e9, 1e12
HOUR = 3600.0


@dataclass(frozen=True)
class Case:
    """A dataset, teachers, a bank, and a distilled set."""

    classes: int = 1000
    per_class: int = 1300
    size: int = 224
    teachers: int = 5
    epochs: int = 30
    draws: int = 8
    frequencies: int = 4096
    ipc: int = 10
    factor: int = 2
    iterations: int = 1000
    students: int = 5
    student_steps: int = 16_000
    student_batch: int = 128

    @property
    def images(self) -> int:
        """Real images."""
        return self.classes * self.per_class

    @property
    def views(self) -> int:
        """Entries of the bank: teachers x draws."""
        return self.teachers * self.draws

    @property
    def decoded(self) -> int:
        """Images that one step sees."""
        return self.classes * self.ipc * self.factor**2

    @property
    def pixels(self) -> int:
        """Numbers in one image."""
        return 3 * self.size**2


@dataclass(frozen=True)
class Price:
    """Operations of one image (a multiplication and an addition are two), and what its graph holds.

    Attributes:
        forward: features alone.
        matching: features and the gradient in the pixels, weights frozen.
        training: logits and the gradient in the weights.
        activations: bytes that autograd keeps, float32.
        features: D.
    """

    forward: int
    matching: int
    training: int
    activations: int
    features: int


def price(network: str, size: int, depth: int | None, classes: int) -> Price:
    """Counted on the meta device, but for the activations, for which one small forward pass is made."""
    spec = NetworkSpec(network, 128, depth, "instance", "avg", 3, size, classes)
    own = build(spec, seed=0).requires_grad_(False).eval()
    shape = (3, size, size)
    matching = matching_work(spec, 1, 1, torch.float32).flops
    return Price(
        forward=matching // 2,
        matching=matching,
        training=training_work(spec, 1, 1, torch.float32).flops,
        activations=activation_bytes(own, shape, torch.device("cpu"), torch.float32),
        features=own.feature_dim,
    )


def rows(case: Case, own: Price, rate: float, ranks: int) -> list[tuple[str, str, str]]:
    """(what, formula, value) of every cost; ``rate`` in operations per second, of one rank."""
    stored = case.classes * case.ipc * case.pixels * FLOAT
    spectral = 4 * case.decoded * case.frequencies * own.features
    step = case.decoded * own.matching
    seconds = {
        "teachers": case.teachers * case.epochs * case.images * own.training / rate / min(ranks, case.teachers),
        "bank": case.views * case.images * own.forward / rate / ranks,
        "step": step / rate / ranks,
        "row": case.students
        * case.student_steps
        * case.student_batch
        * own.training
        / rate
        / min(ranks, case.students),
    }
    return [
        ("real set, uint8", "n·3·s²", _bytes(case.images * case.pixels)),
        ("features of one image", "D", f"{own.features:,}"),
        ("frequencies of one view", "K·D·4", _bytes(case.frequencies * own.features * FLOAT)),
        ("bank, on disk", "M·A·C·K·8", _bytes(case.views * case.classes * case.frequencies * 2 * FLOAT)),
        ("of it in use by a step", "C·K·8", _bytes(case.classes * case.frequencies * 2 * FLOAT)),
        ("reading the real set, M·A times", "M·A·n·3·s²", _bytes(case.views * case.images * case.pixels)),
        ("operations of one image, forward", "F", _flops(own.forward)),
        ("activations of one decoded image", "a", _bytes(own.activations)),
        ("decoded images per 8 GiB chunk", "8 GiB / a", f"{8 * 2**30 // own.activations:,}"),
        ("pixels, gradient and Adam's moments", "4·C·I·3·s²·4 / W", _bytes(4 * stored / ranks)),
        ("one checkpoint of a rank", "3·C·I·3·s²·4 / W", _bytes(3 * stored / ranks)),
        ("teachers, once", "M·E·n·T / (P·min(W, M))", _time(seconds["teachers"])),
        ("bank, once", "M·A·n·F / (P·W)", _time(seconds["bank"])),
        ("one step", "C·I·f²·G / (P·W)", _time(seconds["step"])),
        ("its spectral part, of the operations", "4·C·I·f²·K·D", f"{spectral / step:.2%}"),
        (f"{case.iterations:,} steps", "", _time(case.iterations * seconds["step"])),
        ("one evaluated row", "R·S·b·T / (P·min(W, R))", _time(seconds["row"])),
    ]


def table(case: Case, rate: float, ranks: int) -> list[str]:
    """The rows of both networks as Markdown."""
    networks = {"ConvNet-6, width 128": ("convnet", 6), "ResNet-18": ("resnet18", None)}
    found = [rows(case, price(name, case.size, depth, case.classes), rate, ranks) for name, depth in networks.values()]
    cells = [(*same[0][:2], *(value for _, _, value in same)) for same in zip(*found, strict=True)]
    texts = ("what", "formula")
    return markdown_table((*texts, *networks), cells, texts).splitlines()


def _bytes(value: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:,.0f} B"


def _flops(value: float) -> str:
    return f"{value / GIGA:.3g} GFLOP"


def _time(seconds: float) -> str:
    return (
        f"{seconds / HOUR:.3g} h"
        if seconds >= HOUR
        else f"{seconds / 60:.3g} min"
        if seconds >= 120
        else f"{seconds:.3g} s"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=100.0, help="sustained rate of one device, TFLOP/s")
    parser.add_argument("--ranks", type=int, default=8, help="devices")
    parser.add_argument("--ipc", type=int, default=Case.ipc)
    chosen = parser.parse_args()
    print("\n".join(table(Case(ipc=chosen.ipc), chosen.rate * TERA, chosen.ranks)))


if __name__ == "__main__":
    main()
