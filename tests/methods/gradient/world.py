"""The world that the tests of these methods share: three tiny classes, a narrow network, and a method on its scene."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from csdm_cli.images.image_set import ImageSet
from csdm_cli.methods.contract import Context
from csdm_cli.methods.learning import LearningMethod, Scene
from csdm_cli.networks.numerics import PLAIN, Numerics
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.runs.method_options import make_method
from csdm_cli.settings import sections

COUNTS = (9, 6, 3)
SPEC = NetworkSpec("convnet", 4, 2, "instance", "avg", 3, 8, len(COUNTS))


def data(counts: tuple[int, ...] = COUNTS) -> ImageSet:
    """Noise about a mean of each class's own."""
    rng = torch.Generator().manual_seed(0)
    means = torch.rand(len(counts), 3, 1, 1, generator=rng)
    parts = [means[c] + 0.3 * torch.rand(n, 3, 8, 8, generator=rng) for c, n in enumerate(counts)]
    images = (torch.cat(parts).clamp(0, 1) * 255).to(torch.uint8)
    names = tuple(str(label) for label in range(len(counts)))
    return ImageSet(images, counts, names, (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))


def prepared(
    name: str,
    per_class: int = 2,
    real: ImageSet | None = None,
    *,
    dtype: torch.dtype = torch.float64,
    numerics: Numerics = PLAIN,
    **settings: Any,
) -> LearningMethod:
    """A method that has seen no step yet; no augmentation unless it is asked for."""
    chosen = sections.Distill.model_validate({"method": name, "augment": "none", "real_batch": 5} | settings)
    method, real = make_method(chosen), real or data()
    assert isinstance(method, LearningMethod)
    spec = NetworkSpec("convnet", 4, 2, "instance", "avg", 3, 8, real.classes)
    cpu = torch.device("cpu")
    method.prepare(Context(real.counts, cpu, dtype, per_class, chosen.seed, None, real, spec, numerics))
    return method


def scene(per_class: int = 2, classes: int = len(COUNTS), seed: int = 1) -> Scene:
    """Random images."""
    rng = torch.Generator().manual_seed(seed)
    images = torch.rand(classes * per_class, 3, 8, 8, generator=rng, dtype=torch.float64)
    return Scene(images.requires_grad_(True), per_class)


def moved(method: LearningMethod, steps: int, per_class: int = 2, rate: float = 0.05) -> tuple[Scene, list[float]]:
    """Some steps of plain gradient descent: the images, and the loss at every step."""
    own, losses = scene(per_class), []
    for step in range(steps):
        own.images.grad = None
        losses.append(float(torch.stack(list(method.step(own, step).values())).sum()))
        with torch.no_grad():
            own.images.sub_(rate * own.images.grad)
        method.after_move(own, step)
    return own, losses


def beside_a_darker_class(prepare: Callable[[], LearningMethod], steps: int) -> Tensor:
    """The images' derivatives at every step, no image moving: with class 1 as it is, and darker: (2, steps, N, …)."""
    found = []
    for brightness in (1.0, 0.8):
        method, own = prepare(), scene()
        with torch.no_grad():
            own.images[own.rows(1)] *= brightness
        for step in range(steps):
            own.images.grad = None
            method.step(own, step)
            method.after_move(own, step)
            assert own.images.grad is not None
            found.append(own.images.grad)
    return torch.stack(found).unflatten(0, (2, steps))
