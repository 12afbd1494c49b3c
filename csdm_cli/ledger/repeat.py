"""A row of the ledger measured again, from nothing but its JSON, and whether it comes out as it did."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from csdm_cli import __version__
from csdm_cli.artifacts.run_record import machine
from csdm_cli.data.store import LongTail
from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.evaluation.controls import evaluate_full
from csdm_cli.evaluation.scores import MeanStd
from csdm_cli.ledger.repeat_probes import ProbesAgain
from csdm_cli.ledger.row import Code, Computing, Measured, Row
from csdm_cli.ledger.rows_from_runs import students_of
from csdm_cli.names import EvaluationSplit, LabelKind, Source
from csdm_cli.networks import NetworkSpec
from csdm_cli.networks.numerics import PLAIN
from csdm_cli.runs.choose import choose
from csdm_cli.runs.distill import distil
from csdm_cli.runs.evaluate import evaluate, prepare_evaluation
from csdm_cli.runs.evaluating import evaluator_for, images_of
from csdm_cli.runs.long_tail import make, plan
from csdm_cli.runs.runtime import Device, Runtime
from csdm_cli.runs.student_protocol import protocol_of
from csdm_cli.runs.teachers import train_teachers
from csdm_cli.settings import messages
from csdm_cli.settings import sections as config
from csdm_cli.settings.units import modern_row
from csdm_cli.storage.keys import revision, source_hash
from csdm_cli.teachers.pool import TeacherPool


def repeat(row: Row, params: config.Params, runtime: Runtime, folder: Path) -> Row:
    """``row`` with what its data, teachers, sets and students come to now.

    Args:
        row: as it is in the ledger.
        params: its settings (:func:`settings_of`).
        runtime: how to compute (:func:`like_the_rows`).
        folder: where data and sets are written.

    Raises:
        CsdmError: if the data are other ones than the row's.
    """
    longtail = _data(row, params, runtime, folder)
    device = runtime.apply()
    if row.probe is not None:
        probes = ProbesAgain(row, params, longtail, runtime, device)
        sets = [_one_probed(row, params, longtail, runtime, folder, found.seed, probes) for found in row.sets]
    elif row.is_full_data:
        sets = [_full_data(row, params, longtail, runtime, device)]
    else:
        sets = [_one_set(row, params, longtail, runtime, folder, found.seed or 0) for found in row.sets]
    return replace(row, sets=tuple(sets), machine=machine(device), code=_code())


def like_the_rows(runtime: Runtime, row: Row) -> Runtime:
    """``runtime`` with the row's device and threads where the user left them open, for they decide the last bits."""
    device = runtime.device
    if device is Device.auto and row.machine.gpu is None:
        device = Device.cpu
    threads = runtime.threads or (row.machine.threads if row.machine.gpu is None else None)
    return replace(runtime, device=device, threads=threads)


def computing_like(runtime: Runtime, row: Row, part: Computing) -> Runtime:
    """``runtime`` with the precision, order of memory and compilation that the row tells of ``part``, if it does."""
    return replace(runtime, **row.numerics[part].as_dict()) if part in row.numerics else runtime


def settings_of(row: Row, data_dir: Path | None) -> config.Params:
    """The row's settings as today's csdm understands them.

    Raises:
        UsageError: if it does not, or if the row is of images of one's own and ``data_dir`` is missing.
    """
    if row.data.dataset == Source.folder and data_dir is None:
        raise UsageError(f"{row.name} is of a folder of images: name it with --data-dir")
    sections: dict[str, Any] = modern_row(row.config, len(row.data.counts))
    sections.pop("backbone", None)  # which is found by what the row tells of it
    sections["make_lt"]["data_dir"] = data_dir
    try:
        return config.Params.model_validate(sections)
    except ValidationError as error:
        where = f"{row.name}: this csdm cannot run its settings"
        raise UsageError(messages.report(where, messages.in_params(error, config.Params))) from error


def changes(row: Row, again: Row) -> list[str]:
    """The differences between the two runs, of all that decides the last bits."""
    before, now = row.code.versions.get("torch"), again.code.versions.get("torch")
    here = again.machine.gpu or again.machine.processor
    pairs = (
        ("device", row.machine.gpu or row.machine.processor, here),
        ("threads", row.machine.threads, again.machine.threads),
        ("torch", before, now),
        ("commit", row.code.commit, again.code.commit),
        ("source", row.code.source, again.code.source),
    )
    makers = {found.maker.device for found in row.sets if found.maker} - {here}
    elsewhere = [f"sets made on {device}, now on {here}" for device in sorted(makers)]
    return elsewhere + [f"{name} {then}, now {today}" for name, then, today in pairs if then != today]


def newer_settings(row: Row, params: config.Params) -> list[str]:
    """Settings that csdm did not have when the row was measured, and what they are now."""
    today = params.model_dump(mode="json")
    unknown = [(part, name) for part, told in row.config.items() for name in today.get(part, {}) if name not in told]
    return [f"{part}.{name} is newer than the row, now {today[part][name]}" for part, name in unknown]


def _data(row: Row, params: config.Params, runtime: Runtime, folder: Path) -> LongTail:
    longtail = make(plan(params.make_lt, folder / "data"), quiet=runtime.quiet).longtail
    for part in ("train", "test"):
        if longtail.manifest.fingerprints[part] != row.data.fingerprints[part]:
            coding = {True: "JPEG-coded", False: "not JPEG-coded", None: "of unknown coding"}
            raise CsdmError(
                f"the {part} images are not the row's: its were {coding[row.data.jpeg]}, from {row.data.origin}; these"
                f" are {coding[longtail.manifest.jpeg]}, from {longtail.manifest.origin} (--data-dir names others)"
            )
    return longtail


