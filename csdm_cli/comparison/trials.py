"""The trials of a comparison: one set distilled, unless it is there, and judged, unless that was done."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from csdm_cli.artifacts.distilled import Distilled, stored_bytes
from csdm_cli.artifacts.file import FILE_NAME, load_distilled
from csdm_cli.artifacts.run_record import RunRecord, read_sidecar
from csdm_cli.comparison.entries import Entry, StudentProtocol
from csdm_cli.data.holdout import sealed
from csdm_cli.data.store import LongTail
from csdm_cli.display.console import note
from csdm_cli.errors import CsdmError
from csdm_cli.evaluation.results import Evaluation
from csdm_cli.evaluation.students import Examiner
from csdm_cli.images.image_set import ImageSet
from csdm_cli.names import EvaluationSplit, LabelKind
from csdm_cli.runs.distill import ARTIFACTS, Options, carry_out, default_folder
from csdm_cli.runs.judge import Case, examiner_for, judge
from csdm_cli.runs.runtime import Runtime
from csdm_cli.runs.task import Task, is_done, prepare
from csdm_cli.runs.tracked import run_name, tell_of_scores, tell_of_set
from csdm_cli.runs.turns import turn
from csdm_cli.storage import tensorfile
from csdm_cli.storage.tensorfile import tensor_sha256
from csdm_cli.tracking.tracker import Tracker, open_tracker

SETS = ARTIFACTS / "compare"


@dataclass(frozen=True)
class TrialContext:
    """Where trials take place.

    Attributes:
        test: what students are tested on, on the device.
        known: finished sets by run key.
        parent: the comparison's own tracked run, if any.
        split: where ``test`` comes from.
    """

    longtail: LongTail
    test: ImageSet
    teachers: Path | None
    runtime: Runtime
    options: Options
    known: dict[str, Path]
    parent: str | None
    split: EvaluationSplit = EvaluationSplit.test

    def examiner(self, student_protocol: StudentProtocol) -> Examiner:
        """Who judges by ``student_protocol``."""
        return examiner_for(
            self.test, student_protocol.spec, student_protocol.protocol, student_protocol.numerics, self.runtime
        )


@dataclass(frozen=True)
class Trial:
    """A set and what its students scored.

    Attributes:
        seed: of the set.
        file: the artifact.
        run: key of the distillation run.
        labels: what the students learnt from.
        factor: of its multi-formation.
        storage: bytes of its images and labels, soft ones included, as they are stored.
        images: hash of the stored images.
        config: the settings it was made with.
        source: hash of the code that made it.
        record: time, memory, machine and commit of its making; None if the record is lost.
        evaluation: the students' results.
    """

    seed: int
    file: Path
    run: str
    labels: LabelKind
    factor: int
    storage: int
    images: str
    config: dict[str, Any]
    source: str
    record: RunRecord | None
    evaluation: Evaluation

    @property
    def seconds(self) -> float | None:
        """Of the whole distillation; None if the record tells of a part only."""
        if self.record is None:
            return None
        done, settings = self.record.iterations, self.config["distill"]
        return self.record.wall_seconds if done in (None, 0, settings["iterations"]) else None


def known_sets(root: Path = ARTIFACTS) -> dict[str, Path]:
    """Distilled sets below ``root`` by the key of their run; damaged ones are left out."""
    found = {}
    for path in sorted(root.glob(f"**/{FILE_NAME}")):
        with suppress(CsdmError, KeyError, TypeError):
            found[str(tensorfile.read_header(path, sealed=False)["body"]["provenance"]["config"]["run"])] = path
    return found


def try_out(entry: Entry, seed: int, arena: TrialContext) -> Trial:
    """Distil and judge the set of ``entry`` and ``seed``, as far as that was not done before.

    Raises:
        CsdmError: if the method refuses, or training fails.
    """
    runtime, chosen = arena.runtime, entry.with_seed(seed)
    tags = {"row": entry.name, "method": chosen.settings.method, "seed": seed}
    name = run_name(chosen.settings.model_dump(mode="json"))
    with open_tracker(runtime.tracking, "compare", tags=tags, parent=arena.parent, name=name, quiet=True) as tracker:
        with sealed("distilling"):
            task = prepare(chosen, arena.longtail, arena.teachers, arena.test.images.device, runtime)
            file, distilled = _obtain(task, arena, tracker)
        labels = (None if entry.control else task.params.evaluate.labels) or distilled.default_labels
        evaluation = judge(Case(file, distilled, arena.longtail), labels, arena.examiner(entry.student_protocol))
        _log(tracker, task, distilled, evaluation, labels, arena)
    return Trial(
        seed=seed,
        file=file,
        run=task.key,
        labels=labels,
        factor=distilled.decoding.factor,
        storage=stored_bytes(distilled),
        images=tensor_sha256(distilled.images),
        config=distilled.provenance.config,
        source=distilled.provenance.source,
        record=read_sidecar(file),
        evaluation=evaluation,
    )


def _obtain(task: Task, arena: TrialContext, tracker: Tracker) -> tuple[Path, Distilled]:
    """The set of ``task``: one that is there, or made now; another process that is at it is waited for."""
    own = default_folder(task, SETS) / FILE_NAME
    with turn(task.key, own, quiet=arena.runtime.quiet):
        for file in (arena.known.get(task.key, own), own):
            if is_done(file, task.key):
                note(f"{file} is there already", quiet=arena.runtime.quiet)
                return file, load_distilled(file)
        return own, carry_out(task, own, arena.options, arena.runtime, tracker)


def _log(
    tracker: Tracker, task: Task, distilled: Distilled, evaluation: Evaluation, labels: LabelKind, arena: TrialContext
) -> None:
    tracker.params(task.params.model_dump(mode="json", include={"evaluate"}))
    tracker.tags({"labels": labels, "split": arena.split})
    tell_of_set(tracker, distilled, arena.longtail, arena.split)
    tell_of_scores(tracker, evaluation, distilled, arena.split)
