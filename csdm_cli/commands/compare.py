"""``csdm compare``: several methods side by side, under one protocol and beside the controls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from csdm_cli.comparison import files, tables
from csdm_cli.comparison.entries import CONTROLS, refuse_unread
from csdm_cli.comparison.executors import open_executor
from csdm_cli.comparison.finished import read_finished
from csdm_cli.comparison.measure import measure
from csdm_cli.comparison.tuning import chosen, grid, refuse_to_tune_on_test
from csdm_cli.display.console import emit, note
from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.parallel.interruption import telling_what_is_kept
from csdm_cli.runs.distill import ARTIFACTS
from csdm_cli.runs.optimise import CHECKPOINT_SECONDS, Options
from csdm_cli.runs.runtime import Runtime
from csdm_cli.safe_text import counted
from csdm_cli.settings import sections
from csdm_cli.storage import outputs
from csdm_cli.tracking.tracker import Tracker, open_tracker


def run(
    settings: sections.Compare,
    runtime: Runtime,
    *,
    params: sections.Params,
    data: Path | None,
    teachers: Path | None,
    out: Path | None,
    memory_budget: int | None,
    finished: Sequence[Path] = (),
) -> None:
    """Make what is missing, print a table for each long-tailed set and IPC, and write them to ``out``.

    Where no row could be made, nothing is written: tables that are there already stay.

    Raises:
        CsdmError: after all the rest is done, if a method failed.
    """
    refuse_unread(params, settings)
    refuse_to_tune_on_test(settings, params)
    points = grid(settings.tune)
    if data and (settings.imbalance or settings.dataset):
        raise UsageError("--data names a set as it is: leave --imbalance and --dataset out")
    named = read_finished(finished, settings.ipc)
    folder = out or ARTIFACTS / "compare"
    outputs.claim_files(folder, files.OUTPUTS)
    own = sections.Distill.names_decided_by_method()
    if pinned := [f"distill.{name}" for name in own if name in params.distill.model_fields_set]:
        note(f"the same for all methods, whatever their own choice: {', '.join(pinned)}", quiet=runtime.quiet)
    options = Options(memory_budget and memory_budget * 2**20, CHECKPOINT_SECONDS, resume=True)
    described = {"compare": files.described(settings)}
    ipcs = ",".join(map(str, settings.ipc))
    name = f"compare {','.join(settings.methods)} ipc{ipcs} {counted(settings.seeds, 'seed')}"
    with open_tracker(runtime.tracking, "compare", params=described, name=name, quiet=runtime.quiet) as tracker:
        with telling_what_is_kept(quiet=runtime.quiet), open_executor(settings.executor, runtime) as executor:
            found = measure(
                settings,
                params,
                runtime,
                executor,
                data=data,
                teachers=teachers,
                options=options,
                points=points,
                finished=named,
                parent=tracker.run_id,
            )
        result = files.result_of(found, settings, executor.device)
        if settings.tune:
            tuned = [method for method in settings.methods if method not in CONTROLS]  # which have nothing to tune
            result["tuning"] = {item.name: chosen(item, tuned, points) for item in found}
        failed, made = _failures(found), any(item.rows for item in found)
        if made:
            _write(folder, found, result, tracker, failed)
        emit(result, lambda: [part for item in found for part in (*tables.table(item), "")], as_json=runtime.json)
        if made:
            note(f"wrote {folder}/", quiet=runtime.quiet)
        if failed:  # inside, so that the tracked run has failed as well
            raise CsdmError(failed)


def _failures(found: Sequence[tables.Table]) -> str | None:
    """The rows that are missing from the tables and why, in one line; None if all are there."""
    failed = [f"{name} ({text})" for item in found for name, text in item.failed.items()]
    return f"{len(failed)} of the rows failed: {'; '.join(failed)}" if failed else None


def _write(
    folder: Path, found: Sequence[tables.Table], result: dict[str, Any], tracker: Tracker, failed: str | None
) -> None:
    """Write the tables; an error on the way tells of the rows that ``failed`` before as well."""
    try:
        files.write(folder, found, result, tracker)
    except CsdmError as error:
        if failed is None:
            raise
        raise CsdmError(f"{error}; {failed}") from error
