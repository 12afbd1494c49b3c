"""What the images of a run are made of, and where it starts."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from csdm_cli.distillation.leaves import Leaves, PixelPlan
from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.initial import initial_images
from csdm_cli.methods.learning import Learned
from csdm_cli.names import Initial
from csdm_cli.parallel.class_shares import ClassShare
from csdm_cli.parameterisations.multi_formation import MultiFormation
from csdm_cli.parameterisations.parameterisation import Parameterisation, Shape
from csdm_cli.runs.choose import SettledOptimised


def parameterisation_of(settings: SettledOptimised, data: ImageSet) -> Parameterisation:
    """How the images of a run are made of what is learned."""
    shape = Shape(data.classes, data.channels, data.size)
    return MultiFormation(shape, settings.ipc, settings.factor)


def is_grid(parameterisation: Parameterisation) -> bool:
    """Whether its one leaf is stored images, which decode chunk by chunk."""
    return isinstance(parameterisation, MultiFormation)


def leaves_at_start(
    settings: SettledOptimised,
    data: ImageSet,
    parameterisation: Parameterisation,
    dtype: torch.dtype,
    *,
    share: ClassShare | None = None,
    learned: Mapping[str, Learned] | None = None,
) -> Leaves:
    """The leaves before the first step, those of a ``share`` of the classes where there is one, and their optimiser."""
    plan = PixelPlan(
        *(settings.optimizer, settings.lr, settings.schedule, settings.iterations),
        *(settings.average, settings.weight_decay),
    )
    device = data.images.device
    if is_grid(parameterisation):
        start = initial_images(data, settings.ipc, settings.factor, settings.initial, settings.seed, dtype)
        if share is not None:
            start = start[share.first * settings.ipc : share.last * settings.ipc]
        return Leaves(start.to(device), plan, learned=learned)
    kind = Initial.real if settings.initial is Initial.mix else settings.initial
    images = initial_images(data, parameterisation.per_class, 1, kind, settings.seed, dtype)
    return Leaves(parameterisation.initial(images.to(device)), plan, parameterisation.project, learned)
