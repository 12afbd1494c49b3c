"""The tensors that are learned, and the optimisers that move them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from csdm_cli.methods.learning import Learned
from csdm_cli.names import PixelOptimizer, Schedule

IMAGES = "images"

# Puts leaves back where they may be, in place, after a step.
Project = Callable[[dict[str, Tensor]], None]


@dataclass(frozen=True)
class PixelPlan:
    """How pixels move: optimiser, learning rate (pixels live in [0, 1]), schedule over ``iterations``.

    Attributes:
        weight_decay: decay of the pixels, towards black: of the gradient, or decoupled from it with AdamW.
        average: decay d of the moving average that is stored, in [0, 1); 0 stores the images of the last step.
    """

    optimizer: PixelOptimizer
    lr: float
    schedule: Schedule
    iterations: int
    average: float = 0.0
    weight_decay: float = 0.0


def clamp(leaves: dict[str, Tensor]) -> None:
    """Pixels back into [0, 1]."""
    with torch.no_grad():
        for leaf in leaves.values():
            leaf.clamp_(0, 1)


class Leaves:
    """The tensors of the synthetic images, their optimiser, and what is ``learned`` beside the images.

    Plain pixels are one leaf, ``images``: (N, C, h, w) in [0, 1].

    The leaves x_1 … x_T after each optimiser step may be averaged with a decay d: what is stored then is
    Σ_t d^(T-t) x_t / Σ_t d^(T-t), in which the initial ones have no part (Kingma and Ba 2015, section 3: the
    bias-corrected moving average). The losses are those of the leaves themselves, which the average does not move.
    """

    def __init__(
        self,
        start: Mapping[str, Tensor] | Tensor,
        plan: PixelPlan,
        project: Project = clamp,
        learned: Mapping[str, Learned] | None = None,
    ) -> None:
        start = {IMAGES: start} if isinstance(start, Tensor) else start
        self.values = {name: value.detach().clone().requires_grad_(True) for name, value in start.items()}
        self.plan, self._project = plan, project
        self.optimizer = _optimizer(list(self.values.values()), plan)
        beside = {} if learned is None else learned
        self.learned = {name: own.start.detach().clone().requires_grad_(True) for name, own in beside.items()}
        groups = [
            {"params": [self.learned[name]], "lr": own.lr, "momentum": own.momentum} for name, own in beside.items()
        ]
        self._beside = torch.optim.SGD(groups) if groups else None
        self._average = {n: v.detach().clone() for n, v in self.values.items()} if plan.average else None
        self._averaged = 0  # steps
        self._total = next(iter(self.values.values())).new_zeros(())  # of all derivatives so far

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self._total.device

    @property
    def finite(self) -> bool:
        """Whether all derivatives of this process were finite, as their total then is; to ask holds up a GPU."""
        return bool(self._total.isfinite())

    @property
    def images(self) -> Tensor:
        """The pixels, where they are what is learned."""
        return self.values[IMAGES]

    @property
    def stored(self) -> dict[str, Tensor]:
        """The result of a run: the moving average of the leaves if the plan wants one, else the leaves."""
        return self._average or {name: value.detach() for name, value in self.values.items()}

    def step(self, step: int) -> None:
        """Move all along their gradients, put the leaves back where they may be, and clear the gradients."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.plan, step)
        for leaf in self._all().values():
            if leaf.grad is not None:
                self._total = self._total + leaf.grad.sum()
        for optimizer in filter(None, (self.optimizer, self._beside)):
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self._project(self.values)
        if self._average is not None:
            self._averaged += 1
            decay = self.plan.average
            for name, value in self._average.items():
                value.lerp_(self.values[name].detach(), (1 - decay) / (1 - decay**self._averaged))

    def state_dict(self) -> dict[str, Tensor]:
        """Leaves, what is learned beside them, averages and the optimisers' state as flat tensors."""
        found = {name: leaf.detach() for name, leaf in self._all().items()}
        if self._average is not None:
            found |= {f"average.{name}": value for name, value in self._average.items()}
            found["averaged"] = torch.tensor(self._averaged)
        for name, leaf in self._all().items():
            state = self._optimizer_of(name).state.get(leaf, {})
            found |= {
                f"optimizer.{name}.{key}": torch.as_tensor(value) for key, value in state.items() if value is not None
            }
        return found

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what :meth:`state_dict` gave."""
        with torch.no_grad():
            for name, leaf in self._all().items():
                leaf.copy_(tensors[name])
            if self._average is not None:
                for name, value in self._average.items():
                    value.copy_(tensors[f"average.{name}"])
                self._averaged = int(tensors["averaged"])
        for name, leaf in self._all().items():
            prefix = f"optimizer.{name}."
            self._optimizer_of(name).state[leaf] = {
                key.removeprefix(prefix): value.cpu() if key == prefix + "step" else value.to(leaf.device)
                for key, value in tensors.items()
                if key.startswith(prefix)
            }

    def _all(self) -> dict[str, Tensor]:
        return self.values | {f"learned.{name}": value for name, value in self.learned.items()}

    def _optimizer_of(self, name: str) -> torch.optim.Optimizer:
        found = self.optimizer if name in self.values else self._beside
        assert found is not None
        return found


def learning_rate(plan: PixelPlan, step: int) -> float:
    """The rate of step ``step``: constant, or a cosine from ``lr`` to 0."""
    if plan.schedule is Schedule.constant:
        return plan.lr
    return plan.lr * 0.5 * (1 + math.cos(math.pi * step / max(1, plan.iterations)))


def _optimizer(leaves: list[Tensor], plan: PixelPlan) -> torch.optim.Optimizer:
    if plan.optimizer is PixelOptimizer.adam:
        return torch.optim.Adam(leaves, lr=plan.lr, weight_decay=plan.weight_decay)
    if plan.optimizer is PixelOptimizer.adamw:
        return torch.optim.AdamW(leaves, lr=plan.lr, weight_decay=plan.weight_decay)
    return torch.optim.SGD(leaves, lr=plan.lr, momentum=0.5, weight_decay=plan.weight_decay)
