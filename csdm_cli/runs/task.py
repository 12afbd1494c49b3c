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
from csdm_cli.runs.choose import Chosen, Settled
from csdm_cli.runs.experts import find_experts
from csdm_cli.runs.labels import chosen_on
from csdm_cli.runs.runtime import Runtime
from csdm_cli.runs.teachers import find_teachers, given_pool, network_spec
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
        spec: architecture of the teachers, and of the networks of a method that trains its own; that of the set's
            students too.
        key: hash of everything that its result depends on.
        numerics: how the networks compute that a matching method looks through.
    """

    method: Method
    settings: Settled
    params: sections.Params
    longtail: LongTail
    pool: TeacherPool | None
    spec: NetworkSpec
    device: torch.device
    key: str
    numerics: Numerics = PLAIN


def prepare(
    chosen: Chosen, longtail: LongTail, teachers: TeacherPool | Path | None, device: torch.device, runtime: Runtime
) -> Task:
    """Find the teachers, or train those that are missing, and name the run.

    A method that needs none takes the architecture of ``teachers``, where there are any.

    Raises:
        CsdmError: if images or teachers cannot be read, or do not belong together.
    """
    method, settings, pool = chosen.method, chosen.settings, None
    if isinstance(method, LearningMethod) and method.experts is not None:
        train = longtail.train().to(device)
        pool = find_experts(teachers, chosen.params, method, longtail, train, device, runtime)
    elif method.needs_teachers or settings.labels is StoredLabels.soft:
        train = longtail.train().to(device)  # not kept: whoever needs real images later reads them, and lets them go
        pool = find_teachers(teachers, chosen.params, longtail, train, device, runtime)
    if pool is not None:
        spec = pool.spec
    elif teachers is not None:
        spec = given_pool(teachers, chosen.params.pretrain.network, longtail).spec
    else:
        spec = network_spec(chosen.params.pretrain, longtail.manifest)
    numerics = _numerics_of(method, runtime.numerics(device))
    key = run_key(settings, method, longtail, pool or spec, numerics)
    return Task(method, settings, chosen.params, longtail, pool, spec, device, key, numerics)


def _numerics_of(method: Method, asked: Numerics) -> Numerics:
    """How the method's networks compute: as ``asked``, as far as it goes with the method."""
    if isinstance(method, MatchingMethod):
        return asked
    takes = isinstance(method, LearningMethod) and method.takes_precision
    return Numerics(precision=asked.precision) if takes else PLAIN


def run_key(
    settings: Settled, method: Method, longtail: LongTail, seen: TeacherPool | NetworkSpec, numerics: Numerics
) -> str:
    """The key of a run: settings, the method's parameters, data, teachers, numerics, code and torch.

    ``seen``: the teachers, or where there are none the architecture, of the method's own networks and of students.
    """
    manifest = longtail.manifest
    parameters = settings.names_read_by(Reader.owner) | {"option"}  # which stand below, as the method took them
    described = {
        "settings": settings.model_dump(mode="json", exclude=set(parameters)),
        "parameters": asdict(method.parameters),
        "data": manifest.fingerprints["train"],
        "normalisation": [manifest.mean, manifest.std],
        "seen": seen.as_dict() if isinstance(seen, NetworkSpec) else seen.key,
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
