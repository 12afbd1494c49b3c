"""Collected where they are asked for; and without a GPU there is nothing to see."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

collect_ignore_glob = [] if os.environ.get("CSDM_TEST_GPU") else ["test_*.py"]


@pytest.fixture(scope="module", autouse=True)
def gpu() -> None:
    """A GPU, before anything is made for it."""
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU that torch can use")


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """The process as ``--deterministic`` found it."""
    yield
    torch.use_deterministic_algorithms(False)
