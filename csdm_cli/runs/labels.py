"""Soft labels as the settings of distill ask for them, and the same labels for other images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from csdm_cli.artifacts.distilled import PARTS, Distilled, SoftLabels
from csdm_cli.data.store import LongTail
from csdm_cli.display.console import note
from csdm_cli.distillation.soft_labels import PriorCalibration, measure_tau, soft_labels
from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.images.image_set import ImageSet
from csdm_cli.names import EvaluationSplit, LabelKind, StoredLabels, TeacherLoss
from csdm_cli.networks import NetworkSpec
from csdm_cli.networks.numerics import Numerics
from csdm_cli.runs.backbones import weights_again
from csdm_cli.runs.experts import expert_settings, make_experts
from csdm_cli.runs.runtime import Runtime
from csdm_cli.runs.teachers import check_pool
from csdm_cli.settings import sections
from csdm_cli.storage import places
from csdm_cli.teachers.backbones import frozen_pool
from csdm_cli.teachers.plan import TeacherPlan
from csdm_cli.teachers.pool import TeacherPool, train_pool
from csdm_cli.training.labeller import Labeller
from csdm_cli.training.recipe import Duration, Recipe
from csdm_cli.training.tuned import in_training

WHERE = {"dev": "the development set", "train": "the training images, for there is no development set"}


def label(
    images: Tensor, factor: int, settings: sections.Distill, longtail: LongTail, pool: TeacherPool, device: torch.device
) -> tuple[SoftLabels, PriorCalibration]:
    """Soft labels of the stored uint8 ``images`` (N, channels, h, h), and the τ they were freed of priors by."""
    calibration = prior_calibration(settings, longtail, pool, device)
    manifest, stored = longtail.manifest, images.to(device)
    return soft_labels(stored, factor, manifest, pool, settings.temperature, calibration), calibration


def prior_calibration(
    settings: sections.Distill, longtail: LongTail, pool: TeacherPool, device: torch.device
) -> PriorCalibration:
    """τ as it was given, or chosen on the development set; without one, on the training images, class by class.

    The teachers know the training images by heart, so that a τ chosen there rather errs: a development set is better.
    """
    if settings.prior_calibration != "auto":
        return PriorCalibration(float(settings.prior_calibration))
    manifest = longtail.manifest
    images, name = (longtail.dev(), "dev") if manifest.dev_per_class else (longtail.train(), "train")
    return measure_tau(pool, images.to(device), manifest.counts, name)


def chosen_on(settings: sections.Distill, longtail: LongTail) -> str | None:
    """Fingerprint of the images beyond the training set that decide the labels, if any do."""
    by_dev = settings.labels is StoredLabels.soft and settings.prior_calibration == "auto"
    return longtail.manifest.fingerprints.get("dev") if by_dev else None


def measured_on(distilled: Distilled) -> str | None:
    """The images that a set's τ was chosen on, or that of a set which it was made of; None if it was given.

    Where several were made of different images, the development set, which such labels cannot be tested on.
    """
    found = set(_measured_on(distilled.provenance.config))
    return EvaluationSplit.dev if EvaluationSplit.dev in found else next(iter(found), None)


def _measured_on(config: Mapping[str, Any]) -> Iterator[str]:
    if on := (config.get("prior_calibration") or {}).get("measured_on"):
        yield str(on)
    parts = config.get(PARTS)
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, Mapping) and isinstance(own := part.get("config"), Mapping):
            yield from _measured_on(own)


def refuse_images_of_choice(labels: LabelKind, measured_on: str | None, split: EvaluationSplit) -> None:
    """Raises: UsageError if students of soft labels are to be tested on the images that their τ was chosen on."""
    if labels is LabelKind.soft and measured_on == split == EvaluationSplit.dev:
        raise UsageError(
            "--split dev: the soft labels' --prior-calibration auto was chosen on these images, which cannot test it;"
            " evaluate with --split test or --labels hard, or distil with a number in place of auto"
        )


def describe_calibration(calibration: Mapping[str, Any]) -> str:
    """A calibration's provenance in words."""
    where = calibration.get("measured_on")
    return f"prior calibration: τ {calibration['tau']:g}" + (f", chosen on {WHERE[where]}" if where else "")


