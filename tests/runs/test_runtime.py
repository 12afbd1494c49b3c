"""Device, threads and determinism of a run."""

from __future__ import annotations

import os

import pytest

from csdm_cli.errors import UsageError
from csdm_cli.runs.runtime import Device, Runtime


def test_cuda_without_cuda_is_refused(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="--device cpu"):
        Runtime(device=Device.cuda).apply()
    assert Runtime(device=Device.auto).apply() == torch.device("cpu")


def test_threads_and_determinism_are_applied(monkeypatch):
    import torch

    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", os.environ.get("CUBLAS_WORKSPACE_CONFIG", ":4096:8"))
    try:
        Runtime(device=Device.cpu, threads=2, deterministic=True).apply()
        assert torch.get_num_threads() == 2 and torch.are_deterministic_algorithms_enabled()
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
