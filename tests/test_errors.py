"""What the machine refuses, in words."""

import errno

import pytest

from csdm_cli.errors import in_words


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
