"""The entries of a comparison: each method with its settings, in groups evaluated alike, each with its controls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from csdm_cli.data.store import LongTail
from csdm_cli.errors import UsageError
from csdm_cli.evaluation.controls import ControlName
from csdm_cli.evaluation.protocol import Protocol
from csdm_cli.methods import load
from csdm_cli.methods.contract import OptimisedMethod, parameter_names
from csdm_cli.names import AT_LEARNED_RATE, LabelKind, Parameterization
from csdm_cli.networks import NetworkSpec
from csdm_cli.networks.numerics import PLAIN, Numerics
from csdm_cli.runs.choose import Chosen, choose
from csdm_cli.runs.evaluating import SIZES, start_of
from csdm_cli.runs.labels import refuse_images_of_choice
from csdm_cli.runs.student_protocol import (
    at_learned_rate,
    described_protocol,
    protocol_of,
    students_like,
    with_common_rate,
)
from csdm_cli.runs.teachers import network_spec
from csdm_cli.settings import sections
from csdm_cli.settings.resolve import with_preset
from csdm_cli.teachers.pool import TeacherPool

CONTROLS = (ControlName.random.value, ControlName.tiled_random.value)


@dataclass(frozen=True)
class StudentProtocol:
    """The training and testing of students: rows that share it can be compared.

    Attributes:
        learned_rate: whether each set's students follow the step size that it was learned with instead.
    """

    protocol: Protocol
    spec: NetworkSpec
    numerics: Numerics = PLAIN
    learned_rate: bool = False

    def described(self) -> dict[str, Any]:
        """JSON values, as every row shows them."""
        told = described_protocol(self.protocol, self.spec, self.numerics)
        return at_learned_rate(told) if self.learned_rate else told

    def named(self, row: str) -> str:
        """The name of ``row`` under these students."""
        return f"{row}, {AT_LEARNED_RATE}" if self.learned_rate else row


@dataclass(frozen=True)
class Entry:
    """A row to be.

    Attributes:
        name: name of the row: the method's, more if there are several of it.
        chosen: the method and its settings, for seed 0.
        student_protocol: how its sets are evaluated.
        control: whether it stands there whatever is compared.
    """

    name: str
    chosen: Chosen
    student_protocol: StudentProtocol
    control: bool

    def with_seed(self, seed: int) -> Chosen:
        """The same with a fresh method, for the set of ``seed``."""
        params = self.chosen.params
        return choose(params.model_copy(update={"distill": params.distill.model_copy(update={"seed": seed})}))


def refuse_unread(params: sections.Params, chosen: sections.Compare) -> None:
    """Raises: UsageError if a method's parameter is set that none of the methods has."""
    known = {name for method in chosen.methods for name in parameter_names(load(method))}
    for name in params.distill.option:
        if name not in known - set(sections.Distill.model_fields):
            raise UsageError(f"distill.option.{name}: none of {', '.join(chosen.methods)} has such a parameter")


def enter(method: str, ipc: int, chosen: sections.Compare, params: sections.Params) -> Chosen:
    """``method`` with the settings it has in a comparison.

    Parameters in ``distill.option`` go to the methods that have them.

    Raises:
        UsageError: if its settings contradict each other.
    """
    option = {name: value for name, value in params.distill.option.items() if name in parameter_names(load(method))}
    given = params.distill.model_dump(exclude_unset=True)
    distill = sections.Distill.model_validate(given | {"method": method, "ipc": ipc, "option": option, "seed": 0})
    full = with_preset(params.model_copy(update={"distill": distill}), chosen.preset)
    if chosen.split:
        full = full.model_copy(update={"evaluate": full.evaluate.model_copy(update={"split": chosen.split})})
    found = choose(full)
    if found.settings.prior_calibration == "auto":
        refuse_images_of_choice(full.evaluate.labels or LabelKind(found.settings.labels), "dev", full.evaluate.split)
    return found


def student_protocol_of(
    params: sections.Params, longtail: LongTail, teachers: Path | None, numerics: Numerics = PLAIN
) -> StudentProtocol:
    """The students that ``params`` ask for: their architecture is the teachers' unless ``evaluate`` names another.

    In the place of a frozen backbone, which is no student, stands a ConvNet.

    Raises:
        CsdmError: if the teachers cannot be read.
    """
    own = TeacherPool.open(teachers).spec if teachers else network_spec(params.pretrain, longtail.manifest)
    protocol = protocol_of(with_common_rate(params.evaluate))
    return StudentProtocol(protocol, students_like(own, params.evaluate.network), numerics)


def controls_for(
    entries: Iterable[Entry],
    ipc: int,
    chosen: sections.Compare,
    params: sections.Params,
    student_protocol: StudentProtocol,
) -> list[Entry]:
    """Random for the entries on one protocol, tiled-random at every factor they have, and each other start."""
    own = list(entries)
    settings = [entry.chosen.settings for entry in own if isinstance(entry.chosen.method, OptimisedMethod)]
    factors = sorted({item.factor for item in settings} or {params.distill.factor})
    plain = enter(CONTROLS[0], ipc, chosen, params)
    found = [Entry(CONTROLS[0], plain, student_protocol, control=True)]
    for factor in factors:
        if factor == 1:
            continue  # random images as they are, which stand there
        tiled = enter(CONTROLS[1], ipc, chosen, params)
        at_factor = tiled.settings.model_copy(update={"factor": factor})
        name = CONTROLS[1] if len(factors) == 1 else f"{CONTROLS[1]}, factor {factor}"
        made = choose(tiled.params.model_copy(update={"distill": at_factor}))
        found.append(Entry(name, made, student_protocol, control=True))
    starts = {_described(start): start for start in (start_of(dict(item)) for item in settings if _is_coded(item))}
    for described, distill in starts.items():
        name = ControlName.start.value if len(starts) == 1 else f"{ControlName.start}, {described}"
        made = choose(params.model_copy(update={"distill": distill}))
        found.append(Entry(name, made, student_protocol, control=True))
    return found


def _is_coded(settings: sections.Distill) -> bool:
    """Whether images are computed from coefficients or tensors."""
    return settings.parameterization in (Parameterization.frequency, Parameterization.decomposition)


def _described(start: sections.Distill) -> str:
    sizes = {name.replace("_", " "): getattr(start, name) for name in SIZES}
    return ", ".join([start.parameterization, *(f"{name} {size}" for name, size in sizes.items() if size)])


def named_for(entries: Iterable[Entry], suffix: str) -> list[Entry]:
    """The same with ``suffix`` behind their names."""
    return [replace(entry, name=entry.name + suffix) for entry in entries]
