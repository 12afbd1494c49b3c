"""Every parameterisation over the same few classes, and images for it to start from."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from csdm_cli.parameterisations.decomposition import Decomposition
from csdm_cli.parameterisations.frequency import Frequency, class_masks
from csdm_cli.parameterisations.multi_formation import MultiFormation
from csdm_cli.parameterisations.parameterisation import Parameterisation, Shape
from csdm_cli.parameterisations.pixels import Pixels
from csdm_cli.parameterisations.pyramid import Pyramid

SHAPE = Shape(classes=3, channels=3, size=8)


def smooth_images(count: int, seed: int = 0, shape: Shape = SHAPE) -> Tensor:
    """Images in (0, 1) whose neighbouring pixels are alike."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, shape.channels, 4, 4, generator=rng, dtype=torch.float64)
    fine = torch.nn.functional.interpolate(coarse, size=shape.size, mode="bilinear", align_corners=False)
    return 0.05 + 0.9 * fine


def of_every_kind() -> dict[str, Parameterisation]:
    real = [smooth_images(20, seed=label) for label in range(SHAPE.classes)]
    return {
        "pixels": Pixels(SHAPE, per_class=4),
        "multi-formation": MultiFormation(SHAPE, ipc=1, factor=2),
        "frequency": Frequency(SHAPE, per_class=4, masks=class_masks(real, kept=10)),
        "decomposition": Decomposition(SHAPE, tensors=2, kernels=2, sizes=(2, 4, 5)),
        "pyramid": Pyramid(SHAPE, per_class=4),
    }


@pytest.fixture(params=list(of_every_kind()))
def parameterisation(request: pytest.FixtureRequest) -> Parameterisation:
    return of_every_kind()[request.param]


@pytest.fixture
def images() -> Tensor:
    return smooth_images(12, seed=9)
