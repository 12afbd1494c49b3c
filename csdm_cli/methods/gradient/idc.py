"""IDC: gradient matching with a network that learns from real images (Kim et al., ICML 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from csdm_cli.images.augment import Theta
from csdm_cli.methods.bounds import Rate, Several, Some
from csdm_cli.methods.contract import option
from csdm_cli.methods.gradient.base import GradientMatching, Rounds, one_draw_per_class
from csdm_cli.methods.gradient.distances import Distance, absolute, relative, squared
from csdm_cli.methods.learning import Scene
from csdm_cli.names import AugmentMode
from csdm_cli.training.batches import Batches, Examples
from csdm_cli.training.recipe import Recipe

PAPER_LR = 0.005  # at 10 images per class, pixels in [0, 1], images of 32x32


@dataclass(frozen=True, kw_only=True)
class IdcParameters(Rounds):
    """Options of idc."""

    augment: str
    augment_mode: AugmentMode
    outer: Several = option(100, "steps of the images per network")
    inner: Several = option(32, "steps of the network between two of the images")
    network_lr: Rate = option(0.01, "learning rate of the network, SGD of momentum 0.9 and weight decay 5e-4")
    network_batch: Several = option(64, "real images per step of the network")
    metric: Literal["l2", "l1"] = option("l2", "of two gradients, squared; l1 is the paper's for digits and ImageNet")
    relative: bool = option(
        False, "a class's distance divided by that of its real gradient from zero, so that all classes weigh alike"
    )
    early: Some = option(0, "steps of a new network on real images before it is looked at")


class Idc(GradientMatching):
    """Σ_c Σ over convolutions' weights of ‖real gradient − synthetic gradient‖² (equation 5).

    The network learns from augmented real images, mixed by cutmix, so that it knows nothing of the synthetic ones. Real
    and synthetic images of a class have one draw of augmentation in a step. The paper's multi-formation is factor 2.
    """

    Parameters: ClassVar[type[IdcParameters]] = IdcParameters
    parameters: IdcParameters
    summary = "matching of training gradients along a network's training on real images"
    source = "Kim et al., ICML 2022, arXiv 2205.14959"
    cost = (
        "per step a gradient of real_batch real images and a second derivative of the synthetic ones per class, and"
        " inner training steps on real images"
    )
    departures = (
        "one step for all classes; inner counts steps of the network (the paper's 2,000 images are 32 of 64); the"
        " network's images are augmented by all of the operations"
    )
    coupled_by = ""  # a class is seen through the network and its real images, whatever the others become
    default_real_batch = 64
    network_momentum, network_weight_decay, network_cutmix = 0.9, 5e-4, 0.5

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        """For CIFAR: 2,000 networks of 100 steps each, and a rate that grows with the images per class."""
        augment = {"augment": "color_crop_cutout", "augment_mode": AugmentMode.compose}
        return {
            "distill": {"iterations": 200_000, "optimizer": "sgd", "lr": PAPER_LR * ipc / 10, "schedule": "constant"}
            | {"factor": 2, "initial": "mix", "real_batch": cls.default_real_batch}
            | augment
        }

    @property
    def distance(self) -> Distance:
        own = squared if self.parameters.metric == "l2" else absolute
        return relative(own) if self.parameters.relative else own

    def augmentation(self, step: int, classes: int) -> Theta | None:
        operations, mode = self.parameters.augment, self.parameters.augment_mode
        return one_draw_per_class(self.context.seed, step, classes, operations, mode)

    @property
    def network_augmentation(self) -> tuple[str, str]:
        return self.parameters.augment, self.parameters.augment_mode

    @property
    def early_steps(self) -> int:
        return self.parameters.early

    def network_batches(self, scene: Scene | None, recipe: Recipe, seed: int) -> Batches:
        data = self.data
        return Batches(Examples(data.images, data.labels, data.mean, data.std), recipe, seed, data.classes)
