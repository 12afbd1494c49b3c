"""An optimiser's averages as named tensors, which a file can hold, and back into an optimiser."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

PREFIX = "optimizer."


def averages(optimizer: torch.optim.Optimizer, parameters: Iterable[Tensor]) -> dict[str, Tensor]:
    """The state that ``optimizer`` keeps of its ``parameters`` from step to step: its own tensors, detached.

    Returns:
        tensors called ``optimizer.NUMBER.ENTRY``, NUMBER counting the parameters.
    """
    return {
        f"{PREFIX}{number}.{entry}": value.detach()
        for number, parameter in enumerate(parameters)
        for entry, value in optimizer.state[parameter].items()
        if isinstance(value, Tensor)
    }


def restore_averages(
    optimizer: torch.optim.Optimizer, parameters: Iterable[Tensor], tensors: Mapping[str, Tensor]
) -> None:
    """Put copies of what :func:`averages` gave into ``optimizer``, whatever device they come from; ignores others."""
    own = list(parameters)
    for name, value in tensors.items():
        if name.startswith(PREFIX):
            number, entry = name.removeprefix(PREFIX).split(".")
            parameter = own[int(number)]
            place = torch.device("cpu") if entry == "step" else parameter.device  # torch counts steps on the CPU
            optimizer.state[parameter][entry] = value.to(place, copy=True)


def averages_fit(parameters: Iterable[Tensor], tensors: Mapping[str, Tensor]) -> bool:
    """Whether :func:`restore_averages` can put all averages among ``tensors`` beside ``parameters``."""
    own = list(parameters)
    for name, value in tensors.items():
        if name.startswith(PREFIX):
            number, _, entry = name.removeprefix(PREFIX).partition(".")
            known = number.isdecimal() and int(number) < len(own)
            if not known or value.shape not in (own[int(number)].shape, torch.Size()) or not entry:
                return False
    return True
