"""The trials of a comparison: one set distilled, unless it is there, and evaluated, unless that was done."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from contextlib import suppress
from pathlib import Path

from csdm_cli.artifacts.distilled import Distilled
from csdm_cli.artifacts.file import FILE_NAME, load_distilled
from csdm_cli.comparison.context import ComparisonContext
from csdm_cli.comparison.entries import Entry
from csdm_cli.data.holdout import sealed
from csdm_cli.display.console import note
from csdm_cli.errors import CsdmError
from csdm_cli.names import StoredLabels, TeacherSchedule
from csdm_cli.runs.choose import Chosen, experts_of
from csdm_cli.runs.distill import ARTIFACTS, carry_out, default_folder
from csdm_cli.runs.measurement import Measurement
from csdm_cli.runs.task import Task, is_done, prepare
from csdm_cli.runs.tracked import run_name, tell_of_learned_rate, tell_of_scores, tell_of_set
from csdm_cli.runs.turns import turn
from csdm_cli.storage import tensorfile
from csdm_cli.tracking.tracker import Tracker, open_tracker

SETS = ARTIFACTS / "compare"


def known_sets(root: Path = ARTIFACTS) -> dict[str, Path]:
    """Distilled sets below ``root`` by the key of their run; damaged ones are left out."""
    found = {}
    for path in sorted(root.glob(f"**/{FILE_NAME}")):
        with suppress(CsdmError, KeyError, TypeError):
            found[str(tensorfile.read_header(path, sealed=False)["body"]["provenance"]["config"]["run"])] = path
    return found


def try_out(entry: Entry, seed: int, context: ComparisonContext) -> list[Measurement]:
    """Distil and evaluate the set of ``entry`` and ``seed``, as far as that was not done before.

    Returns:
        One measurement for each of the set's students (:meth:`ComparisonContext.student_protocols`).

    Raises:
        CsdmError: if the method refuses, or training fails.
    """
    runtime, chosen = context.runtime, entry.with_seed(seed)
    tags = {"row": entry.name, "method": chosen.settings.method, "seed": seed}
    name = run_name(chosen.settings.model_dump(mode="json"))
    with open_tracker(runtime.tracking, "compare", tags=tags, parent=context.parent, name=name, quiet=True) as tracker:
        with sealed("distilling"):
            task = _prepared(chosen, context)
            file, distilled = _obtain(task, context, tracker)
        labels = (None if entry.control else task.params.evaluate.labels) or distilled.default_labels
        protocols = context.student_protocols(entry.student_protocol, distilled)
        found = [context.measured(entry.name, file, distilled, labels, one) for one in protocols]
        _log(tracker, task, distilled, found, context)
    return found


def teach(entry: Entry, context: ComparisonContext) -> None:
    """Train the teachers that the sets of ``entry`` look through, as far as they are missing.

    Raises:
        CsdmError: if training fails, or they cannot be read.
    """
    with sealed("distilling"):
        _prepared(entry.chosen, context)


def teachers_of(entry: Entry, context: ComparisonContext) -> Hashable | None:
    """Equal for entries of the same teachers; None if the entry's sets need none."""
    chosen = entry.chosen
    follows = experts_of(chosen.method)
    if follows is None and not chosen.method.needs_teachers and chosen.settings.labels is not StoredLabels.soft:
        return None
    pretrain = chosen.params.pretrain.model_dump_json()
    by_epoch = chosen.settings.teacher_schedule is TeacherSchedule.trajectory
    return str(context.longtail.folder.resolve()), pretrain, by_epoch, repr(follows)


def make(entry: Entry, seed: int, context: ComparisonContext) -> None:
    """Distil the set of ``entry`` and ``seed`` unless it is there; tracked as a run of ``distill``.

    Raises:
        CsdmError: if the method refuses, or training fails.
    """
    chosen = entry.with_seed(seed)
    with sealed("distilling"):
        task = _prepared(chosen, context)
        if _finished(task, context):
            return
        name, tracking = run_name(chosen.settings.model_dump(mode="json")), context.runtime.tracking
        with open_tracker(tracking, "distill", parent=context.parent, name=name, quiet=True) as tracker:
            _obtain(task, context, tracker)


def _prepared(chosen: Chosen, context: ComparisonContext) -> Task:
    teachers = None if experts_of(chosen.method) else context.teachers  # experts are networks of their own
    return prepare(chosen, context.longtail, teachers, context.device, context.runtime)


def _finished(task: Task, context: ComparisonContext) -> Path | None:
    """The file of the set of ``task``, if it is there."""
    own = default_folder(task, SETS) / FILE_NAME
    return next((file for file in (context.known.get(task.key, own), own) if is_done(file, task.key)), None)


def _obtain(task: Task, context: ComparisonContext, tracker: Tracker) -> tuple[Path, Distilled]:
    """The set of ``task``: one that is there, or made now; another process that is at it is waited for."""
    own = default_folder(task, SETS) / FILE_NAME
    with turn(task.key, own, quiet=context.runtime.quiet):
        if file := _finished(task, context):
            note(f"{file} is there already", quiet=context.runtime.quiet)
            return file, load_distilled(file)
        return own, carry_out(task, own, context.options, context.runtime, tracker)


def _log(
    tracker: Tracker, task: Task, distilled: Distilled, found: Sequence[Measurement], context: ComparisonContext
) -> None:
    own, *learned = found
    tracker.params(task.params.model_dump(mode="json", include={"evaluate"}))
    tracker.tags({"labels": own.labels, "split": context.split})
    tell_of_set(tracker, distilled, context.longtail, context.split)
    tell_of_scores(tracker, own.evaluation, distilled, context.split)
    for one in learned:
        tell_of_learned_rate(tracker, one.evaluation)
