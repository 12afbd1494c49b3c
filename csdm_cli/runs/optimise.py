"""The images of a method that optimises them, from settings and data to the last step."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

from csdm_cli.display.console import note
from csdm_cli.distillation.checkpoint import Checkpoint, kept_number
from csdm_cli.distillation.loop import Distillation, optimise
from csdm_cli.distillation.sharded import collected
from csdm_cli.methods.contract import MatchingMethod, Outcome
from csdm_cli.methods.learning import LABEL_LOGITS, LOG_STEP, LearningMethod
from csdm_cli.networks.numerics import faster
from csdm_cli.parallel.ranks import ALONE, Ranks
from csdm_cli.runs.assemble import assemble
from csdm_cli.runs.assemble_learning import assemble_learning
from csdm_cli.runs.choose import SettledMatching, SettledOptimised, describe_share
from csdm_cli.runs.runtime import Runtime
from csdm_cli.runs.start import ReadyRun, factor_of
from csdm_cli.runs.task import Task
from csdm_cli.safe_text import counted
from csdm_cli.settings.fields import ratio
from csdm_cli.storage import places
from csdm_cli.tracking.losses import LossLog
from csdm_cli.tracking.tracker import Tracker

CHECKPOINT_SECONDS = 60.0  # between checkpoints, where nobody says


@dataclass(frozen=True)
class Options:
    """How to run, which does not change the result."""

    memory_budget: int | None = None
    checkpoint_every: float = CHECKPOINT_SECONDS
    resume: bool = True


PLAINLY = Options()


def optimised(task: Task, runtime: Runtime, options: Options, tracker: Tracker, ranks: Ranks = ALONE) -> Outcome | None:
    """Distil, or do this rank's share of it: the outcome of all at rank 0, None at the others."""
    began = time.monotonic()
    ready = _ready(task, runtime, options, ranks)
    if ready.share is not None:
        note(describe_share(ready.share, ready.parameterisation.shape.classes), quiet=runtime.quiet)
    start, losses = time.monotonic(), LossLog(tracker, live=ready.share is None)
    result = _iterate(task, ready, runtime, options, losses, began)
    seconds = time.monotonic() - start
    whole = result if ready.share is None else collected(result, ranks)
    if whole is None:
        return None
    losses.finish(whole.history)
    if whole.iterations:
        share = (whole.overhead_seconds + tracker.overhead_seconds - tracker.startup_seconds) / seconds
        costs = {"seconds_per_iteration": seconds / whole.iterations, "overhead_share": share}
        tracker.metrics(costs, task.settings.iterations)
    return _outcome(task, ready, whole)


def _ready(task: Task, runtime: Runtime, options: Options, ranks: Ranks) -> ReadyRun:
    method, settings = task.method, task.settings
    data = task.longtail.train().to(task.device)
    if isinstance(method, LearningMethod):
        assert isinstance(settings, SettledOptimised)
        note(f"method: {method.summary}", quiet=runtime.quiet)
        return assemble_learning(settings, method, data, task.spec, task.pool, numerics=task.numerics, ranks=ranks)
    assert task.pool is not None and isinstance(method, MatchingMethod) and isinstance(settings, SettledMatching)
    note(
        f"method: {method.summary}; {counted(len(task.pool), 'teacher')}; real side: {settings.real}",
        quiet=runtime.quiet,
    )
    return assemble(
        settings,
        method,
        data,
        task.pool,
        places.cache_dir(),
        quiet=runtime.quiet,
        memory_budget=options.memory_budget,
        numerics=task.numerics,
        ranks=ranks,
        kept=partial(kept_number, places.cache_dir("checkpoints"), task.key, resume=options.resume),
    )


def _iterate(
    task: Task, ready: ReadyRun, runtime: Runtime, options: Options, losses: LossLog, began: float
) -> Distillation:
    if ready.share is not None and not len(ready.share):
        return Distillation(ready.leaves.stored, {}, 0.0, 0)
    assert isinstance(task.method, (MatchingMethod, LearningMethod))
    return optimise(
        ready.leaves,
        task.method,
        ready.iterate,
        Checkpoint(places.cache_dir("checkpoints"), task.key, options.checkpoint_every, ready.share, began),
        resume=options.resume,
        quiet=runtime.quiet,
        watch=losses.after,
        advice=faster(task.device, task.numerics) if isinstance(task.method, MatchingMethod) else "",
    )


def _outcome(task: Task, ready: ReadyRun, result: Distillation) -> Outcome:
    """The result as it will be stored."""
    settings = task.settings
    was_measured = isinstance(settings, SettledMatching) and ratio(settings.calibration) is not None
    factor, log_step = factor_of(ready.parameterisation), result.learned.get(LOG_STEP)
    return Outcome(
        images=None if factor is None else result.images,
        factor=factor or 1,
        history=result.history,
        iterations=result.iterations if result.earlier_seconds is None else settings.iterations,
        earlier_seconds=result.earlier_seconds or 0.0,
        calibration=ready.calibration if was_measured else None,
        parameterisation=ready.parameterisation if factor is None else None,
        leaves=result.leaves if factor is None else {},
        label_logits=result.learned.get(LABEL_LOGITS),
        learned_rate=None if log_step is None else float(log_step.exp()),
    )
