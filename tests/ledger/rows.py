"""Rows made up for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from csdm_cli.ledger.protocol import TODAY
from csdm_cli.ledger.row import Code, Data, Machine, Measured, Row, RunCost, Student
from csdm_cli.names import LabelKind
from csdm_cli.settings import sections

COUNTS = (50, 20, 10, 5)


def student(accuracy: float, per_class: Sequence[float] | None = None) -> Student:
    return Student(accuracy, min(1.0, accuracy + 0.01), tuple(per_class or [accuracy] * len(COUNTS)))


def row(sets: Sequence[Sequence[float]] = ((0.5, 0.6), (0.4, 0.5)), **changes: object) -> Row:
    """csdm on CIFAR-10 at β 200, IPC 10; one list of students' accuracies per set."""
    settings = sections.Distill(labels=LabelKind.hard, teacher_schedule="final")
    made = Row(
        table="some-table",
        subject="csdm (hard labels)",
        method="csdm",
        labels=LabelKind.hard,
        ipc=10,
        factor=2,
        scale="reduced",
        scale_text="small",
        commands=("csdm distill",),
        config={
            "make_lt": sections.MakeLt(imbalance=200, n_max=5000).model_dump(mode="json"),
            "pretrain": sections.Pretrain().model_dump(mode="json"),
            "distill": settings.model_dump(mode="json"),
            "evaluate": sections.Evaluate().model_dump(mode="json"),
        },
        network={"name": "convnet", "width": 128, "depth": 3, "channels": 3, "size": 32},
        data=Data("cifar10", 200.0, COUNTS, "random", False, "torchvision", {"train": "a", "test": "b"}),
        code=Code("c0ffee", False, "feed", {"csdm": "0", "torch": "2"}),
        machine=Machine("some", 1, None, "Linux", "3.11"),
        sets=tuple(
            Measured(seed, tuple(student(value) for value in values), run="key", making=RunCost(1.0, 2))
            for seed, values in enumerate(sets)
        ),
        protocol=TODAY,
    )
    return replace(made, **changes)


def full_row(accuracy: float = 0.7, **changes: object) -> Row:
    """A control on all real images."""
    only = Measured(None, (student(accuracy), student(accuracy + 0.02)))
    changes = {"subject": "full, cross-entropy", "method": "full, cross-entropy", "ipc": None, "factor": 1} | changes
    return replace(row(), **(changes | {"sets": (only,)}))


def learned_row(method: str = "mtt", sets: Sequence[Sequence[float]] = ((0.5,), (0.4,))) -> Row:
    """Students of ``method`` at the step size that each set was learned with."""
    config = row().config
    own = config | {"evaluate": config["evaluate"] | {"lr": "learned"}}
    return row(sets, subject=f"{method}, SGD at learned lr (hard labels)", method=method, config=own)


def random_row(sets: Sequence[Sequence[float]]) -> Row:
    """The control of random images."""
    return row(sets, subject="random", method="random", factor=1)
