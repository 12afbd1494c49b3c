"""The tables of a comparison: rows of scores over sets and students, and how a terminal shows them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from rich.console import RenderableType

from csdm_cli.comparison.entries import StudentProtocol
from csdm_cli.data.store import LongTail
from csdm_cli.display.sizes import sized
from csdm_cli.display.tables import figures_table
from csdm_cli.evaluation.results import Evaluation
from csdm_cli.evaluation.scores import OverSets, summarise_sets
from csdm_cli.runs.evaluating import without_tests
from csdm_cli.runs.measurement import Measurement
from csdm_cli.safe_text import counted, markup

SCORES = ("accuracy", "head", "medium", "tail", "worst_class", "best_on_test")
SHOWN = ("head", "medium", "tail")


@dataclass(frozen=True)
class TableRow:
    """One line of a table.

    Attributes:
        name: name of the training sets, all made alike.
        control: whether it stands in every table.
        student_protocol: how students were taught.
        measured: the sets, or the one full set; they differ by their seeds alone.
        augment: the augmentation that the sets were distilled under, if any.
        beside: the set of unequal counts that this row is, or has as many images of each class as; None for all others.
        share: closed share of the gap between random images and the best full-data control of the same protocol.
    """

    name: str
    control: bool
    student_protocol: StudentProtocol
    measured: tuple[Measurement, ...]
    augment: str | None
    beside: str | None = None
    share: float | None = None

    @property
    def method(self) -> str | None:
        """The method's name; None for the full set."""
        return self.measured[0].method

    @property
    def labels(self) -> str:
        """The labels that students were trained on, hard or soft ones."""
        return self.measured[0].labels

    @property
    def factor(self) -> int:
        """Cells per side of a stored image."""
        return self.measured[0].factor

    @property
    def storage(self) -> int | None:
        """Bytes of a set's images and labels as stored."""
        return self.measured[0].storage_bytes

    @property
    def stored_numbers(self) -> int | None:
        """Stored numbers of a set, as the literature counts them."""
        return self.measured[0].stored_numbers

    @property
    def ipc_equivalent(self) -> float | None:
        """8-bit images per class of as many bytes."""
        return self.measured[0].ipc_equivalent

    @property
    def parameterization(self) -> str | None:
        """The name of what is stored; None for the full set."""
        return self.measured[0].parameterization

    @property
    def stored_as(self) -> str:
        """The kind of storage, in a word or two."""
        return f"factor {self.factor}" if self.factor > 1 else self.parameterization or "pixels"

    @property
    def sets(self) -> tuple[Measurement, ...]:
        """The sets, none of the full set."""
        return tuple(one for one in self.measured if one.seed is not None)

    @property
    def distinct(self) -> int | None:
        """Number of sets that differ; None for the full set."""
        return len(self.evaluations) if self.sets else None

    @property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """One per set that differs from the others."""
        return tuple({one.evaluation.key: one.evaluation for one in self.measured}.values())

    @property
    def scores(self) -> dict[str, OverSets]:
        """Scores over all students of all sets; a group of classes that is empty is left out."""
        found = {}
        for name in SCORES:
            values = [scores_of_students(evaluation, name) for evaluation in self.evaluations]
            known = [[value for value in part if value is not None] for part in values]
            if all(known):
                found[name] = summarise_sets(known)
        return found

    @property
    def accuracy(self) -> OverSets:
        """The headline: accuracy after the last step."""
        return self.scores["accuracy"]

    @property
    def seconds(self) -> float | None:
        """Mean time of distilling a set, where it is known."""
        known = [one.seconds for one in self.sets if one.seconds is not None]
        return statistics.fmean(known) if known else None

    @property
    def peak_memory(self) -> int | None:
        """Peak memory of distilling, in bytes: the highest of the sets."""
        return max((one.making.peak_memory_bytes for one in self.sets if one.making), default=None)


