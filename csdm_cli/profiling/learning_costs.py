"""The costs of an iteration of a method that learns through training."""

from __future__ import annotations

from collections.abc import Callable

from csdm_cli.distillation.decoded import Decoded, moved_scene
from csdm_cli.distillation.leaves import Leaves
from csdm_cli.methods.learning import LearningMethod, Scene
from csdm_cli.parameterisations.parameterisation import Parameterisation
from csdm_cli.profiling.costs import Clock, Cost, measure_both

LEARNING_PHASES = ("decoding", "method", "back to the leaves", "optimiser", "after the move")


def measure_learning(
    iterate: Callable[[int], object],
    leaves: Leaves,
    parameterisation: Parameterisation,
    method: LearningMethod,
    *,
    iterations: int,
    warmup: int,
) -> Cost:
    """Time ``iterations`` whole iterations, then as many with their phases apart.

    The method's own step is one phase; what it does once the images moved, such as a network's training, another.
    """

    def whole(step: int) -> None:
        iterate(step)
        method.after_step(step)

    def apart(step: int, clock: Clock) -> None:
        phased_learning_iteration(leaves, parameterisation, method, step, clock)
        method.after_step(step)

    decoded = Decoded.of(leaves, parameterisation).images
    return measure_both(
        *(whole, apart, LEARNING_PHASES, len(decoded), decoded.device), iterations=iterations, warmup=warmup
    )


def phased_learning_iteration(
    leaves: Leaves, parameterisation: Parameterisation, method: LearningMethod, step: int, clock: Clock
) -> None:
    """The iteration of ``distillation/decoded`` with its parts timed."""
    with clock.phase("decoding"):
        decoded = Decoded.of(leaves, parameterisation)
    with clock.phase("method"):
        method.step(Scene(decoded.images, parameterisation.per_class, leaves.learned), step)
    with clock.phase("back to the leaves"):
        decoded.push_back()
    with clock.phase("optimiser"):
        leaves.step(step)
    if not method.needs_moved_images:
        return
    with clock.phase("decoding"):
        moved = moved_scene(leaves, parameterisation)
    with clock.phase("after the move"):
        method.after_move(moved, step)
