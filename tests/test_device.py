"""Small tensors on a device, and the memory of a block."""

from __future__ import annotations

from mmap import MAP_PRIVATE, PAGESIZE, mmap

import pytest
import torch

from csdm_cli import device
from csdm_cli.device import constant, free_bytes, peak_memory, resident_bytes, to_device

CPU = torch.device("cpu")


def test_on_a_cpu_tensors_stay_where_they_are():
    own = torch.arange(3)
    assert to_device(own, "cpu") is own and free_bytes(CPU) is None


def test_a_constant_is_made_once_per_type():
    first = constant((0.5, 2.0), torch.float32, CPU)
    assert constant((0.5, 2.0), torch.float32, CPU) is first and first.tolist() == [0.5, 2.0]
    assert constant((0.5, 2.0), torch.float64, CPU).dtype == torch.float64


def test_memory_is_read_from_the_system_s_own_table(tmp_path, monkeypatch):
    (tmp_path / "status").write_text("Name:\tx\nVmHWM:\t  20 kB\nVmRSS:\t     12 kB\n")
    monkeypatch.setattr(device, "STATUS", tmp_path / "status")
    monkeypatch.setattr(device, "RESET", tmp_path / "reset")
    assert resident_bytes() == 12 * 1024
    with peak_memory(CPU) as peak:
        assert (tmp_path / "reset").read_text() == "5" and peak.bytes is None
    assert peak.bytes == 20 * 1024


def test_where_the_system_does_not_tell_there_is_no_number(tmp_path, monkeypatch):
    monkeypatch.setattr(device, "STATUS", tmp_path / "none")
    monkeypatch.setattr(device, "RESET", tmp_path / "none" / "none")
    with peak_memory(CPU) as peak:
        pass
    assert peak.bytes is None and resident_bytes() is None


def test_peak_memory_sees_what_the_block_allocates():
    if resident_bytes() is None:
        pytest.skip("the system does not tell")
    with peak_memory(CPU) as small:
        pass
    assert small.bytes is not None
    beyond = small.bytes - (resident_bytes() or 0)  # where the system does not let the mark be reset
    size = beyond + 2**28
    with peak_memory(CPU) as large:
        pages = mmap(-1, size, MAP_PRIVATE)  # new ones: what torch allocates may lie in memory that was freed and kept
        pages[::PAGESIZE] = bytes(len(range(0, size, PAGESIZE)))
        pages.close()
    assert large.bytes is not None and large.bytes - small.bytes > 2**26