def _one_set(
    row: Row,
    params: config.Params,
    longtail: LongTail,
    runtime: Runtime,
    folder: Path,
    seed: int,
    probes: ProbesAgain | None = None,
) -> Measured:
    """Distil and evaluate the set of ``seed``; teachers come from the cache, or are trained."""
    seeded = params.model_copy(update={"distill": params.distill.model_copy(update={"seed": seed})})
    distilling, evaluating = (computing_like(runtime, row, part) for part in ("distill", "evaluate"))
    teachers = probes.teachers(row.config["pretrain"]) if probes else None
    teachers = teachers or _own_teachers(row, params, longtail, runtime)
    made = distil(
        choose(seeded),
        longtail,
        distilling.apply(),
        distilling,
        teachers=teachers,
        out=folder / f"set-{seed}",
    )
    assert made is not None  # one process
    everything = frozenset(config.Evaluate.model_fields)
    task = prepare_evaluation(
        *(params.evaluate, evaluating),
        chosen=everything,
        file=made.path,
        data=longtail.folder,
        teachers=probes.pool if probes else teachers if row.labels is LabelKind.teacher else None,
    )
    found = evaluate(task, evaluating)
    own = found.inherited[row.subject] if row.inherits else found.learned if row.at_learned_rate else found.own
    assert own is not None  # the settings ask for it
    return replace(row.sets[0], seed=seed, students=students_of(own))


def _one_probed(
    row: Row,
    params: config.Params,
    longtail: LongTail,
    runtime: Runtime,
    folder: Path,
    seed: int | None,
    probes: ProbesAgain,
) -> Measured:
    """Probes of the set of ``seed``, or of the control that was measured beside it."""
    control = probes.control(seed)
    if control is not None:
        return replace(row.sets[0], seed=seed, students=students_of(control))
    return _one_set(row, params, longtail, runtime, folder, seed or 0, probes)


def _own_teachers(row: Row, params: config.Params, longtail: LongTail, runtime: Runtime) -> TeacherPool | None:
    """Teachers that distill would not train: not plainly trained, or such as label alone. None where it does."""
    if "pretrain" not in row.numerics and row.labels is not LabelKind.teacher:
        return None
    own = computing_like(runtime, row, "pretrain")
    device = own.apply()
    numerics = own.student_numerics(device) if "pretrain" in row.numerics else PLAIN
    return train_teachers(params.pretrain, longtail.train(), device, own, numerics=numerics)


def _full_data(row: Row, params: config.Params, longtail: LongTail, runtime: Runtime, device: torch.device) -> Measured:
    """Students of all real images: the control that the row is called after."""
    test = images_of(longtail, EvaluationSplit(row.data.tested_on)).to(device)
    protocol, spec = protocol_of(params.evaluate), NetworkSpec(**row.network)
    numerics = computing_like(runtime, row, "evaluate").student_numerics(device)
    found = evaluate_full(longtail.train().to(device), evaluator_for(test, spec, protocol, numerics, runtime))
    named = {str(name): evaluation for name, evaluation in found.items()}
    if row.method not in named:
        raise CsdmError(f"{row.name}: no control on all images is called {row.method!r}")
    return replace(row.sets[0], students=students_of(named[row.method]))


def _code() -> Code:
    found = revision()
    versions = {"csdm": __version__, "torch": str(torch.__version__)}
    return Code(found.commit if found else None, found.dirty if found else None, source_hash(), versions)


@dataclass(frozen=True)
class Agreement:
    """The outcome of a repetition.

    Attributes:
        bit_equal: every student got the same accuracy on every class.
        difference: the later mean less the earlier, as a fraction.
        tolerance: two standard errors of that difference; None where students are too few to tell.
    """

    bit_equal: bool
    difference: float
    tolerance: float | None

    @property
    def agrees(self) -> bool:
        """Bit-equal, or within two standard errors."""
        return self.bit_equal or (self.tolerance is not None and abs(self.difference) <= self.tolerance)

    def __str__(self) -> str:
        if self.bit_equal:
            return "bit-equal: every student has the same accuracy on every class"
        text = f"not bit-equal; {100 * self.difference:+.2f} points"
        if self.tolerance is None:
            return f"{text}, and a single student has no standard error to compare that with"
        where = "within" if self.agrees else "outside"
        return f"{text}, {where} two standard errors ({100 * self.tolerance:.2f})"


def compare_rows(before: Row, again: Row) -> Agreement:
    """The comparison of ``again``, a repetition of ``before``."""
    return Agreement(
        bit_equal=_scores(before) == _scores(again),
        difference=again.spread.mean - before.spread.mean,
        tolerance=_tolerance(before.spread, again.spread),
    )


def _scores(row: Row) -> list[list[tuple[float, tuple[float | None, ...]]]]:
    return [[(student.accuracy, student.per_class) for student in found.students] for found in row.sets]


def _tolerance(before: MeanStd, again: MeanStd) -> float | None:
    if before.std is None or again.std is None:
        return None
    return 2 * math.sqrt(before.std**2 / before.count + again.std**2 / again.count)
