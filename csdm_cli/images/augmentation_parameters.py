"""θ: what an augmentation does, as a value that is drawn once and applied to all batches that must share it.

The operations and ranges are those of DSA (Zhao & Bilen 2021); :mod:`csdm_cli.images.augment` applies them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from csdm_cli.device import to_device
from csdm_cli.errors import UsageError
from csdm_cli.names import AugmentMode

OPERATIONS = ("color", "crop", "cutout", "flip", "scale", "rotate")
EXCLUSIVE = frozenset({"crop", "scale", "rotate"})  # of these, mode compose takes one


class Parameter(NamedTuple):
    """One column of θ: the operation it belongs to, its range, and the value that changes nothing."""

    operation: str
    low: float
    high: float
    identity: float


PARAMETERS = {
    "brightness": Parameter("color", -0.5, 0.5, 0.0),
    "saturation": Parameter("color", 0.0, 2.0, 1.0),
    "contrast": Parameter("color", 0.5, 1.5, 1.0),
    "shift_x": Parameter("crop", -1.0, 1.0, 0.0),  # of the reach; whole pixels once the size is known
    "shift_y": Parameter("crop", -1.0, 1.0, 0.0),
    "cutout": Parameter("cutout", 1.0, 1.0, 0.0),  # whether there is a hole
    "hole_x": Parameter("cutout", 0.0, 1.0, 0.0),  # its centre, as a share of the side
    "hole_y": Parameter("cutout", 0.0, 1.0, 0.0),
    "flip": Parameter("flip", 0.0, 1.0, 0.0),  # rounded: 1 is mirrored
    "scale_x": Parameter("scale", 1 / 1.2, 1.2, 1.0),  # of the sampling grid: above 1 the image shrinks
    "scale_y": Parameter("scale", 1 / 1.2, 1.2, 1.0),
    "angle": Parameter("rotate", -15.0, 15.0, 0.0),  # degrees
}
COLUMN = {name: column for column, name in enumerate(PARAMETERS)}


def parse_strategy(text: str) -> tuple[str, ...]:
    """Operations from ``"color_crop"``, in the order of ``OPERATIONS``; ``"none"`` is none of them.

    Raises:
        UsageError: an unknown or repeated operation.
    """
    if text == "none":
        return ()
    parts = text.split("_")
    unknown = [part for part in parts if part not in OPERATIONS]
    if unknown:
        raise UsageError(
            f"unknown augmentation {unknown[0]!r} in {text!r}: join {', '.join(OPERATIONS)} by _, or give 'none'"
        )
    if len(set(parts)) < len(parts):
        raise UsageError(f"augmentation {text!r} names an operation twice: name each once")
    return tuple(operation for operation in OPERATIONS if operation in parts)


@dataclass(frozen=True)
class Theta:
    """Augmentation parameters, one row per group of images that share them.

    Attributes:
        values: (G, len(PARAMETERS)) float32, columns in the order of ``PARAMETERS``.
        operations: operations that some row may carry. Known on the host, so that :func:`augment` leaves out
            the others without waiting for the device.
    """

    values: Tensor
    operations: frozenset[str]

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, name: str) -> Tensor:
        """One parameter of all rows: (G,)."""
        return self.values[:, COLUMN[name]]

    def rows(self, index: Tensor | slice | Sequence[int]) -> Theta:
        """The rows at ``index``, which may repeat some, for instance one row per image."""
        values = self.values[index]
        return Theta(values, self.operations if values.device.type != "cpu" else _carried(values))

    def to(self, device: torch.device | str) -> Theta:
        """The same on ``device``; the host waits only for what comes back to it."""
        return replace(self, values=to_device(self.values, device))


def draw(generator: torch.Generator, groups: int, strategy: Sequence[str], mode: str) -> Theta:
    """Independent rows of θ, on the generator's device.

    Args:
        generator: source of randomness. On the CPU the operations that occur are known at no cost.
        groups: rows G.
        strategy: operations that may occur, of :func:`parse_strategy`.
        mode: ``single``, one operation of the strategy per row (DSA's mode S), or ``compose``, flip, colour, one of
            {crop, scale, rotate} and cutout, as far as the strategy names them (the DiffAug of IDC).
    """
    choices = _choices(strategy, mode)
    choice = _uniform(generator, groups).mul(len(choices)).long()  # (G,)
    uniform = _uniform(generator, groups, len(PARAMETERS))
    return _theta(choice, uniform, strategy, choices)


def draw_stratified(
    generator: torch.Generator, draws: int, groups: int, strategy: Sequence[str], mode: str
) -> list[Theta]:
    """``draws`` θ of ``groups`` rows, each distributed as :func:`draw`'s, spread evenly over every row's draws.

    Within a row the operations of which one is chosen occur equally often, up to one. Each parameter is a Latin
    hypercube over the draws in which its operation occurs.
    """
    choices = _choices(strategy, mode)
    choice = _balanced(generator, draws, groups, len(choices))  # (draws, G)
    columns = []
    for parameter in PARAMETERS.values():
        active = _active(choice, parameter.operation, strategy, choices)  # (draws, G)
        keys = _uniform(generator, draws, groups).masked_fill(~active, 2.0)
        stratum = keys.argsort(0).argsort(0)  # 0, 1, ... among the active draws, in random order
        jitter = _uniform(generator, draws, groups)
        columns.append((stratum + jitter) / active.sum(0).clamp(min=1))
    uniform = torch.stack(columns, -1)  # (draws, G, P)
    return [_theta(choice[a], uniform[a], strategy, choices) for a in range(draws)]


def _choices(strategy: Sequence[str], mode: str) -> tuple[str, ...]:
    """The operations of the strategy of which each row gets exactly one."""
    single = AugmentMode(mode) == AugmentMode.single
    return tuple(operation for operation in strategy if single or operation in EXCLUSIVE)


def _active(choice: Tensor, operation: str, strategy: Sequence[str], choices: Sequence[str]) -> Tensor:
    """The mask, in the shape of ``choice``, of where ``operation`` occurs."""
    if operation in choices:
        return choice == choices.index(operation)
    return torch.full_like(choice, operation in strategy, dtype=torch.bool)


def _balanced(generator: torch.Generator, draws: int, groups: int, choices: int) -> Tensor:
    """(draws, groups) int64 below ``choices``: per group each as often as the others, up to one, in random order."""
    if choices == 0:
        return torch.zeros(draws, groups, dtype=torch.long, device=generator.device)
    relabel = _uniform(generator, choices, groups).argsort(0)  # who gets the remainder
    order = _uniform(generator, draws, groups).argsort(0)
    return relabel.gather(0, order % choices)


def _theta(choice: Tensor, uniform: Tensor, strategy: Sequence[str], choices: Sequence[str]) -> Theta:
    """θ from the chosen operation (G,) and uniform numbers (G, P) in [0, 1]."""
    neutral = _identity_row(uniform.device)  # (1, P)
    low = torch.tensor([p.low for p in PARAMETERS.values()], device=uniform.device, dtype=torch.float32)
    high = torch.tensor([p.high for p in PARAMETERS.values()], device=uniform.device, dtype=torch.float32)
    drawn = low + uniform * (high - low)
    drawn[:, COLUMN["flip"]].round_()
    active = torch.stack([_active(choice, p.operation, strategy, choices) for p in PARAMETERS.values()], -1)
    values = torch.where(active, drawn, neutral)
    return Theta(values, frozenset(strategy) if values.device.type != "cpu" else _carried(values))


def _uniform(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float32)


def _identity_row(device: torch.device) -> Tensor:
    return torch.tensor([[p.identity for p in PARAMETERS.values()]], device=device, dtype=torch.float32)


def _carried(values: Tensor) -> frozenset[str]:
    """The operations that occur in ``values`` (G, P) on the CPU."""
    changed = (values != _identity_row(values.device)).any(0).tolist()
    return frozenset(p.operation for p, differs in zip(PARAMETERS.values(), changed, strict=True) if differs)
