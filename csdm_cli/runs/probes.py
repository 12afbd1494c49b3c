"""Evaluation by linear probes, as the settings of evaluate ask for it: the backbone found, the protocol decided."""

from __future__ import annotations

from pathlib import Path

import torch

from csdm_cli.errors import UsageError
from csdm_cli.evaluation.probes import Probed
from csdm_cli.evaluation.protocol import Protocol
from csdm_cli.names import EvaluationProtocol, LabelKind, ProbeFeatures
from csdm_cli.runs.backbones import is_frozen
from csdm_cli.runs.evaluating import Case
from csdm_cli.runs.labels import teachers_again
from csdm_cli.runs.runtime import Runtime
from csdm_cli.runs.teachers import check_pool, train_teachers
from csdm_cli.settings import sections
from csdm_cli.storage import places
from csdm_cli.teachers.pool import TeacherPool
from csdm_cli.training.probe import probe_recipe

# Images at a time, or all there are; and the share of the epochs that is enough on all real images.
BATCH, FULL_SHARE = 100, 10

# Of a student's recipe, which no probe follows; and what no student reads.
OF_STUDENTS = ("steps", "full_steps", "lr", "weight_decay", "batch", "cutmix", "test_points")
OF_PROBES = ("probe_features", "probe_epochs", "inherit")
OF_LIVE = ("augment", "augment_mode")


def is_probe(settings: sections.Evaluate, case: Case) -> bool:
    """Whether students are to be linear probes: as the user says, else if a frozen backbone made the set."""
    if settings.protocol is not None:
        return settings.protocol is EvaluationProtocol.probe
    network = case.distilled.evaluation.get("network") or {}
    return settings.network is None and network.get("frozen") is not None


def refuse_idle(settings: sections.Evaluate, given: frozenset[str], *, probe: bool, runtime: Runtime) -> None:
    """Raises: UsageError if an option ``given`` on the command line has no effect under this protocol."""
    live = settings.probe_features is ProbeFeatures.live
    idle = OF_PROBES if not probe else OF_STUDENTS + (() if live else OF_LIVE)
    protocol = EvaluationProtocol.probe if probe else EvaluationProtocol.students
    for name in idle:
        if name in given:
            beside = " and cached features" if name in OF_LIVE else ""
            raise UsageError(f"--{name.replace('_', '-')} has no effect with --protocol {protocol}{beside}")
    if probe and settings.labels is LabelKind.teacher:
        raise UsageError("--labels teacher is of students: it has no effect with --protocol probe")
    if probe and settings.fairness:
        raise UsageError("--fairness is measured by students: it has no effect with --protocol probe")
    if probe and runtime.given_numerics:
        raise UsageError(f"{runtime.given_numerics[0]} has no effect with --protocol probe")


def backbone_of(
    case: Case,
    settings: sections.Evaluate,
    teachers: Path | TeacherPool | None,
    pretrain: sections.Pretrain,
    device: torch.device,
    runtime: Runtime,
) -> TeacherPool:
    """The pool whose first network is probed: the one named, else the set's own, found or made again.

    Raises:
        UsageError: if two are named, or none made the set.
        CsdmError: if it cannot be had.
    """
    if teachers is not None and settings.network is not None:
        raise UsageError("--teachers and --network both say what is probed: give one of them")
    if teachers is not None:
        pool = teachers if isinstance(teachers, TeacherPool) else TeacherPool.open(teachers)
        check_pool(pool, case.longtail)
        return pool
    described = case.distilled.provenance.config.get("teachers")
    train = case.longtail.train()
    if settings.network is None and described:
        return teachers_again(described, train, places.cache_dir(), device, quiet=runtime.quiet)
    if settings.network is not None:
        pretrain = pretrain.model_copy(update={"network": settings.network})
    elif not is_frozen(pretrain):
        raise UsageError("no backbone made this set: name one to probe with --network or --teachers")
    return train_teachers(pretrain.model_copy(update={"teachers": 1}), train.to(device), device, runtime)


def giver_of(case: Case, settings: sections.Evaluate, device: torch.device, runtime: Runtime) -> Probed:
    """The backbone that made the set, with its classifier trained on all real images.

    Raises:
        UsageError: if none did.
        CsdmError: if it cannot be had.
    """
    described = case.distilled.provenance.config.get("teachers")
    if not described:
        raise UsageError("--inherit: no backbone made this set, whose classifier could be inherited")
    pool = teachers_again(described, case.longtail.train(), places.cache_dir(), device, quiet=runtime.quiet)
    return probed(pool, settings, device)


def probed(pool: TeacherPool, settings: sections.Evaluate, device: torch.device) -> Probed:
    """The pool's first network, frozen, on ``device``."""
    return Probed(pool.network(0).to(device), pool.key, settings.probe_features, pool.description, places.cache_dir())


def protocol_of_probes(settings: sections.Evaluate, images: int, real: int) -> Protocol:
    """The probes' training on ``images`` decoded ones; controls on all ``real`` ones get a share of the epochs.

    They have no fewer steps than the set: a small long-tailed set is not learnt in a share of its epochs.
    """
    live = settings.probe_features is ProbeFeatures.live
    recipe = probe_recipe(BATCH, *((settings.augment, settings.augment_mode) if live else ()))
    steps = settings.probe_epochs * -(-images // BATCH)
    full = max(steps, -(-settings.probe_epochs // FULL_SHARE) * -(-real // BATCH))
    return Protocol(recipe, steps, settings.students, settings.seed, test_points=1, full_steps=full)
