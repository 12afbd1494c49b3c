"""Folders that take seconds to make, made once for all the processes that share the tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that ``make`` has filled: by whichever process comes first, while the others that need it wait.

    Whoever gets it only reads it.
    """
    own = factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder, done = shared / f"{name}-once", shared / f"{name}-once.done"
    with FileLock(shared / f"{name}-once.lock"):
        if not done.exists():
            folder.mkdir()
            make(folder)
            done.touch()
    return folder
