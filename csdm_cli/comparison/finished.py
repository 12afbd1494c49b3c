"""Finished distilled sets as rows of a comparison, whoever made them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from csdm_cli.artifacts.distilled import Distilled
from csdm_cli.artifacts.file import find_artifact, load_distilled
from csdm_cli.comparison.context import ComparisonContext
from csdm_cli.comparison.entries import StudentProtocol
from csdm_cli.errors import UsageError
from csdm_cli.evaluation.controls import ControlName, evaluate_selections
from csdm_cli.runs.evaluating import open_case
from csdm_cli.runs.labels import measured_on, refuse_images_of_choice
from csdm_cli.runs.measurement import Measurement


@dataclass(frozen=True)
class Finished:
    """A distilled set in its file."""

    file: Path
    distilled: Distilled

    @property
    def name(self) -> str:
        """The name of its row: the method, and the folder it lies in."""
        return f"{self.distilled.provenance.method}, {self.file.parent.name or self.file.stem}"

    @property
    def unequal(self) -> bool:
        """Whether classes differ in their numbers of images, so that the table's controls have other numbers."""
        return len(set(self.distilled.ipc)) > 1


def read_finished(files: Sequence[Path], ipc: Sequence[int]) -> list[Finished]:
    """Read sets, each of which must fit one of the tables.

    Raises:
        UsageError: if no table has as many images per class as one of them.
        CsdmError: if one cannot be read.
    """
    found = [Finished(file, load_distilled(file)) for file in map(find_artifact, files)]
    for one in found:
        if (most := max(one.distilled.ipc)) not in ipc:
            raise UsageError(
                f"--with {one.file}: it stores {one.distilled.per_class_text}: add {most} to --ipc, so that"
                " it stands beside sets of its size"
            )
    return found


def evaluate_finished(
    one: Finished, context: ComparisonContext, student_protocol: StudentProtocol
) -> list[Measurement]:
    """Evaluate a set by the students of ``student_protocol``, and by those at its own step size as in other rows.

    Raises:
        CsdmError: if it was distilled from other data than the comparison's, or its soft labels were chosen on the
            images that students are tested on.
    """
    case = open_case(one.file, context.longtail.folder)
    named, labels = (one.name, one.file, case.distilled), one.distilled.default_labels
    refuse_images_of_choice(labels, measured_on(case.distilled), context.split)
    protocols = context.student_protocols(student_protocol, case.distilled)
    return [context.measured(*named, labels, own) for own in protocols]


def evaluate_controls(
    one: Finished, context: ComparisonContext, student_protocol: StudentProtocol
) -> list[Measurement]:
    """The controls of as many images of each class as the set has, as ``csdm evaluate`` has them.

    Raises:
        CsdmError: as :func:`evaluate_finished`.
    """
    case = open_case(one.file, context.longtail.folder)
    train = context.longtail.train().to(context.device)
    found = evaluate_selections(train, case.selection, context.evaluator(student_protocol))
    tiled = [ControlName.tiled_random] if case.selection.factor > 1 else []
    return [
        Measurement.of_control(
            case,
            found[control],
            subject=f"{control}, as {one.name}",
            control=control,
            split=context.split,
            protocol=student_protocol.described(),
        )
        for control in (ControlName.random, *tiled)
    ]
