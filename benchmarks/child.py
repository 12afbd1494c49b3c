"""A row of a benchmark in a process of its own, whose peak memory is then that of the row alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any


def row_of_a_process(script: str, words: Sequence[str], title: str) -> dict[str, Any]:
    """The JSON that ``script`` prints, called with ``--child`` and ``words``; the benchmark ends if it fails."""
    command = [sys.executable, script, "--child", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{title}: {done.stderr.strip().splitlines()[-1:]} (exit {done.returncode})")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
