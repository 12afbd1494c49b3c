"""How a command runs, as against what it computes: device, threads, tracking, output."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from csdm_cli.errors import UsageError
from csdm_cli.names import Parallel, Precision, Tracking
from csdm_cli.parallel import seat as torchrun

if TYPE_CHECKING:
    import torch

    from csdm_cli.networks.numerics import Numerics


# Least and most of what a command line or a call may ask of how a run goes. Many more threads than cores end a process
# without a word.
THREADS = (1, 8 * (os.cpu_count() or 1))
MEGABYTES = (1, 10**7)
SECONDS = (0, 10**7)  # between checkpoints


class Device(StrEnum):
    """Where tensors live; auto takes CUDA when there is one."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


@dataclass(frozen=True)
class Runtime:
    """The run options that commands share.

    Attributes:
        device: device asked for.
        threads: CPU threads of torch; None leaves torch's own choice.
        deterministic: equal bits on every run, also on CUDA (slower there; the CPU always has them).
        tracking: where the run is tracked.
        json: print one JSON object on stdout instead of a table.
        quiet: no notes and no progress on stderr; warnings and errors remain.
        parallel: whether students and teachers are trained one after another or at once.
        precision, channels_last, compiled: numerics of the networks that distillation looks through, of students or of
            teachers in training, as the command says; None is by device.
    """

    device: Device = Device.auto
    threads: int | None = None
    deterministic: bool = False
    tracking: Tracking = Tracking.mlflow
    json: bool = False
    quiet: bool = False
    parallel: Parallel = Parallel.auto
    precision: Precision | None = None
    channels_last: bool | None = None
    compiled: bool | None = None

    def numerics(self, device: torch.device) -> Numerics:
        """How networks compute on ``device``."""
        from csdm_cli.networks.numerics import chosen

        return chosen(device, self.precision, self.channels_last, self.compiled)

    def student_numerics(self, device: torch.device) -> Numerics:
        """How networks in training compute on ``device``: plainly, if they are to be trained at once.

        Raises:
            UsageError: if something else was asked for as well.
        """
        from csdm_cli.networks.numerics import PLAIN

        found = self.numerics(device)
        if found == PLAIN or self.parallel is not Parallel.together:
            return found
        if self.given_numerics:
            raise UsageError(
                f"--parallel together trains networks at once, where {self.given_numerics[0]} has no effect:"
                " leave one of the two out"
            )
        return PLAIN

    @property
    def given_numerics(self) -> list[str]:
        """The options that :meth:`numerics` was given."""
        given = {"--precision": self.precision, "--channels-last": self.channels_last, "--compile": self.compiled}
        return [name for name, value in given.items() if value is not None]

    def apply(self) -> torch.device:
        """Import torch, set threads and determinism, and choose the device.

        Raises:
            UsageError: if CUDA was asked for and this machine has none.
        """
        # cuBLAS reads this when CUDA starts, so it comes before the first use of torch.
        if self.deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        import torch

        if self.threads is not None:
            torch.set_num_threads(self.threads)
        if self.deterministic:
            torch.use_deterministic_algorithms(True)
            torch.backends.cudnn.benchmark = False
        has_cuda = self.device is not Device.cpu and torch.cuda.is_available()
        if self.device is Device.cuda and not has_cuda:
            raise UsageError("--device cuda: torch finds no CUDA device here; use --device cpu or auto")
        if has_cuda:
            _take_own_gpu()
        return torch.device("cuda" if has_cuda else "cpu")


def _take_own_gpu() -> None:
    """Under torchrun "cuda" is another GPU for each process of a machine.

    Raises:
        UsageError: if there are not as many.
    """
    import torch

    seat = torchrun.seat()
    if seat is None:
        return
    if seat.local_rank >= torch.cuda.device_count():
        raise UsageError(
            f"torchrun started more processes on this machine than it has GPUs, {torch.cuda.device_count()}:"
            " start one per GPU, or use --device cpu"
        )
    torch.cuda.set_device(seat.local_rank)
