"""Calibration in units of gradients: so that a weight means the same to methods whose losses differ by 10⁴ in scale.

Adam does not see the scale of a loss, so that of a weight between two terms only the ratio of their gradients counts.
``--calibration 1x`` asks for a ratio. It is measured once, at the pixels' start, and is a plain weight from then on.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from csdm_cli.distillation.real_side import RealSide, Target
from csdm_cli.distillation.step import Matching, Output
from csdm_cli.errors import CsdmError
from csdm_cli.methods.regularisers.weighted import PREFIX

CALIBRATION = "calibration"
STEPS = 3  # whose views are looked through, or as many as the run has


class _Part(Matching):
    """A part of the loss: calibration alone, with weight 1, or matching alone: no cross-entropy and no regulariser."""

    def __init__(self, whole: Matching, *, calibration: bool) -> None:
        super().__init__(whole.method, whole.formation, whole.networks, float(calibration), whole.layout, whole.extra)
        self._alone = calibration

    def _wanted(self, name: str) -> bool:
        if self._alone:
            return name == CALIBRATION
        return name not in self.method.classification_terms and not name.startswith(PREFIX)

    def terms(
        self, outputs: dict[Output, Tensor], target: Target, step: int, first: int, last: int
    ) -> dict[str, Tensor]:
        found = super().terms(outputs, target, step, first, last)
        return {name: value for name, value in found.items() if self._wanted(name)}


def weight_of(ratio: float, matching: Matching, real: RealSide, images: Tensor, steps: int) -> float:
    """The weight of calibration whose gradient is ``ratio`` times as long as the matching's.

    Both are in the stored pixels; their lengths are means over the views of the first :data:`STEPS` of ``steps`` steps.

    Args:
        ratio: how many times, not negative.
        matching: method, networks and layout of chunks; its own calibration is not looked at.
        real: the real side.
        images: the pixels at the start, which stay as they are.
        steps: number of steps of the run.

    Raises:
        CsdmError: if one of the gradients vanishes, or is no number.
    """
    if ratio == 0:
        return 0.0
    norms = []
    for calibration in (False, True):
        part = _Part(matching, calibration=calibration)
        looks = range(max(1, min(STEPS, steps)))
        norms.append(sum(_norm(part, real, images, step) for step in looks) / len(looks))
    own, calibrating = norms
    if not (0 < own < math.inf and 0 < calibrating < math.inf):
        raise CsdmError(
            f"--calibration {ratio:g}x cannot be measured: at the start the matching's gradient has the norm {own:g},"
            f" calibration's {calibrating:g}; give a number"
        )
    return ratio * own / calibrating


def _norm(part: _Part, real: RealSide, images: Tensor, step: int) -> float:
    """Length of the gradient of a step's loss in the images (C·ipc, channels, h, w), in float64."""
    start = images.detach().clone().requires_grad_(True)
    part.backward(start, real.at(step), step)
    return 0.0 if start.grad is None else float(torch.linalg.vector_norm(start.grad, dtype=torch.float64))
