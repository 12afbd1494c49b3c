"""The test set's only door, and the seal that keeps it shut while images are made.

The seal stops :func:`read_test` and nothing else: not code that opens the file by itself, nor images that were read
before. It is there against mistakes. That no other module reads the file is what a test looks for.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from csdm_cli.errors import CsdmError

if TYPE_CHECKING:
    from csdm_cli.data.store import LongTail
    from csdm_cli.images.image_set import ImageSet
from csdm_cli.data.store import TEST_FILE


class _Seals:
    """Reasons why the test set is shut, innermost last: for all threads, so that none can look around it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.reasons: list[str] = []


_SEALS = _Seals()


@contextmanager
def sealed(reason: str = "training images are being made") -> Iterator[None]:
    """While this block runs, :func:`read_test` raises CsdmError in every thread of the process."""
    with _SEALS.lock:
        _SEALS.reasons.append(reason)
    try:
        yield
    finally:
        with _SEALS.lock:
            _SEALS.reasons.remove(reason)


def read_test(longtail: LongTail) -> ImageSet:
    """The untouched test set of a long-tailed set, compared with the fingerprint in its manifest.

    Raises:
        CsdmError: inside :func:`sealed`; and if the file is missing, damaged or another set's.
    """
    with _SEALS.lock:
        if _SEALS.reasons:
            raise CsdmError(f"the test set is sealed while {_SEALS.reasons[-1]}: nothing may look at it then")
    from csdm_cli.data.store import read_images

    return read_images(longtail, TEST_FILE, longtail.manifest.test_counts, longtail.manifest.fingerprints["test"])
