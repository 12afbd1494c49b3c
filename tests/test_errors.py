"""Errors of the machine in words; everything else is a fault of ours and stays a traceback."""

from __future__ import annotations

import errno
from urllib.error import URLError

import pytest
import torch

from csdm_cli.errors import CsdmError, UsageError, asked_by, in_words, reason_of


def test_exit_codes():
    assert (CsdmError.exit_code, UsageError.exit_code) == (1, 2) and issubclass(UsageError, CsdmError)


@pytest.mark.parametrize(
    ("number", "file", "expected"),
    [
        (errno.ENOSPC, None, "the disk is full: free some space and run again"),
        (errno.EDQUOT, "a.png", "the disk is full (a.png): free some space and run again"),
        (errno.EFBIG, None, "a file may not grow any further: raise the limit (`ulimit -f`) and run again"),
        (errno.EFBIG, "a.png", "a file may not grow any further (a.png): raise the limit (`ulimit -f`) and run again"),
        (errno.EACCES, "a.png", "a.png: no"),
        (errno.EBADF, None, None),  # may be a fault of ours
        (errno.EPIPE, None, None),
    ],
)
def test_errors_of_the_system(number, file, expected):
    assert in_words(OSError(number, "no", file)) == expected


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


def test_a_refusal_names_the_option_that_asked():
    with pytest.raises(UsageError, match=r"^--kernel-shape: the shape is 0$"), asked_by("--kernel-shape"):
        raise UsageError("the shape is 0")
    with pytest.raises(CsdmError, match=r"^no data$"), asked_by("--kernel-shape"):
        raise CsdmError("no data")


def test_a_reason_is_one_line_without_the_system_s_number():
    assert reason_of(OSError(errno.ENOSPC, "No space left on device", "a.png")) == "No space left on device"
    assert reason_of(URLError(OSError(-3, "no such host"))) == "no such host" == reason_of(URLError("no such host"))
    assert reason_of(ValueError("two\n lines")) == "two lines" and reason_of(KeyError()) == "KeyError"
