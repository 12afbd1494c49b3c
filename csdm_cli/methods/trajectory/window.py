"""Which points of an expert's way a student may start from, iteration by iteration (DATM)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from csdm_cli.errors import UsageError


@dataclass(frozen=True)
class Window:
    """Starts t drawn from first … last(iteration) − 1; early ones teach easy patterns, late ones hard ones.

    Guo et al. 2024, "Towards Lossless Dataset Distillation via Difficulty-Aligned Trajectory Matching", section 3.2:
    the upper end grows linearly. In points of an expert's way, whatever a point is.

    Attributes:
        first: the earliest start.
        initial: the upper end at the first iteration; a window that does not grow has it at ``final``.
        final: the upper end from iteration ``grown_after`` on.
        grown_after: iterations that the growth takes; 0 for none.
    """

    first: int
    initial: int
    final: int
    grown_after: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.first < self.initial <= self.final or self.grown_after < 0:
            raise UsageError(
                f"a window of starts from {self.first} to {self.initial}, growing to {self.final} over "
                f"{self.grown_after} iterations, is empty or shrinks: choose 0 <= first < initial <= final"
            )
        if self.grown_after == 0 and self.initial != self.final:
            raise UsageError(f"a window that grows from {self.initial} to {self.final} needs iterations to grow over")

    @classmethod
    def fixed(cls, first: int, final: int) -> Window:
        """One that does not grow: MTT's, with ``first`` 0."""
        return cls(first, final, final)

    def last(self, iteration: int) -> int:
        """The upper end, exclusive: initial + ⌊(final − initial)·iteration/grown_after⌋, but at most final."""
        if iteration >= self.grown_after:
            return self.final
        return self.initial + (self.final - self.initial) * iteration // self.grown_after

    def draw(self, iteration: int, rng: torch.Generator) -> int:
        """A start, each of the window's equally likely."""
        return int(torch.randint(self.first, self.last(iteration), (), generator=rng))

    def require(self, points: int, ahead: int) -> None:
        """That an expert of ``points`` + 1 points, 0 … ``points``, goes on ``ahead`` points from the latest start.

        Raises:
            UsageError: if it does not.
        """
        latest = points - ahead + 1
        if self.final > latest:
            shorter = f"give --option latest={latest}, or " if latest > self.first else ""
            raise UsageError(
                f"experts of {points} points cannot be matched {ahead} points ahead of point {self.final - 1}:"
                f" {shorter}train experts with csdm pretrain --expert-snapshots {self.final - 1 + ahead}"
            )
