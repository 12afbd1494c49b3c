"""The conditions on a distilled set, before it is written and after it is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import TYPE_CHECKING, Any, get_args

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from csdm_cli.artifacts.distilled import Coded, Decoding, Distilled
from csdm_cli.names import LEARNED
from csdm_cli.networks.spec import Frozen
from csdm_cli.parameterisations.parameterisation import Shape
from csdm_cli.parameterisations.soundness import fault
from csdm_cli.safe_text import shown
from csdm_cli.settings import messages

if TYPE_CHECKING:
    from pydantic import BaseModel

MOST_PIXELS = 4096  # height and width of a decoded image, as of --size
MOST_IPC = 10**6  # as of --ipc
MOST_RATE = 1e6  # as of --lr
MOST_CENTRES, MOST_LETTERS = 10**6, 200  # of a backbone, and of each word about it


@dataclass(frozen=True)
class Check:
    """One property of a set; ``problem`` says what is wrong, or is None."""

    title: str
    problem: Callable[[Distilled], str | None]


@dataclass(frozen=True)
class Finding:
    """The outcome of a check."""

    title: str
    problem: str | None


def findings(distilled: Distilled) -> Iterator[Finding]:
    """Run the checks in order; the first failure ends them, since later ones build on earlier ones."""
    for check in CHECKS:
        problem = check.problem(distilled)
        yield Finding(check.title, problem)
        if problem:
            return


def first_problem(distilled: Distilled) -> str | None:
    """The first fault of a set, in one line; None if it is sound."""
    return next((finding.problem for finding in findings(distilled) if finding.problem), None)


def _dataset(distilled: Distilled) -> str | None:
    data = distilled.dataset
    if len(data.counts) != data.classes or data.classes < 2:
        return f"{data.classes} class names and {len(data.counts)} class counts (expected as many, and at least 2)"
    if not all(math.isfinite(value) for value in data.mean + data.std) or min(data.std, default=0) <= 0:
        return f"a normalisation of mean {data.mean} and std {data.std} (expected finite numbers and std above 0)"
    return None


def _recipe(distilled: Distilled) -> str | None:
    """The settings that students are trained by pass what options of that name pass."""
    from csdm_cli.settings.sections import Evaluate, Pretrain

    recipe = dict(distilled.evaluation)
    network = recipe.pop("network", None)
    known = {"test_points": 1} | {name: value for name, value in recipe.items() if name in Evaluate.model_fields}
    if problem := _refused(Evaluate, known):
        return f"a recipe of its own that is not allowed: {problem}"
    rate = recipe.get("learned_rate")
    if recipe.get("lr") == LEARNED or not (rate is None or (type(rate) is float and 0 < rate <= MOST_RATE)):
        return (
            f"a recipe of its own that is not allowed: learned_rate {shown(rate, 40)}, lr {shown(recipe.get('lr'), 40)}"
        )
    return None if network is None else _network(network, distilled, Pretrain)


def _frozen(told: Any) -> str | None:
    """The fault in the description of a backbone; None if there is none."""
    if not isinstance(told, dict) or not told.keys() <= {field.name for field in fields(Frozen)}:
        return f"frozen: {shown(told, 80)}"
    try:
        found = TypeAdapter(Frozen).validate_python(told)
    except ValidationError as error:
        return f"frozen: {shown(error.errors()[0]['msg'], 80)}"
    centres, words = found.centres or 1, (found.origin, found.feature, found.weights or "")
    numbers = (*found.mean, *found.std)
    sound = 1 <= found.size <= MOST_PIXELS and 1 <= centres <= MOST_CENTRES
    sound = sound and all(len(word) <= MOST_LETTERS for word in words)
    sound = sound and len(found.mean) == len(found.std) in (1, 3) and all(math.isfinite(number) for number in numbers)
    return None if sound and min(found.std) > 0 else f"frozen: {shown(told, 80)}"


def _network(network: Any, distilled: Distilled, rules: type[BaseModel]) -> str | None:
    if not isinstance(network, dict) or not isinstance(network.get("name"), str):
        return f"a network of its own that is not allowed: {shown(network, 80)}"
    shape = {name: network[name] for name in ("channels", "size", "classes") if name in network}
    if "frozen" in network and (problem := _frozen(network["frozen"])):
        return f"a network of its own that is not allowed: {problem}"
    beside = {*shape, "frozen", "source"}  # a hash, of a network of the maker's own
    own = {"network" if name == "name" else name: value for name, value in network.items() if name not in beside}
    if problem := _refused(rules, own):
        return f"a network of its own that is not allowed: {problem}"
    data = distilled.dataset
    wanted = {"channels": len(data.mean), "size": distilled.decoding.size, "classes": data.classes}
    if any(shape[name] != wanted[name] for name in shape):
        return f"a network for {shown(shape, 100)}, which its images are not (expected {wanted})"
    return None


def _refused(section: type[BaseModel], values: Mapping[str, Any]) -> str | None:
    """The objection of ``section`` to ``values``, which csdm wrote and need no conversion; None if there is none."""
    choices = {name for name, field in section.model_fields.items() if _holds_a_choice(field.annotation)}
    try:
        section.model_validate({name: value for name, value in values.items() if name not in choices}, strict=True)
        section.model_validate({name: value for name, value in values.items() if name in choices})
    except ValidationError as error:
        return shown(messages.in_options(error, section)[0], 300)
    return None


def _holds_a_choice(annotation: Any) -> bool:
    """Whether a field's type is an enumeration, whose members are texts in a file."""
    return (isinstance(annotation, type) and issubclass(annotation, Enum)) or any(
        map(_holds_a_choice, get_args(annotation))
    )


