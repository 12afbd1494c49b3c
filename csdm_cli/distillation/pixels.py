"""The optimiser of the synthetic pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from csdm_cli.names import PixelOptimizer, Schedule


@dataclass(frozen=True)
class PixelPlan:
    """How pixels move: optimiser, learning rate (pixels live in [0, 1]), schedule over ``iterations``.

    Attributes:
        weight_decay: of the pixels, towards black: of the gradient, or decoupled from it with AdamW.
        average: decay d of the moving average that is stored, in [0, 1); 0 stores the images of the last step.
    """

    optimizer: PixelOptimizer
    lr: float
    schedule: Schedule
    iterations: int
    average: float = 0.0
    weight_decay: float = 0.0


class Pixels:
    """Synthetic images, (N, C, h, w) in [0, 1], and the optimiser that moves them.

    The images x_1 … x_T after each optimiser step may be averaged with a decay d: what is stored then is
    Σ_t d^(T-t) x_t / Σ_t d^(T-t), in which the initial images have no part (Kingma and Ba 2015, section 3: the
    bias-corrected moving average). The losses are those of the images themselves, which the average does not move.
    """

    def __init__(self, images: Tensor, plan: PixelPlan) -> None:
        self.images = images.detach().clone().requires_grad_(True)
        self.plan = plan
        self.optimizer = _optimizer(self.images, plan)
        self._average = self.images.detach().clone() if plan.average else None
        self._averaged = 0  # steps

    @property
    def stored(self) -> Tensor:
        """What a run ends with: the moving average of the images if the plan wants one, else the images."""
        return self.images.detach() if self._average is None else self._average

    def step(self, step: int) -> None:
        """Move the images along their gradient, clamp them to [0, 1] and clear the gradient."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.plan, step)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            self.images.clamp_(0, 1)
            if self._average is not None:
                self._averaged += 1
                decay = self.plan.average
                self._average.lerp_(self.images, (1 - decay) / (1 - decay**self._averaged))

    def state_dict(self) -> dict[str, Tensor]:
        """Images, their average if there is one, and optimiser state as flat tensors."""
        state = self.optimizer.state.get(self.images, {})
        images = {"images": self.images.detach()}
        if self._average is not None:
            images |= {"average": self._average, "averaged": torch.tensor(self._averaged)}
        return images | {
            f"optimizer.{name}": torch.as_tensor(value) for name, value in state.items() if value is not None
        }

    def load_state_dict(self, tensors: dict[str, Tensor]) -> None:
        """Take back what :meth:`state_dict` gave."""
        with torch.no_grad():
            self.images.copy_(tensors["images"])
            if self._average is not None:
                self._average.copy_(tensors["average"])
                self._averaged = int(tensors["averaged"])
        state = {
            name.removeprefix("optimizer."): value.to(self.images.device) if value.ndim else value.cpu()
            for name, value in tensors.items()
            if name.startswith("optimizer.")
        }
        self.optimizer.state[self.images] = state


def learning_rate(plan: PixelPlan, step: int) -> float:
    """The rate of step ``step``: constant, or a cosine from ``lr`` to 0."""
    if plan.schedule is Schedule.constant:
        return plan.lr
    return plan.lr * 0.5 * (1 + math.cos(math.pi * step / max(1, plan.iterations)))


def _optimizer(images: Tensor, plan: PixelPlan) -> torch.optim.Optimizer:
    if plan.optimizer is PixelOptimizer.adam:
        return torch.optim.Adam([images], lr=plan.lr, weight_decay=plan.weight_decay)
    if plan.optimizer is PixelOptimizer.adamw:
        return torch.optim.AdamW([images], lr=plan.lr, weight_decay=plan.weight_decay)
    return torch.optim.SGD([images], lr=plan.lr, momentum=0.5, weight_decay=plan.weight_decay)
