"""How far from an expert's later weights a student ended, in units of how far the expert itself went."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from csdm_cli.errors import CsdmError

Weights = dict[str, Tensor]

# An expert that moved by less than this part of its weights' norm is compared with rounding errors.
LEAST_MOVE = 1e-5


@dataclass(frozen=True)
class ExpertSegment:
    """From where to where an expert went: what a student has to do.

    Attributes:
        start: θ*_t, where the student starts.
        target: θ*_{t+M}, where it should end.
        names: the weights that are compared; all of the start's if None. LAD's representation experts leave the
            classifier out, its classifier experts the encoder.
    """

    start: Weights
    target: Weights
    names: Collection[str] | None = None

    def loss(self, student: Weights) -> Tensor:
        """‖θ_N − θ*_{t+M}‖² / ‖θ*_t − θ*_{t+M}‖²: 0 at the target, 1 for a student that did not move.

        Cazenavette et al. 2022, "Dataset Distillation by Matching Training Trajectories", equation 2.

        Raises:
            CsdmError: if the expert hardly moved, so that the quotient means nothing.
        """
        return self._squared(student, self.target) / self.squared_length()

    def squared_length(self) -> Tensor:
        """‖θ*_t − θ*_{t+M}‖² of the weights compared, a scalar.

        Raises:
            CsdmError: if it vanishes beside those weights, or is not finite.
        """
        length, size = self._squared(self.start, self.target), self._squared(self.start, None)
        if not bool(length.isfinite()):
            raise CsdmError("an expert's weights are not finite: train the experts again with a lower learning rate")
        if bool(length <= LEAST_MOVE**2 * size) or not bool(length > 0):
            raise CsdmError(
                "an expert did not move between the two points to be matched: match an earlier part of its way, "
                "or more of it"
            )
        return length

    def _squared(self, one: Weights, other: Weights | None) -> Tensor:
        names = self.start if self.names is None else self.names
        return torch.stack([(one[n] - other[n] if other else one[n]).square().sum() for n in names]).sum()