def refuse_unknown_teachers(distilled: Distilled) -> None:
    """Raises: CsdmError if a set does not tell who gave its soft labels, as another tool's does not."""
    if distilled.soft_labels is None or not {"teachers", "prior_calibration"} <= distilled.provenance.config.keys():
        raise CsdmError("the fairness of soft labels needs the teachers that gave them, which this set does not name")


def labels_like_the_sets(
    images: Tensor,
    distilled: Distilled,
    longtail: LongTail,
    train: ImageSet,
    cache: Path,
    device: torch.device,
    *,
    quiet: bool,
) -> Tensor:
    """Probabilities (N, classes) for other ``images`` by the teachers, temperature and τ of a soft-labelled set.

    The teachers are those in the cache, or made again from what the set tells of them.

    Raises:
        CsdmError: if it tells nothing of them.
    """
    refuse_unknown_teachers(distilled)
    assert distilled.soft_labels is not None
    origin = distilled.provenance.config
    pool = teachers_again(origin["teachers"], train, cache, device, quiet=quiet)
    temperature, tau = distilled.soft_labels.temperature, PriorCalibration(float(origin["prior_calibration"]["tau"]))
    return soft_labels(images.to(device), 1, longtail.manifest, pool, temperature, tau).probabilities


def labeller_for(
    labels: LabelKind,
    distilled: Distilled,
    longtail: LongTail,
    teachers: Path | TeacherPool | None,
    device: torch.device,
    numerics: Numerics,
    *,
    quiet: bool,
) -> Labeller | None:
    """The pool that labels what students see: the one named, else the set's own, found or made again.

    It computes as the students do, by ``numerics``.

    Returns:
        None if labels are stored.

    Raises:
        UsageError: if no pool is named, and the set tells of none.
        CsdmError: if it cannot be had, or was trained on another set.
    """
    if labels is not LabelKind.teacher:
        return None
    pool = _labelling_pool(distilled, longtail, teachers, device, quiet=quiet)
    networks = (pool.network(number).to(device) for number in range(len(pool)))
    return Labeller(tuple(in_training(one, pool.spec, numerics) for one in networks), pool.key, pool.description)


def _labelling_pool(
    distilled: Distilled, longtail: LongTail, teachers: Path | TeacherPool | None, device: torch.device, *, quiet: bool
) -> TeacherPool:
    if teachers is not None:
        pool = teachers if isinstance(teachers, TeacherPool) else TeacherPool.open(teachers)
        check_pool(pool, longtail)
        return pool
    described = distilled.provenance.config.get("teachers")
    if not described:
        raise UsageError("--labels teacher: this set tells of no teachers: name them with --teachers")
    return teachers_again(described, longtail.train(), places.cache_dir(), device, quiet=quiet)


def teachers_again(
    described: Mapping[str, Any], train: ImageSet, cache: Path, device: torch.device, *, quiet: bool
) -> TeacherPool:
    """The pool of that ``TeacherPool.description``, teachers or experts, from the cache as far as it is there."""
    pool = _made_again(described, train, cache, device, quiet=quiet)
    if pool.key != described["key"]:
        note("warning: the set's teachers were made again, but not to the bit: another device, torch or version")
    return pool


def _made_again(
    described: Mapping[str, Any], train: ImageSet, cache: Path, device: torch.device, *, quiet: bool
) -> TeacherPool:
    if "every" in described:
        settings = sections.Pretrain.model_validate(expert_settings(described))
        return make_experts(settings, train, device, Runtime(quiet=quiet))
    plan = TeacherPlan(
        teachers=int(described["teachers"]),
        duration=Duration.told(described),
        loss=TeacherLoss(described["loss"]),
        recipe=Recipe(**described["recipe"]),
        trajectory=bool(described["trajectory"]),
        seed=int(described["seed"]),
    )
    numerics = Numerics.told(described.get("numerics"))
    spec = NetworkSpec(**described["spec"])
    if spec.frozen:
        return frozen_pool(train, spec, plan, cache, device, lambda: weights_again(spec), quiet=quiet)
    return train_pool(train, spec, plan, cache, device, quiet=quiet, numerics=numerics)