@dataclass(frozen=True)
class Table:
    """A table: one long-tailed set and one number of images per class.

    Attributes:
        failed: errors in words, by row name.
    """

    longtail: LongTail
    ipc: int
    split: str
    rows: tuple[TableRow, ...]
    failed: dict[str, str]

    @property
    def name(self) -> str:
        """As a key, e.g. ``cifar10-lt200-ipc10``."""
        return f"{self.longtail.folder.name}-ipc{self.ipc}"

    @property
    def title(self) -> str:
        """The table's title, in words."""
        return f"{self.longtail.manifest.title}, IPC {self.ipc}, students tested on the {self.split} set"


def table(item: Table) -> list[RenderableType]:
    """The rows' scores, and below them their costs."""
    scores = figures_table("trained on", ["accuracy", *SHOWN, "worst", "gap", "n"])
    costs = figures_table("trained on", ["time", "memory", "numbers", "bytes", "as IPC", "stored as"])
    for row in item.rows:
        found, style = row.scores, "dim" if row.control else None
        plain = [_percent(found[name].students.mean) if name in found else "–" for name in SHOWN]
        share = "–" if row.share is None else f"{row.share:.2f}"
        count = f"{row.distinct or '–'} × {len(row.evaluations[0].students)}"
        cells = [str(found["accuracy"].students), *plain, str(found["worst_class"].students), share, count]
        scores.add_row(row.name, *cells, style=style)
        sizes = [_size(row.stored_numbers, ""), _size(row.storage), _equivalent(row.ipc_equivalent)]
        cells = [_seconds(row.seconds), _size(row.peak_memory), *sizes, f"{row.stored_as}, {row.labels}"]
        costs.add_row(row.name, *cells, style=style)
    failed = [f"[red]{markup(name)}: {markup(text)}[/]" for name, text in item.failed.items()]
    return [f"[bold]{markup(item.title)}[/]", scores, "", costs, f"[dim]{_caption(item)}[/]", *failed]


def _caption(item: Table) -> str:
    lines = [
        "Accuracy in % after the last step: mean ± std over all students of all sets; worst: of the worst class.",
        "gap: share closed of the gap between random images and the best full-data row.",
        "n: sets × students of each; equal sets count once.",
        "time: of distilling one set, without its teachers; memory: of the process then.",
        "numbers, bytes: of images and labels as stored; as IPC: plain images per class of as many bytes.",
        "stored as: with a factor, so many² training images in each stored one; with hard or soft labels.",
    ]
    for number, student_protocol in enumerate(dict.fromkeys(row.student_protocol for row in item.rows), 1):
        owner = "Students" if number == 1 else "Others"
        protocol, spec = student_protocol.protocol, student_protocol.spec
        recipe, own = protocol.recipe, student_protocol.learned_rate
        rate = "SGD at each set's learned lr" if own else f"{recipe.optimizer}, lr {recipe.lr:g}"
        lines.append(
            f"{owner}: {spec.name} of width {spec.width}, {counted(protocol.steps, 'step')} of {rate},\n"
            f"  cutmix {recipe.cutmix:g}, augmentation {recipe.augment} ({recipe.augment_mode})."
        )
    augmentations = sorted({row.augment for row in item.rows if row.augment})
    if augmentations:
        lines.append(f"Distilled under: {'; '.join(augmentations)}.")
    if untested := without_tests(item.longtail.manifest.untested(item.split)):
        lines.append(markup(untested))
    return "\n".join(lines)


def scores_of_students(evaluation: Evaluation, name: str) -> list[float | None]:
    """The score called ``name`` of each student."""
    if name == "best_on_test":
        return [student.best_on_test for student in evaluation.students]
    return [getattr(score, name) for score in evaluation.scores]


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:,.{0 if value >= 10 else 1}f} s"


def _equivalent(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _size(value: int | None, unit: str = "B") -> str:
    return "–" if value is None else sized(value, unit)
