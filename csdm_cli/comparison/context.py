"""The context of a comparison: all that the tables of one long-tailed set share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from csdm_cli.artifacts.distilled import Distilled
from csdm_cli.comparison.entries import StudentProtocol, student_protocol_of
from csdm_cli.data.store import LongTail
from csdm_cli.evaluation.students import Evaluator
from csdm_cli.images.image_set import ImageSet
from csdm_cli.names import LEARNED, EvaluationSplit, LabelKind
from csdm_cli.networks.numerics import Numerics
from csdm_cli.runs.evaluating import Case, evaluate_case, evaluator_for, images_of
from csdm_cli.runs.labels import labeller_for
from csdm_cli.runs.measurement import Measurement
from csdm_cli.runs.optimise import Options
from csdm_cli.runs.runtime import Runtime
from csdm_cli.runs.student_protocol import learned_protocol
from csdm_cli.settings import sections


@dataclass(frozen=True)
class ComparisonContext:
    """All that the tables of one long-tailed set share; sent to another process, it is read there again.

    Attributes:
        settings: the comparison's own settings.
        params: all other settings.
        runtime: device, threads, tracking.
        options: how distillation runs, which changes no result.
        numerics: the students' precision, order of memory and compilation.
        teachers: folder of the pool; None takes it from the cache, or trains it.
        known: finished sets by run key.
        parent: the comparison's own tracked run, if any.
        longtail: the set that every row is made of.
        device: where networks compute, in whichever process.
    """

    settings: sections.Compare
    params: sections.Params
    runtime: Runtime
    options: Options
    numerics: Numerics
    teachers: Path | None
    known: dict[str, Path]
    parent: str | None
    longtail: LongTail
    device: torch.device

    @cached_property
    def test(self) -> ImageSet:
        """The images that students are tested on, on the processor.

        Raises:
            CsdmError: if there is no development set, or the images cannot be read.
        """
        return images_of(self.longtail, self.split)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "test"}

    @property
    def split(self) -> EvaluationSplit:
        """The origin of ``test``."""
        return split_of(self.settings, self.params)

    def student_protocols(self, own: StudentProtocol, distilled: Distilled) -> tuple[StudentProtocol, ...]:
        """The students of a set: ``own``, and at the step size that it was learned with if there is one to be shown."""
        if self.params.evaluate.lr != LEARNED or distilled.learned_rate is None:
            return (own,)
        return own, replace(own, learned_rate=True)

    def evaluator(self, student_protocol: StudentProtocol) -> Evaluator:
        """The evaluator of sets on ``student_protocol``."""
        return evaluator_for(
            self.test.to(self.device),
            student_protocol.spec,
            student_protocol.protocol,
            student_protocol.numerics,
            self.runtime,
        )

    def student_protocol_of(self, params: sections.Params) -> StudentProtocol:
        """The students that ``params`` ask for.

        Raises:
            CsdmError: if the teachers cannot be read.
        """
        return student_protocol_of(params, self.longtail, self.teachers, self.numerics)

    def measured(
        self, name: str, file: Path, distilled: Distilled, labels: LabelKind, student_protocol: StudentProtocol
    ) -> Measurement:
        """A set under the students of ``student_protocol``: trained and tested now, unless that was done before."""
        case = Case(file, distilled, self.longtail)
        named = (distilled, self.longtail, self.teachers, self.device, student_protocol.numerics)
        labeller = labeller_for(labels, *named, quiet=self.runtime.quiet)
        evaluator = self.evaluator(student_protocol)
        if student_protocol.learned_rate:
            evaluator = replace(evaluator, protocol=learned_protocol(evaluator.protocol, distilled))
        evaluation = evaluate_case(case, labels, evaluator, labeller)
        return Measurement.of_case(
            case,
            evaluation,
            subject=student_protocol.named(name),
            labels=labels,
            split=self.split,
            protocol=student_protocol.described(),
            labeller=labeller,
        )


def split_of(settings: sections.Compare, params: sections.Params) -> EvaluationSplit:
    """The images that students are tested on: the comparison's choice, else that of ``evaluate``."""
    return settings.split or params.evaluate.split
