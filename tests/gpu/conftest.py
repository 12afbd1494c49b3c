"""Without a GPU there is nothing to see here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def gpu() -> Iterator[None]:
    """Skip, or leave the process as ``--deterministic`` found it."""
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU that torch can use, and make test-gpu")
    yield
    torch.use_deterministic_algorithms(False)
