"""Runs on images that are made of something else than pixels: gradients on the leaves, resumption, the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import jacfwd

from csdm_cli.artifacts.distilled import Coded, Decoding
from csdm_cli.artifacts.file import FILE_NAME, load_distilled, save_distilled
from csdm_cli.distillation.checkpoint import Checkpoint
from csdm_cli.distillation.decoded import Decoded
from csdm_cli.distillation.layout import Chunking
from csdm_cli.distillation.leaves import Leaves
from csdm_cli.distillation.loop import Distillation, optimise
from csdm_cli.errors import CsdmError
from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.initial import to_uint8
from csdm_cli.methods import load, method_names
from csdm_cli.methods.contract import OptimisedMethod, parameter_names
from csdm_cli.methods.learning import LABEL_LOGITS, LOG_STEP, LearningMethod, Scene
from csdm_cli.methods.trajectory.base import TrajectoryMethod
from csdm_cli.names import Parameterization
from csdm_cli.parameterisations.multi_formation import MultiFormation
from csdm_cli.parameterisations.parameterisation import dequantised
from csdm_cli.parameterisations.pixels import Pixels
from csdm_cli.parameterisations.pyramid import Pyramid
from csdm_cli.parameterisations.stored import described
from csdm_cli.runs.assemble import Assembly, assemble
from csdm_cli.runs.assemble_learning import LearningAssembly, assemble_learning
from csdm_cli.runs.choose import decided
from csdm_cli.settings import sections
from tests.artifacts.sets import make_set
from tests.methods.tiny_world import SETTINGS, make_data, make_pool
from tests.methods.trajectory.followed import known_experts

KINDS = list(Parameterization)
MADE = [kind for kind in KINDS if kind not in (Parameterization.pixels, Parameterization.multi_formation)]
METHODS = ["csdm", "dm", "dsdm", "ncfm", "dc", "dsa"]
OPTIMISED = [name for name in method_names() if issubclass(load(name), OptimisedMethod)]
# One of each family: statistics are matched, gradients, an expert's way, and that with labels that are learned.
FAMILIES = ["dm", "dc", "mtt", "lad"]
# What networks learn meanwhile, cut short; no loss is too large to count.
SHORT: dict[str, Any] = {"inner": 2, "outer": 2, "most_steps": 2, "most_epochs": 2, "window": 2}
SHORT |= {"student_steps": 2, "classifier_steps": 2, "latest": 2, "step_size": 0.05, "threshold": 0.0}
# All real images without augmentation and a constant rate, so that the losses of steps can be compared.
STILL: dict[str, Any] = {"augment": "none", "schedule": "constant", "real_batch": 100, "average": 0.5, "lr": 0.005}


def ready(
    folder: Path,
    method: str,
    kind: Parameterization,
    dtype=torch.float32,
    data: ImageSet | None = None,
    **settings: Any,
) -> Assembly | LearningAssembly:
    """A run in the tiny world, which starts at its first step."""
    factor = 2 if kind is Parameterization.multi_formation else 1
    cls = load(method)
    learns = issubclass(cls, LearningMethod)
    short = {name: value for name, value in SHORT.items() if learns and name in parameter_names(cls)}
    told = SETTINGS | {"option": short, "method": method, "parameterization": kind, "factor": factor} | settings
    settled, own = decided(sections.Distill.model_validate(told))
    data, pool = data or make_data(), known_experts() if issubclass(cls, TrajectoryMethod) else make_pool()
    if isinstance(own, LearningMethod):
        return assemble_learning(settled, own, data, pool.spec, pool, dtype=dtype)
    return assemble(settled, own, data, pool, folder / "cache", quiet=True, dtype=dtype)


def least(kind: Parameterization) -> int:
    """The smallest budget in which there is room for a class."""
    return 2 if kind is Parameterization.decomposition else 1


def finished(parts: Assembly | LearningAssembly, folder: Path, stop: int | None = None) -> Distillation:
    """A run from its checkpoint in ``folder``, or from the start, to its end or to an interruption before ``stop``."""

    def iterate(step: int) -> dict[str, Tensor]:
        if step == stop:
            raise InterruptedError
        return parts.iterate(step)

    return optimise(parts.leaves, parts.method, iterate, Checkpoint(folder, "run", 0 if stop else 1e9), quiet=True)


def total(result: Distillation) -> Tensor:
    return torch.stack([values.reshape(len(values), -1).sum(1) for values in result.history.values()]).sum(0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["dm", "dc", "mtt", "datm"])
def test_the_leaves_gradient_is_that_of_the_images_through_the_jacobian(tmp_path, monkeypatch, method, kind):
    """The Jacobian is of forward differentiation; the images' gradient is as the method left it, none beyond [0, 1]."""
    parts = ready(tmp_path, method, kind, torch.float64, ipc=least(kind))
    start = {name: leaf.detach().clone() for name, leaf in parts.leaves.values.items()}
    on_images, on_leaves = [], {}
    push_back, step = Decoded.push_back, parts.leaves.step
    monkeypatch.setattr(Decoded, "push_back", lambda own: on_images.append(own.images.grad.clone()) or push_back(own))

    def seen(number: int) -> None:
        on_leaves.update({name: leaf.grad.clone() for name, leaf in parts.leaves.values.items()})
        step(number)

    monkeypatch.setattr(parts.leaves, "step", seen)
    parts.iterate(0)
    if not on_images:  # plain pixels of a matching method, which never leave the engine's own chunks
        assert kind not in MADE and method == "dm"
        on_images.append(_images_gradient(tmp_path, method, kind))
    decode = parts.parameterisation.decode
    inside = (decode(start) > -1e-9) & (decode(start) < 1 + 1e-9)  # bounds included
    expected = (on_images[0] * inside).flatten()
    assert expected.abs().max() > 1e-6
    jacobians = jacfwd(decode)(start)
    for name, leaf in start.items():
        jacobian = jacobians[name].reshape(len(expected), leaf.numel())
        torch.testing.assert_close(on_leaves[name].flatten(), jacobian.T @ expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_and_step_size_are_learned_as_beside_the_decoded_images(tmp_path, monkeypatch, kind):
    """datm's derivatives in what is no image, against those of a scene of the images that the leaves decode to."""
    parts = ready(tmp_path, "datm", kind, torch.float64, ipc=least(kind))
    form, learned, on_learned = parts.parameterisation, parts.leaves.learned, {}
    with torch.no_grad():
        images = form.decode(parts.leaves.values).clamp(0, 1)
    beside = {name: own.start.clone().requires_grad_(True) for name, own in parts.method.learned(images).items()}
    assert beside.keys() == learned.keys() == {LABEL_LOGITS, LOG_STEP}
    assert all(torch.equal(leaf, learned[name]) for name, leaf in beside.items())
    assert beside[LABEL_LOGITS].shape == (3 * form.per_class, 3)
    parts.method.step(Scene(images.requires_grad_(True), form.per_class, beside), 0)
    step = parts.leaves.step

    def seen(number: int) -> None:
        on_learned.update({name: leaf.grad.clone() for name, leaf in learned.items()})
        step(number)

    monkeypatch.setattr(parts.leaves, "step", seen)
    parts.iterate(0)
    for name, leaf in beside.items():
        assert leaf.grad.abs().max() > 1e-6
        torch.testing.assert_close(on_learned[name], leaf.grad, rtol=1e-12, atol=0)


def _images_gradient(folder: Path, method: str, kind: Parameterization) -> Tensor:
    """The gradient of the first step on decoded images that are taken as if they were what is stored."""
    parts = ready(folder, method, kind, torch.float64, ipc=1)
    assert isinstance(parts, Assembly)
    decoded = Decoded.of(parts.leaves, parts.parameterisation)
    parts.matching.formation = replace(parts.formation, ipc=parts.formation.per_class, factor=1)
    parts.matching.layout = Chunking(1, parts.formation.per_class)
    parts.matching.backward(decoded.images, parts.real.at(0), 0)
    return decoded.images.grad


@pytest.mark.parametrize("kind", [Parameterization.pixels, Parameterization.multi_formation])
def test_pixels_on_the_bounds_can_leave_them(tmp_path, kind):
    """Black and white pixels, whose images are learned through a network's training."""
    parts = ready(tmp_path, "dc", kind, optimizer="sgd", lr=0.05)
    with torch.no_grad():
        parts.leaves.images.round_()
    black = parts.leaves.images.detach() == 0
    parts.iterate(0)
    moved = parts.leaves.images.detach()
    assert (moved[black] > 0).any() and (moved[~black] < 1).any() and moved.min() >= 0 and moved.max() <= 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_the_loss_falls_and_a_cut_run_ends_with_the_same_leaves(tmp_path, method, kind):
    settings = STILL | ({} if issubclass(load(method), LearningMethod) else {"draws": 1, "calibration": 0.1})
    whole = finished(ready(tmp_path, method, kind, **settings), tmp_path / "whole")
    stop = 1 + (METHODS.index(method) + KINDS.index(kind)) % 5
    with pytest.raises(InterruptedError):
        finished(ready(tmp_path, method, kind, **settings), tmp_path / "cut", stop=stop)
    again = finished(ready(tmp_path, method, kind, **settings), tmp_path / "cut")
    assert again.leaves.keys() == whole.leaves.keys()
    assert all(torch.equal(again.leaves[name], leaf) for name, leaf in whole.leaves.items())
    losses = total(whole)
    assert torch.equal(total(again), losses)
    if issubclass(load(method), LearningMethod):
        assert losses.isfinite().all()  # its network moves on meanwhile
    else:
        assert losses[-1] < losses[0]


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("method", FAMILIES)
def test_a_run_that_is_cut_after_every_step_ends_with_the_same_numbers(tmp_path, method, kind):
    """The second network of dc comes after two of the four steps."""
    whole = finished(ready(tmp_path, method, kind, iterations=4), tmp_path / "whole")
    for stop in (1, 2, 3):
        with pytest.raises(InterruptedError):
            finished(ready(tmp_path, method, kind, iterations=4), tmp_path / "cut", stop=stop)
    again = finished(ready(tmp_path, method, kind, iterations=4), tmp_path / "cut")
    assert again.iterations == 1 and (LABEL_LOGITS in whole.learned) == (method == "lad")
    for part in ("leaves", "learned", "history"):
        found, expected = getattr(again, part), getattr(whole, part)
        assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", OPTIMISED)
def test_every_method_moves_every_parameterisation_and_can_be_stored(tmp_path, method, kind):
    """In two steps; the stored numbers stand for the images that were learned, but for their rounding."""
    parts = ready(tmp_path, method, kind, iterations=2)
    form = parts.parameterisation
    with torch.no_grad():
        start = form.decode(parts.leaves.values).clamp(0, 1)
    found = finished(parts, tmp_path)
    assert all(value.isfinite().all() for value in (*found.leaves.values(), *found.learned.values(), total(found)))
    images = form.decode(found.leaves).clamp(0, 1)
    assert (images - start).abs().max() > 0.01
    torch.testing.assert_close(form.opened(form.stored(found.leaves)), images, rtol=0, atol=0.005)


@pytest.mark.parametrize("kind", [Parameterization.multi_formation, Parameterization.frequency])
@pytest.mark.parametrize("method", ["dc", "dsa", "idc", "dream", "cafe"])
def test_a_derivative_that_is_not_finite_stops_a_method_whose_loss_is(tmp_path, monkeypatch, method, kind):
    """At the last step, after which no loss tells of it."""
    option = {} if method == "cafe" else {"inner": 1}
    parts = ready(tmp_path, method, kind, option=option)
    push_back, pushed = Decoded.push_back, []

    def broken(own: Decoded) -> None:
        pushed.append(own)
        if len(pushed) == SETTINGS["iterations"]:
            own.images.grad[0, 0, 4, 4] = torch.nan
        push_back(own)

    monkeypatch.setattr(Decoded, "push_back", broken)
    with pytest.raises(CsdmError, match=r"no longer finite at step 6: lower --lr, or --option network_lr$"):
        finished(parts, tmp_path)
    assert len(pushed) == 6 and not list(tmp_path.glob("*.safetensors"))


@pytest.mark.parametrize("initial", ["real", "mix", "noise"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_start_and_the_average_of_its_steps(tmp_path, kind, initial):
    """The average is what is stored: of as many steps as there were, by the definition of its decay."""
    parts = ready(tmp_path, "dm", kind, torch.float64, initial=initial, average=0.5, ipc=4)
    seen, step = [], parts.leaves.step

    def noted(number: int) -> None:
        step(number)
        seen.append({name: leaf.detach().clone() for name, leaf in parts.leaves.values.items()})

    parts.leaves.step = noted
    found = finished(parts, tmp_path).leaves
    weights = [0.5 ** (len(seen) - 1 - at) for at in range(len(seen))]
    for name, leaf in found.items():
        expected = sum(weight * leaves[name] for weight, leaves in zip(weights, seen, strict=True)) / sum(weights)
        torch.testing.assert_close(leaf, expected, rtol=1e-12, atol=1e-14)
        assert (leaf != seen[-1][name]).any()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_back_decodes_to_what_the_run_saw(tmp_path, kind):
    parts = ready(tmp_path, "dm", kind)
    leaves, form = dict(finished(parts, tmp_path).leaves), parts.parameterisation
    stored = form.stored(leaves)
    if isinstance(form, MultiFormation | Pixels | Pyramid):
        factor = form.factor if isinstance(form, MultiFormation) else 1
        decoding, rows = Decoding(factor, 8, 8), form.per_class // factor**2
    else:
        decoding, rows = Coded(described(form), SETTINGS["ipc"], 8), form.per_class
    made = make_set(stored=stored, labels=torch.arange(3).repeat_interleave(rows), decoding=decoding)
    file = tmp_path / FILE_NAME
    save_distilled(file, made)
    if isinstance(form, Pyramid):  # whose pixels are quantised, not its levels
        expected = to_uint8(form.decode(leaves)).float() / 255
    else:
        rounded = dequantised({name: stored[name] for name in leaves})
        expected = Decoded.of(Leaves(rounded, parts.leaves.plan, form.project), form).images.detach()
    torch.testing.assert_close(load_distilled(file).decoded(), expected, rtol=0, atol=0)


@pytest.mark.parametrize("method", ["dm", "dc"])
def test_all_frequencies_move_as_pixels_do(tmp_path, method):
    """An orthonormal transform commutes with plain gradient steps, as long as no pixel meets its bounds."""
    real = make_data()
    inner = replace(real, images=(64 + real.images.float() / 2).to(torch.uint8))
    settings = {"optimizer": "sgd", "lr": 0.01, "initial": "real", "dtype": torch.float64, "data": inner}
    pixels = ready(tmp_path, method, Parameterization.pixels, ipc=2, **settings)
    whole = ready(tmp_path, method, Parameterization.frequency, ipc=5, coefficients=64, **settings)
    assert whole.parameterisation.per_class == pixels.parameterisation.per_class == 2
    before = pixels.leaves.images.detach().clone()
    images = finished(pixels, tmp_path / "pixels").images
    assert (images - before).abs().max() > 1e-3 and images.min() > 0 and images.max() < 1
    decoded = whole.parameterisation.decode(finished(whole, tmp_path / "frequency").leaves)
    torch.testing.assert_close(decoded, images, rtol=0, atol=1e-10)


@pytest.mark.parametrize("method", ["csdm", "dc"])
def test_one_image_in_a_stored_one_is_pixels(tmp_path, method):
    found = [
        finished(ready(tmp_path, method, kind, factor=1), tmp_path / str(kind))
        for kind in (Parameterization.pixels, Parameterization.multi_formation)
    ]
    assert torch.equal(found[0].images, found[1].images)
    assert all(torch.equal(found[1].history[name], values) for name, values in found[0].history.items())
