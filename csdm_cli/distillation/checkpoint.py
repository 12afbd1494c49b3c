"""Where a distillation run is, on disk, outside every pipeline output."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from csdm_cli.display.console import note
from csdm_cli.errors import CsdmError
from csdm_cli.parallel.class_shares import ClassShare
from csdm_cli.storage import atomic, seal, tensorfile
from csdm_cli.storage.bounded import parsed_json

SEAL = "sha256"


def kept_number(folder: Path, key: str, measure: Callable[[], float], *, resume: bool = True) -> float:
    """A number that the run ``key`` measured before its first step: as a run to resume kept it, else measured now.

    It decides the result, so that a file which is not as it was written counts for nothing.
    """
    file = _number_file(folder, key)
    if resume:
        with suppress(OSError, ValueError):
            kept = parsed_json(file.read_bytes())
            if isinstance(kept, dict) and seal.is_whole(kept, SEAL) and isinstance(number := kept.get("number"), float):
                return number
    found = float(measure())
    atomic.write_json(file, seal.sealed({"number": found}, SEAL))
    return found


def _number_file(folder: Path, key: str) -> Path:
    return folder / f"{key}.json"


class Checkpoint:
    """One file that holds the state of the run called ``key``; saving happens every ``seconds``.

    ``overhead_seconds`` sums the time spent saving. ``earlier_seconds`` is what the run had taken when the state that
    was loaded was kept, all processes before this one together: 0 if none was loaded, None if the file does not tell.
    """

    def __init__(
        self, folder: Path, key: str, seconds: float, share: ClassShare | None = None, began: float | None = None
    ) -> None:
        """A checkpoint of the whole run, or of one rank's ``share`` of it.

        ``began`` is when this process's part of the run did, by the monotonic clock; without it, now.
        """
        self.path = folder / (f"{key}.safetensors" if share is None else f"{key}.{share.name}.safetensors")
        self._division = "" if share is None else share.division
        self._key, self._seconds = key, seconds
        self._last = time.monotonic()
        self._began = self._last if began is None else began
        self.overhead_seconds = 0.0
        self.earlier_seconds: float | None = 0.0

    def due(self) -> bool:
        """Whether enough time has passed since the last save."""
        return time.monotonic() - self._last >= self._seconds

    def save(self, step: int, tensors: dict[str, Tensor]) -> None:
        """Keep the state after ``step`` steps."""
        start = time.monotonic()
        seconds = None if self.earlier_seconds is None else self.earlier_seconds + start - self._began
        tensorfile.save(self.path, tensors, {"key": self._key, "step": step, "seconds": seconds})
        self._last = time.monotonic()
        self.overhead_seconds += self._last - start

    def load(self, device: torch.device) -> tuple[int, dict[str, Tensor]] | None:
        """Steps done and the state after them; None if the run has not begun, or its file is damaged."""
        if not self.path.exists():
            if any(not self._division or not path.stem.endswith(self._division) for path in self._of_run()):
                note("the checkpoints of this run are of another number of processes or chunks: it begins anew")
            return None
        try:
            tensors, header = tensorfile.load(self.path)
            if header.get("key") != self._key:
                raise CsdmError(f"{self.path} belongs to another run")
            if type(header.get("step")) is not int:
                raise CsdmError(f"{self.path} does not say where the run was")
        except CsdmError as error:  # nothing in it can be used, and nothing else knows where the run was
            note(f"warning: {error}; the run begins anew")
            return None
        self.earlier_seconds = header.get("seconds")  # earlier versions kept none
        return header["step"], {name: tensor.to(device) for name, tensor in tensors.items()}

    def drop(self) -> None:
        """Forget a state that does not fit the run, which then begins anew."""
        self.path.unlink(missing_ok=True)

    def clear(self) -> None:
        """The run is finished, and its result is safe: forget all its shares, and its number."""
        for path in (*self._of_run(), _number_file(self.path.parent, self._key)):
            path.unlink(missing_ok=True)

    def _of_run(self) -> list[Path]:
        return sorted(self.path.parent.glob(f"{self._key}*.safetensors"))
