"""The remains of a killed training: its state, and the epochs kept before it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from torch import Tensor

from csdm_cli.display.console import note
from csdm_cli.errors import CsdmError
from csdm_cli.networks.network import Network
from csdm_cli.storage import tensorfile
from csdm_cli.training.loop import TrainState

STATE = "state.safetensors"


class Remains:
    """The remains of a killed run: its state, and the epochs kept before it."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder, self._seconds = folder, seconds
        self._last = time.monotonic()
        self._written: set[int] = set()
        self.epochs: dict[int, dict[str, Tensor]] = {}

    def read(self, network: Network, steps: int) -> TrainState | None:
        """Where the killed run of ``steps`` steps was; None to begin anew."""
        try:
            tensors, header = tensorfile.load(self._folder / STATE)
            state = TrainState(header["step"], tensors)
            if not (type(state.step) is int and 0 <= state.step <= steps and state.fits(network)):
                raise CsdmError(f"{self._folder / STATE} is of another run")
            for epoch in header["epochs"]:
                self.epochs[epoch], _ = tensorfile.load(self._epoch_file(epoch))
        except (CsdmError, KeyError, TypeError, ValueError) as error:  # missing, damaged or forged
            if (self._folder / STATE).exists():
                note(f"warning: {error}; this teacher begins anew")
            self.epochs = {}
            return None
        self._written = set(self.epochs)
        return state

    @property
    def is_due(self) -> bool:
        """Whether as many seconds of training have passed as may be lost."""
        return time.monotonic() - self._last >= self._seconds

    def write(self, state: TrainState) -> None:
        """Keep the state; the epochs first, for the state speaks of them."""
        for epoch in sorted(set(self.epochs) - self._written):
            tensorfile.save(self._epoch_file(epoch), self.epochs[epoch], {})
            self._written.add(epoch)
        tensorfile.save(self._folder / STATE, state.tensors, {"step": state.step, "epochs": sorted(self.epochs)})
        self._last = time.monotonic()

    def remove(self) -> None:
        """The teacher is safe: nothing here is needed any more."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _epoch_file(self, epoch: int) -> Path:
        return self._folder / f"epoch-{epoch:03d}.safetensors"
