"""One distillation before it is done: its settings, data and teachers, and the key of its result."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from csdm_cli.artifacts.file import load_distilled
from csdm_cli.data.store import LongTail
from csdm_cli.errors import CsdmError
from csdm_cli.methods import module_of
from csdm_cli.methods.contract import MatchingMethod, Method
from csdm_cli.methods.learning import LearningMethod
from csdm_cli.names import StoredLabels
from csdm_cli.networks import NetworkSpec
from csdm_cli.networks.numerics import PLAIN, Numerics
from csdm_cli.runs.choose import Chosen, Settled, experts_of
from csdm_cli.runs.experts import find_experts
from csdm_cli.runs.labels import chosen_on
from csdm_cli.runs.runtime import Runtime
from csdm_cli.runs.teachers import find_teachers, network_spec
from csdm_cli.settings import sections
from csdm_cli.settings.fields import Reader
from csdm_cli.storage.keys import content_key, source_hash
from csdm_cli.storage.rooms import DISTILLED
from csdm_cli.teachers.pool import TeacherPool


@dataclass(frozen=True)
class Task:
    """A method's run on a long-tailed set.

    Attributes:
        settings: those of distillation, with nothing left open.
        params: all settings.
        pool: the teachers, if method or labels need them.
        key: hash of everything that its result depends on.
        numerics: how the networks compute that a matching method looks through.
    """

    method: Method
    settings: Settled
    params: sections.Params
    longtail: LongTail
    pool: TeacherPool | None
    device: torch.device
    key: str
    numerics: Numerics = PLAIN

    @property
    def spec(self) -> NetworkSpec:
        """The architecture of the teachers, which is that of the set's students too."""
        return self.pool.spec if self.pool else network_spec(self.params.pretrain, self.longtail.manifest)


def prepare(
    chosen: Chosen, longtail: LongTail, teachers: TeacherPool | Path | None, device: torch.device, runtime: Runtime
) -> Task:
    """Find the teachers, or train those that are missing, and name the run.

    Raises:
        CsdmError: if images or teachers cannot be read, or do not belong together.
    """
    method, settings, pool = chosen.method, chosen.settings, None
    follows = experts_of(method)
    if follows is not None:
        train = longtail.train().to(device)
        pool = find_experts(teachers, chosen.params, follows, longtail, train, device, runtime)
    elif method.needs_teachers or settings.labels is StoredLabels.soft:
        train = longtail.train().to(device)  # not kept: whoever needs real images later reads them, and lets them go
        pool = find_teachers(teachers, chosen.params, longtail, train, device, runtime)
    numerics = _numerics_of(method, runtime.numerics(device))
    key = run_key(settings, method, longtail, pool, numerics)
    return Task(method, settings, chosen.params, longtail, pool, device, key, numerics)


def _numerics_of(method: Method, asked: Numerics) -> Numerics:
    """How the method's networks compute: as ``asked``, as far as it goes with the method."""
    if isinstance(method, MatchingMethod):
        return asked
    takes = isinstance(method, LearningMethod) and method.takes_precision
    return Numerics(precision=asked.precision) if takes else PLAIN


def run_key(settings: Settled, method: Method, longtail: LongTail, pool: TeacherPool | None, numerics: Numerics) -> str:
    """The key of a run: settings, the method's parameters, data, teachers, numerics, code and torch."""
    parameters = settings.names_read_by(Reader.owner) | {"option"}  # which stand below, as the method took them
    described = {
        "settings": settings.model_dump(mode="json", exclude=set(parameters)),
        "parameters": asdict(method.parameters),
        "data": longtail.manifest.fingerprints["train"],
        "teachers": pool.key if pool else None,
        "labels_chosen_on": chosen_on(settings, longtail),
        "numerics": numerics.as_dict(),
        "source": source_hash(*DISTILLED, module_of(settings.method)),
        "torch": torch.__version__,
    }
    return content_key(described)


def is_done(target: Path, key: str) -> bool:
    """Whether ``target`` is whole and came from the run ``key``."""
    try:
        return load_distilled(target).provenance.config.get("run") == key
    except CsdmError:
        return False
