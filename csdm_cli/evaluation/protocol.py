"""How every set of a table is judged: how students are trained, how many, for how long, and when they are tested."""

from __future__ import annotations

from dataclasses import dataclass, replace

from csdm_cli.training.recipe import Recipe

# Of a control on all real images: more change nothing that shows on the development sets of CIFAR-10-LT.
FULL_EPOCHS = 90


@dataclass(frozen=True)
class Protocol:
    """The training and testing of students, the same for every set of a table.

    Attributes:
        recipe: how students are trained.
        steps: optimiser steps of each.
        students: how many.
        seed: random seed of the students; each has its own, derived from it.
        test_points: tests at equal distances during training; the last, after the last step, is the result.
        full_steps: optimiser steps of a control on all real images; None for :data:`FULL_EPOCHS` of them.
    """

    recipe: Recipe
    steps: int
    students: int
    seed: int
    test_points: int
    full_steps: int | None = None

    def on_all(self, images: int) -> Protocol:
        """The protocol of a control on all ``images``: of as many steps as it needs to be done."""
        return replace(self, steps=steps_on_all(self.full_steps, self.steps, self.recipe.batch, images))

    @property
    def tested_after(self) -> tuple[int, ...]:
        """Steps after which a student is tested; the last is ``steps``."""
        points = {round(self.steps * point / self.test_points) for point in range(1, self.test_points + 1)}
        return tuple(sorted(points - {0})) or (0,)


def steps_on_all(asked: int | None, steps: int, batch: int, images: int) -> int:
    """Optimiser steps of a control on all ``images``: ``asked``, else :data:`FULL_EPOCHS`, at least ``steps``."""
    return asked or max(steps, FULL_EPOCHS * -(-images // min(batch, images)))
