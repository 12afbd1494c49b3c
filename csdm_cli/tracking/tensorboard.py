"""Runs as TensorBoard's event files: ``tensorboard --logdir runs``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from csdm_cli.tracking.files import FolderTracker
from csdm_cli.tracking.tracker import RunStatus


class TensorboardTracker(FolderTracker):
    """Numbers as scalars; settings and tables as texts; the headline beside the settings, as TensorBoard compares runs.

    Raises:
        CsdmError: on creation, if TensorBoard is not installed.
    """

    def open_numbers(self) -> None:
        """Open the event file, which is written every few seconds."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError(f"{error}: run pip install 'csdm-cli[tensorboard]'") from None
        self._writer = SummaryWriter(str(self.folder), flush_secs=10)
        self._headline: dict[str, float] = {}

    def write_numbers(self, values: Mapping[str, float], step: int, at: float) -> None:
        """A scalar for each number."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step, walltime=at)

    def headline(self, values: Mapping[str, Any], made_by: str | None = None) -> None:
        """Write numbers, and keep them for the page that compares runs."""
        self._headline |= {name: float(value) for name, value in values.items()}
        super().headline(values, made_by)

    def table(self, name: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Write a table as CSV, and as a text to be shown."""
        super().table(name, columns)
        self.guarded(self._writer.add_text, name, _markdown(columns))

    def close(self, status: RunStatus = RunStatus.finished) -> None:
        """Write the settings with the headline, and end the run."""
        settings = {**self._about["params"], **self._about["tags"]}
        self.guarded(self._writer.add_text, "settings", f"```\n{json.dumps(settings, indent=2)}\n```")
        if self._headline:
            numbers = {f"headline/{name}": value for name, value in self._headline.items()}
            self.guarded(self._writer.add_hparams, self._about["params"], numbers, run_name=".")
        super().close(status)

    def close_numbers(self) -> None:
        """Close the event file."""
        self._writer.close()


def _markdown(columns: Mapping[str, Sequence[Any]]) -> str:
    rows = zip(*columns.values(), strict=True)
    lines = [" | ".join(map(str, row)) for row in rows]
    return "\n".join([" | ".join(columns), " | ".join("---" for _ in columns), *lines])
