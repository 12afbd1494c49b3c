"""Finished distilled sets as rows of a comparison, whoever made them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from csdm_cli.artifacts.distilled import Distilled, stored_bytes
from csdm_cli.artifacts.file import find_artifact, load_distilled
from csdm_cli.artifacts.run_record import read_sidecar
from csdm_cli.comparison.entries import StudentProtocol
from csdm_cli.comparison.tables import TableRow
from csdm_cli.comparison.trials import Trial, TrialContext
from csdm_cli.errors import UsageError
from csdm_cli.runs.judge import judge, open_case
from csdm_cli.storage.tensorfile import tensor_sha256


@dataclass(frozen=True)
class Finished:
    """A distilled set in its file."""

    file: Path
    distilled: Distilled

    @property
    def name(self) -> str:
        """Of its row: the method, and the folder it lies in."""
        return f"{self.distilled.provenance.method}, {self.file.parent.name or self.file.stem}"


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
                f"--with {one.file}: it stores {one.distilled.ipc_text} images per class: add {most} to --ipc, so that"
                " it stands beside sets of its size"
            )
    return found


def finished_row(one: Finished, arena: TrialContext, student_protocol: StudentProtocol) -> TableRow:
    """Judge a set by the students of ``student_protocol``.

    Raises:
        CsdmError: if it was distilled from other data than the comparison's.
    """
    case = open_case(one.file, arena.longtail.folder)
    origin, labels = one.distilled.provenance, one.distilled.default_labels
    evaluation = judge(case, labels, arena.examiner(student_protocol))
    trial = Trial(
        seed=origin.seed,
        file=one.file,
        run=str(origin.config.get("run", "")),
        labels=labels,
        factor=one.distilled.decoding.factor,
        storage=stored_bytes(one.distilled),
        images=tensor_sha256(one.distilled.images),
        config=origin.config,
        source=origin.source,
        record=read_sidecar(one.file),
        evaluation=evaluation,
    )
    return TableRow(
        name=one.name,
        method=origin.method,
        control=False,
        student_protocol=student_protocol,
        evaluations=(evaluation,),
        trials=(trial,),
        labels=str(labels),
        factor=trial.factor,
        storage=trial.storage,
        augment=(origin.config.get("distill") or {}).get("augment"),
    )
