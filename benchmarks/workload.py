"""The workload of the benchmarks: sets of random images with the sizes of CIFAR-10-LT, and barely trained teachers.

Neither the pixels nor the weights change what an iteration costs.
"""

from __future__ import annotations

from pathlib import Path

import torch

from csdm_cli.data.longtail import class_counts
from csdm_cli.images.image_set import ImageSet
from csdm_cli.methods.contract import MatchingMethod
from csdm_cli.names import ImbalanceProfile
from csdm_cli.networks.numerics import PLAIN, Numerics
from csdm_cli.runs.assemble import Assembly, assemble
from csdm_cli.runs.choose import SettledOptimised, decided
from csdm_cli.runs.teachers import network_spec, teacher_plan
from csdm_cli.settings.sections import Distill, Pretrain
from csdm_cli.teachers.pool import TeacherPool, train_pool

CLASSES, SIZE, IMBALANCE = 10, 32, 200
TEACHERS = Pretrain().teachers
VIEWS = TEACHERS * Distill().draws


def random_set(n_max: int, device: torch.device, classes: int = CLASSES) -> ImageSet:
    """Noise with the class sizes of CIFAR-10-LT at β = 200, as far as ``n_max`` images in the head allow."""
    counts = class_counts(ImbalanceProfile.exponential, classes, n_max, IMBALANCE if n_max >= IMBALANCE else n_max / 2)
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (sum(counts), 3, SIZE, SIZE), generator=rng, dtype=torch.uint8)
    names = tuple(str(label) for label in range(classes))
    return ImageSet(images.to(device), counts, names, (0.49, 0.48, 0.45), (0.25, 0.24, 0.26))


def random_pool(width: int, device: torch.device, cache: Path, epochs: int = 1) -> TeacherPool:
    """As many ConvNets as by default, taught twenty images for a few epochs: files like those of real teachers."""
    chosen = Pretrain(width=width, epochs=epochs, trajectory=epochs > 1)
    data = random_set(2, device)
    plan, spec = teacher_plan(chosen), network_spec(chosen, data)
    return train_pool(data, spec, plan, cache, device, quiet=True)


def set_up(
    settings: Distill, data: ImageSet, width: int, cache: Path, numerics: Numerics = PLAIN, *, epochs: int = 1
) -> Assembly:
    """A run with these teachers; builds its bank."""
    settled, method = decided(settings)
    assert isinstance(settled, SettledOptimised) and isinstance(method, MatchingMethod)
    pool = random_pool(width, data.images.device, cache, epochs)
    return assemble(settled, method, data, pool, cache, quiet=True, numerics=numerics)
