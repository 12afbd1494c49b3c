"""The tensors that the images of a run are made of, and where it starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from csdm_cli.distillation.leaves import IMAGES, Leaves, PixelPlan
from csdm_cli.distillation.loop import Iteration
from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.initial import initial_images
from csdm_cli.methods.learning import Learned
from csdm_cli.names import Initial
from csdm_cli.parallel.class_shares import ClassShare
from csdm_cli.parameterisations.choose import chosen
from csdm_cli.parameterisations.multi_formation import MultiFormation
from csdm_cli.parameterisations.parameterisation import Parameterisation, Shape
from csdm_cli.parameterisations.pixels import Pixels
from csdm_cli.runs.choose import SettledOptimised


@dataclass(frozen=True)
class ReadyRun:
    """A run that can begin.

    Attributes:
        parameterisation: how the images are made of the leaves.
        leaves: the leaves that are learned.
        iterate: one step, by its number; gives every loss term by its name.
        share: whose classes the leaves are of, where several ranks share them; None for all.
    """

    parameterisation: Parameterisation
    leaves: Leaves
    iterate: Iteration
    share: ClassShare | None = field(default=None, kw_only=True)

    @property
    def calibration(self) -> float | None:
        """The weight of the teachers' cross-entropy, whether it was given as such or as a ratio; None without one."""
        return None


def parameterisation_of(settings: SettledOptimised, data: ImageSet) -> Parameterisation:
    """How the images of a run are made of what is learned."""
    return chosen(
        settings.parameterization,
        Shape(data.classes, data.channels, data.size),
        settings.ipc,
        lambda: [data.of_class(label).float() / 255 for label in range(data.classes)],
        factor=settings.factor,
        coefficients=settings.coefficients,
        shared_kernels=settings.shared_kernels,
        tensor_side=settings.tensor_side,
    )


def factor_of(parameterisation: Parameterisation) -> int | None:
    """Cells per side, where its one leaf is stored images, which decode chunk by chunk; None of the others."""
    if isinstance(parameterisation, MultiFormation):
        return parameterisation.factor
    return 1 if isinstance(parameterisation, Pixels) else None


def part_of(parameterisation: Parameterisation, share: ClassShare | None) -> Parameterisation:
    """That of a share's classes; the whole without one."""
    return parameterisation if share is None else parameterisation.part(share.first, share.last)


def leaves_at_start(
    settings: SettledOptimised,
    data: ImageSet,
    parameterisation: Parameterisation,
    dtype: torch.dtype,
    *,
    share: ClassShare | None = None,
    learned: Callable[[Tensor], Mapping[str, Learned]] | None = None,
) -> Leaves:
    """The leaves before the first step, and their optimiser.

    Args:
        settings: settings of the run.
        data: the real images that they start from.
        parameterisation: that of all classes.
        dtype: type of the leaves.
        share: whose classes they are of; None for all.
        learned: gives what is learned beside them, from the decoded images of all classes.
    """
    plan = PixelPlan(
        *(settings.optimizer, settings.lr, settings.schedule, settings.iterations),
        *(settings.average, settings.weight_decay),
    )
    factor, device = factor_of(parameterisation), data.images.device
    if factor is not None:
        whole = {IMAGES: initial_images(data, settings.ipc, factor, settings.initial, settings.seed, dtype)}
    else:
        kind = Initial.real if settings.initial is Initial.mix else settings.initial
        images = initial_images(data, parameterisation.per_class, 1, kind, settings.seed, dtype)
        whole = parameterisation.initial(images.to(device))
    if share is not None:
        by_class = {name: leaf.unflatten(0, (data.classes, -1)) for name, leaf in whole.items()}
        own = {name: leaf[share.first : share.last].flatten(0, 1).to(device) for name, leaf in by_class.items()}
        return Leaves(own, plan, parameterisation.project)
    leaves = {name: leaf.to(device) for name, leaf in whole.items()}
    return Leaves(leaves, plan, parameterisation.project, _beside(learned, parameterisation, leaves))


@torch.no_grad()
def _beside(
    learned: Callable[[Tensor], Mapping[str, Learned]] | None,
    parameterisation: Parameterisation,
    leaves: dict[str, Tensor],
) -> Mapping[str, Learned] | None:
    return None if learned is None else learned(parameterisation.decode(leaves).clamp(0, 1))
