"""The world of all tests of optimised methods: a tiny set, two teachers that need no training, runs on the engine."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from csdm_cli.distillation.checkpoint import Checkpoint
from csdm_cli.distillation.layout import Chunking
from csdm_cli.distillation.loop import Distillation, optimise
from csdm_cli.images.image_set import ImageSet
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.runs.assemble import Assembly, assemble
from csdm_cli.runs.choose import decided
from csdm_cli.settings import sections
from tests.tiny_pool import UntrainedPool

COUNTS = (9, 6, 3)
EPOCHS = 10
SETTINGS = {"ipc": 2, "factor": 2, "draws": 2, "frequencies": 12, "real_batch": 4, "iterations": 6, "lr": 0.02}
LAYOUTS = [Chunking(3, 2), Chunking(2, 2), Chunking(1, 2), Chunking(1, 1)]


@dataclass(frozen=True)
class Pool(UntrainedPool):
    """Teachers with epochs and training accuracies."""

    epochs: int = EPOCHS
    train_accuracy: tuple[tuple[float, ...], ...] = ((1.0, 0.5, 0.25), (0.5, 1.0, 0.75))


def make_data() -> ImageSet:
    rng = torch.Generator().manual_seed(0)
    means = torch.rand(len(COUNTS), 3, 1, 1, generator=rng)
    parts = [means[c] + 0.3 * torch.rand(n, 3, 8, 8, generator=rng) for c, n in enumerate(COUNTS)]
    images = (torch.cat(parts).clamp(0, 1) * 255).to(torch.uint8)
    return ImageSet(images, COUNTS, ("a", "b", "c"), (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))


def make_pool(norm: str = "instance") -> Pool:
    return Pool(NetworkSpec("convnet", 4, 2, norm, "avg", 3, 8, len(COUNTS)))


def assembled(folder, method: str, dtype=torch.float64, pool: Pool | None = None, **settings) -> Assembly:
    chosen = sections.Distill(method=method, **SETTINGS | settings)
    return assemble(*decided(chosen), make_data(), pool or make_pool(), folder, quiet=True, dtype=dtype)


def gradient(parts: Assembly, step: int, layout: Chunking | None = None) -> tuple[float, Tensor]:
    """Loss and gradient of a step, without taking it."""
    parts.matching.layout = layout or Chunking(len(COUNTS), 2)
    images = parts.leaves.images
    images.grad = None
    terms = parts.matching.backward(images, parts.real.at(step), step)
    found, images.grad = images.grad.clone(), None
    return float(sum(terms.values())), found


def check_chunking(parts: Assembly, step: int, *, rtol: float = 0, atol: float = 1e-9) -> None:
    """Loss and gradient of a step are the same however classes are chunked and their images cut into pieces."""
    loss, whole = gradient(parts, step)
    assert whole.abs().max() > 1e3 * atol, "nothing to compare"
    check_layouts(parts, step, loss, whole, rtol=rtol, atol=atol)


def check_layouts(parts: Assembly, step: int, loss: float, whole: Tensor, *, rtol: float = 0, atol: float) -> None:
    """In every layout, ``loss`` and the gradient ``whole``, of the images' shape."""
    for layout in LAYOUTS:
        value, found = gradient(parts, step, layout)
        assert value == pytest.approx(loss, rel=1e-9, abs=1e-9)
        torch.testing.assert_close(found, whole, rtol=rtol, atol=atol)


def finished(parts: Assembly, folder, stop: int | None = None) -> Distillation:
    """A run from its checkpoint in ``folder``, or from the start, to its end or to an interruption."""

    def iterate(step: int) -> dict[str, Tensor]:
        if step == stop:
            raise InterruptedError
        return parts.iterate(step)

    checkpoint = Checkpoint(folder, "run", 0 if stop else 1e9)
    return optimise(parts.leaves, parts.method, iterate, checkpoint, quiet=True)


def check_resumption(folder, stop: int, method: str, **settings) -> None:
    """A run cut at ``stop`` goes on to the bytes of a whole one: images, losses and the method's own state."""
    whole, cut, again = (assembled(folder, method, torch.float32, **settings) for _ in range(3))
    expected = finished(whole, folder / "whole")
    with pytest.raises(InterruptedError):
        finished(cut, folder / "cut", stop=stop)
    found = finished(again, folder / "cut")
    assert torch.equal(found.images, expected.images)
    assert all(torch.equal(found.history[name], values) for name, values in expected.history.items())
    state, other = whole.method.state_dict(), again.method.state_dict()
    assert state.keys() == other.keys() and all(torch.equal(state[name], other[name]) for name in state)