def coding_fault(decoding: Coded, shape: Shape, stored: dict[str, Tensor]) -> str | None:
    """The fault in the stored numbers of a set, told before any image is decoded from them."""
    if not 1 <= decoding.size <= MOST_PIXELS or not 1 <= decoding.ipc <= MOST_IPC:
        return f"images of {decoding.size} pixels a side at IPC {decoding.ipc} (expected at most {MOST_PIXELS})"
    if shape.classes < 1 or shape.channels < 1:
        return f"images of {shape.channels} channels of {shape.classes} classes"
    if problem := fault(decoding.parameterisation, shape, stored):
        return problem
    found, budget = sum(tensor.nbytes for tensor in stored.values()), decoding.ipc * shape.classes * shape.pixels
    return f"{found} bytes, which are more than the {budget} of IPC {decoding.ipc}" if found > budget else None


def _coded(distilled: Distilled, decoding: Coded) -> str | None:
    channels = len(distilled.dataset.mean)
    if len(distilled.dataset.std) != channels:
        return f"{channels} channel means and {len(distilled.dataset.std)} deviations"
    if problem := coding_fault(decoding, distilled.shape, distilled.stored):
        return problem
    each = torch.arange(distilled.dataset.classes).repeat_interleave(distilled.parameterisation().per_class)
    return None if torch.equal(distilled.labels, each) else "labels that are not those of its decoded images"


def _images(distilled: Distilled) -> str | None:
    if isinstance(distilled.decoding, Coded):
        return _coded(distilled, distilled.decoding)
    if distilled.stored.keys() != {"images"}:
        return f"the tensors {sorted(distilled.stored)} (expected images alone)"
    return _grid(distilled, distilled.decoding)


def _grid(distilled: Distilled, decoding: Decoding) -> str | None:
    images = distilled.images
    channels = len(distilled.dataset.mean)
    expected = (*distilled.labels.shape[:1], channels, decoding.stored_size, decoding.stored_size)
    if images.ndim != 4 or tuple(images.shape) != expected or not images.numel():
        return f"images of shape {tuple(images.shape)} (expected {expected}: one per label, channels as in the mean)"
    if len(distilled.dataset.std) != channels:
        return f"{channels} channel means and {len(distilled.dataset.std)} deviations"
    if images.dtype != torch.uint8 and not images.is_floating_point():
        return f"images of type {images.dtype} (expected uint8 or float)"
    if decoding.mode != "bilinear":
        return f"decoding mode {decoding.mode!r} (expected 'bilinear')"
    if not 1 <= decoding.factor <= decoding.stored_size or not 1 <= decoding.size <= MOST_PIXELS:
        return (
            f"a decoding of factor {decoding.factor} from {decoding.stored_size} to {decoding.size} pixels"
            f" (expected a size of 1 to {MOST_PIXELS}, and a factor of 1 to the stored size)"
        )
    return None


def _pixels(distilled: Distilled) -> str | None:
    low, high = distilled.value_range
    if isinstance(distilled.decoding, Coded):  # clamped when decoded
        return None if (low, high) == (0, 1) else f"a value range of {low} to {high} (expected 0 to 1)"
    if distilled.images.dtype == torch.uint8:
        return None if (low, high) == (0, 1) else f"a value range of {low} to {high} for uint8 images (expected 0 to 1)"
    if not distilled.images.isfinite().all():
        return "pixels that are not finite numbers"
    least, most = distilled.images.aminmax()
    if least < low or most > high:
        return f"pixels from {least:.4g} to {most:.4g} (the declared range is {low:.4g} to {high:.4g})"
    return None


def _labels(distilled: Distilled) -> str | None:
    labels, classes = distilled.labels, distilled.dataset.classes
    if labels.dtype != torch.int64 or labels.ndim != 1:
        return f"labels of type {labels.dtype} and shape {tuple(labels.shape)} (expected int64, one per image)"
    if labels.min() < 0 or labels.max() >= classes:
        return f"labels from {labels.min()} to {labels.max()} (expected 0 to {classes - 1}, for {classes} classes)"
    if (labels.diff() < 0).any():
        return "labels that are not sorted by class"
    return None


def _soft_labels(distilled: Distilled) -> str | None:
    if distilled.soft_labels is None:
        return None
    rows = distilled.soft_labels.probabilities
    expected = (len(distilled.labels) * distilled.decoding.per_image, distilled.dataset.classes)
    if tuple(rows.shape) != expected:
        return f"soft labels of shape {tuple(rows.shape)} (expected {expected}: one row per decoded image)"
    if not rows.is_floating_point() or not rows.isfinite().all() or rows.min() < 0:
        return "soft labels that are not probabilities"
    if (rows.double().sum(1) - 1).abs().max() > 1e-3:
        return "soft labels whose rows do not sum to 1"
    return None


CHECKS = (
    Check("classes, counts and normalisation agree", _dataset),
    Check("images have the stated shape and type", _images),
    Check("labels are sorted and in range", _labels),
    Check("pixels are finite and in range", _pixels),
    Check("soft labels, if any, fit the decoded images", _soft_labels),
    Check("the recipe for its students is one that csdm could have written", _recipe),
)
