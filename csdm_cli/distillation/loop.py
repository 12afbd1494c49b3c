"""The distillation loop: view, gradient, step, until done; checkpointed and resumable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from csdm_cli.display.console import note, progress
from csdm_cli.distillation.checkpoint import Checkpoint
from csdm_cli.distillation.leaves import IMAGES, Leaves
from csdm_cli.errors import CsdmError
from csdm_cli.methods.contract import OptimisedMethod
from csdm_cli.parallel.interruption import held_back

HISTORY = "history."
METHOD = "method."


@dataclass(frozen=True)
class Distillation:
    """The outcome of a run.

    Attributes:
        leaves: the images' tensors, such as ``images``: (classes·ipc, C, h, w) in [0, 1]; the average of their
            steps, where their plan has one.
        history: every loss term at every step.
        overhead_seconds: time this process spent on progress and checkpoints.
        iterations: that this process ran; fewer than all after a resume.
        learned: tensors learned beside the images, by name.
        earlier_seconds: that the run took before a resume; None if its checkpoint does not tell.
    """

    leaves: dict[str, Tensor]
    history: dict[str, Tensor]
    overhead_seconds: float
    iterations: int
    learned: dict[str, Tensor] = field(default_factory=dict)
    earlier_seconds: float | None = 0.0

    @property
    def images(self) -> Tensor:
        """The pixels, where they are what is learned."""
        return self.leaves[IMAGES]


# Told of every step: its number, and every loss term at every step so far.
Watch = Callable[[int, dict[str, Tensor]], None]
# Moves the leaves once and returns the named loss terms, given the number of the step: scalars, or one value per chunk.
Iteration = Callable[[int], dict[str, Tensor]]


def optimise(
    leaves: Leaves,
    method: OptimisedMethod,
    iterate: Iteration,
    checkpoint: Checkpoint,
    *,
    resume: bool = True,
    quiet: bool = False,
    watch: Watch | None = None,
    advice: str = "",
) -> Distillation:
    """Run ``leaves.plan.iterations`` iterations, or what is left of them after the last checkpoint.

    Every iteration is a function of the state and its number, so that a resumed run gives the same images as
    an uninterrupted one. The checkpoint of the last step stays until whoever called has the images safe.

    Raises:
        KeyboardInterrupt, SystemExit: after Ctrl-C or SIGTERM, with the checkpoint kept.
        CsdmError: if the checkpoint does not fit the run; it is dropped then. If a derivative was not finite: at once
            on a CPU, else when the next checkpoint is due.
    """
    total = leaves.plan.iterations
    at_hand = leaves.device.type == "cpu"  # whether to look at numbers costs nothing
    history: dict[str, Tensor] = {}
    done = _resume(leaves, method, checkpoint, history) if resume else 0
    with held_back() as interruption, progress("distil", total, start=done, quiet=quiet, advice=advice) as task:
        for step in range(done, total):
            terms = iterate(step)
            method.after_step(step)
            for name, value in terms.items():
                if name not in history:
                    shape = (total, *value.shape)
                    history[name] = torch.full(shape, torch.nan, device=value.device, dtype=value.dtype)
                history[name][step] = value
            if watch is not None:
                watch(step, history)
            task.update(step + 1, loss=torch.stack(list(terms.values())).sum())
            keeps = bool(interruption) or checkpoint.due() or step + 1 == total
            if (keeps or at_hand) and not leaves.finite:
                raise CsdmError(f"the derivatives are no longer finite at step {step + 1}: lower {method.to_lower}")
            if keeps:
                checkpoint.save(step + 1, _state(leaves, method, history))
            if interruption:
                note(f"stopped after {step + 1} of {total} iterations: the same command goes on from there")
                interruption.raise_if_asked()
    history = {name: history[name].cpu() for name in sorted(history)}  # a resumed run met them in another order
    overhead = task.overhead_seconds + checkpoint.overhead_seconds
    learned = {name: value.detach() for name, value in leaves.learned.items()}
    return Distillation(leaves.stored, history, overhead, total - done, learned, checkpoint.earlier_seconds)


def _state(leaves: Leaves, method: OptimisedMethod, history: dict[str, Tensor]) -> dict[str, Tensor]:
    return (
        leaves.state_dict()
        | {METHOD + name: value for name, value in method.state_dict().items()}
        | {HISTORY + name: value for name, value in history.items()}
    )


def _resume(leaves: Leaves, method: OptimisedMethod, checkpoint: Checkpoint, history: dict[str, Tensor]) -> int:
    found = checkpoint.load(leaves.device)
    if found is None:
        return 0
    done, tensors = found
    own = {name.removeprefix(METHOD): value for name, value in tensors.items() if name.startswith(METHOD)}
    losses = {name.removeprefix(HISTORY): value for name, value in tensors.items() if name.startswith(HISTORY)}
    total = leaves.plan.iterations
    try:
        if not 0 <= done <= total or any(value.ndim not in (1, 2) or len(value) != total for value in losses.values()):
            raise ValueError(f"{done} of {total} iterations")
        leaves.load_state_dict(tensors)
        method.load_state_dict(own)
    except (KeyError, ValueError, TypeError, IndexError, RuntimeError, AssertionError) as error:
        checkpoint.drop()  # whole, but of no run that this code could have left
        raise CsdmError(f"{checkpoint.path} did not fit this run and is dropped: run the same command again") from error
    history |= losses
    return done
