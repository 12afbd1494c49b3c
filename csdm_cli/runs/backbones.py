"""Frozen backbones as the settings of pretrain ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torch import Tensor

from csdm_cli.data.store import Manifest
from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.images.image_set import ImageSet
from csdm_cli.names import BackboneName
from csdm_cli.networks.spec import Frozen, NetworkSpec, Pretext
from csdm_cli.networks.weights import DEFAULT, Weights, input_of, weights_of
from csdm_cli.settings import sections
from csdm_cli.teachers.backbones import WeightsSource
from csdm_cli.teachers.plan import TeacherPlan
from csdm_cli.training.probe import probe_recipe
from csdm_cli.training.recipe import Duration

CENTRES = 800
# Of the probe on all training images, which is a backbone's classifier.
EPOCHS, BATCH = 100, 128
# Of training without labels, where nobody says.
PRETEXT_EPOCHS = 100

# What trains a network, and a frozen one does not read.
TRAINING = ("lr", "momentum", "weight_decay", "batch", "augment", "augment_mode", "cutmix", "trajectory")
# What training without labels alone reads.
SELF_SUPERVISED = tuple(
    name
    for name, field in sections.Pretrain.model_fields.items()
    if field.json_schema_extra == sections.SELF_SUPERVISION
)
# Those of them that another name has in the description of a backbone.
RENAMED = {"batch": "objective_batch", "lr": "objective_lr", "weight_decay": "objective_weight_decay"}

# What tells a network all it must know of images.
Shape = ImageSet | Manifest


def is_frozen(settings: sections.Pretrain) -> bool:
    """Whether ``settings`` ask for a network that is never trained by labels."""
    given = settings.weights is not None or settings.objective is not None
    return given or settings.network in tuple(BackboneName)


def refuse_idle_of_backbones(settings: sections.Pretrain, given: frozenset[str]) -> None:
    """Raises: UsageError if an option ``given`` by the user has no effect on this network, frozen or not."""
    frozen, learns = is_frozen(settings), settings.objective is not None
    idle = (*TRAINING, "teachers") if frozen else ()
    for name in (*idle, "input_size") if learns or not frozen else idle:
        if name in given and not (name == "teachers" and settings.teachers == 1):
            why = "is trained on images as they are" if name == "input_size" else "is a frozen backbone"
            if name in RENAMED and learns:
                why = f"is trained without labels: use --{RENAMED[name].replace('_', '-')}"
            raise UsageError(f"--{name.replace('_', '-')} has no effect: {settings.network} {why}")
    for name in SELF_SUPERVISED:
        if name in given and not learns:
            raise UsageError(f"--{name.replace('_', '-')} has no effect without --objective")
    if "centres" in given and settings.network != BackboneName.patch_kmeans:
        raise UsageError(f"--centres has no effect on {settings.network}, but on {BackboneName.patch_kmeans}")
    if "weights" in given and settings.network == BackboneName.patch_kmeans:
        raise UsageError(f"--weights has no effect on {settings.network}, which is fitted to the training images")


def frozen_of(settings: sections.Pretrain, images: Shape) -> Frozen:
    """The description of the backbone that ``settings`` ask for.

    Raises:
        UsageError, CsdmError: if its weights cannot be had.
    """
    if settings.network == BackboneName.patch_kmeans:
        unit = (1 / 255,) * images.channels  # its variances are those of pixels from 0 to 255
        return Frozen(
            origin="fitted to the training images, without their labels",
            size=settings.input_size or images.size,
            mean=(0.0,) * images.channels,
            std=unit,
            feature="triangle activation of whitened 6x6 patches, summed over quadrants, standardised",
            centres=settings.centres or CENTRES,
        )
    if settings.objective is not None:
        return Frozen(
            origin=f"trained by {settings.objective} on the training images, without their labels",
            size=images.size,
            mean=images.mean,
            std=images.std,
            feature="input of the classifier",
            pretext=_pretext(settings),
        )
    found, wanted = _weights(settings), input_of(settings.network)
    return Frozen(
        origin=found.origin,
        size=settings.input_size or (wanted.size if wanted else images.size),
        mean=wanted.mean if wanted else images.mean,
        std=wanted.std if wanted else images.std,
        feature="input of the classifier",
        weights=found.digest,
    )


def probe_plan(settings: sections.Pretrain) -> TeacherPlan:
    """The training of a backbone's classifier: of a linear probe on all training images."""
    # those that are given are of the training before it, where there is such
    asked = settings.objective is None and (settings.epochs is not None or settings.steps is not None)
    duration = Duration(settings.epochs, settings.steps) if asked else Duration(epochs=EPOCHS)
    return TeacherPlan(1, duration, settings.loss, probe_recipe(BATCH), trajectory=False, seed=settings.seed)


def _pretext(settings: sections.Pretrain) -> Pretext:
    assert settings.objective is not None
    return Pretext(
        objective=settings.objective,
        epochs=PRETEXT_EPOCHS if settings.epochs is None and settings.steps is None else settings.epochs,
        steps=settings.steps,
        batch=settings.objective_batch,
        lr=settings.objective_lr,
        weight_decay=settings.objective_weight_decay,
        views=settings.views,
        projector=settings.projector,
    )


def pretext_settings(pretext: Pretext) -> dict[str, Any]:
    """The settings that ask for it."""
    return {RENAMED.get(name, name): value for name, value in asdict(pretext).items()}


def weights_source(settings: sections.Pretrain) -> WeightsSource:
    """Gives the weights that ``settings`` name."""
    return lambda: _weights(settings).tensors


def weights_again(spec: NetworkSpec) -> Mapping[str, Tensor]:
    """The weights of a backbone that a set tells of, if they are those it comes with.

    Raises:
        CsdmError: if they are others.
    """
    assert spec.frozen is not None
    found = weights_of(spec.name, DEFAULT)
    if found.digest != spec.frozen.weights:
        raise CsdmError(
            f"the weights of {spec.name} ({spec.frozen.origin}) are not in the cache: name its pool with --teachers, or"
            " run csdm pretrain with the same --weights again"
        )
    return found.tensors


def _weights(settings: sections.Pretrain) -> Weights:
    return weights_of(settings.network, settings.weights or DEFAULT)
