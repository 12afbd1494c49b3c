"""Errors of the machine in words; everything else is a fault of ours and stays a traceback."""

from __future__ import annotations

import errno

import pytest
import torch

from csdm_cli.errors import CsdmError, UsageError, in_words


def test_exit_codes():
    assert (CsdmError.exit_code, UsageError.exit_code) == (1, 2) and issubclass(UsageError, CsdmError)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_with_the_file(number):
    assert "(a/b)" in str(in_words(OSError(number, "no", "a/b")))
    assert "free some space" in str(in_words(OSError(number, "no")))


def test_another_failure_of_a_file_names_both():
    assert in_words(PermissionError(errno.EACCES, "Permission denied", "a/b")) == "a/b: Permission denied"


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA"), RuntimeError("can't allocate memory")]
)
def test_out_of_memory_names_the_options_of_the_command_that_save_some(error):
    assert str(in_words(error, ["--out", "--ipc"])).endswith("a smaller --ipc needs less")
    assert "--size or --batch" in str(in_words(error, ["--batch", "--size"]))
    assert "--" not in str(in_words(error))


@pytest.mark.parametrize("error", [BrokenPipeError(errno.EPIPE, "pipe", "x"), OSError("x"), RuntimeError("shape")])
def test_a_fault_of_ours_has_no_words(error):
    assert in_words(error, ["--ipc"]) is None
