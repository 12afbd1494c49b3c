"""Runs as CSV files, for a spreadsheet or pandas."""

from __future__ import annotations

import csv
from collections.abc import Mapping

from csdm_cli.tracking.files import FolderTracker


class CsvTracker(FolderTracker):
    """Numbers as lines ``time,step,name,value`` of ``metrics.csv``, the time in seconds since 1970."""

    def open_numbers(self) -> None:
        """Open the file, which is written line by line as buffers fill."""
        self._file = (self.folder / "metrics.csv").open("w", newline="", encoding="utf-8")
        self._lines = csv.writer(self._file, lineterminator="\n")
        self._lines.writerow(["time", "step", "name", "value"])

    def write_numbers(self, values: Mapping[str, float], step: int, at: float) -> None:
        """A line for each number."""
        self._lines.writerows([f"{at:.3f}", step, name, repr(value)] for name, value in values.items())

    def close_numbers(self) -> None:
        """Close the file."""
        self._file.close()
