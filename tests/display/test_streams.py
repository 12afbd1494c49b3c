"""Standard streams as a process finds them."""

import os
import subprocess
import sys

import pytest

from csdm_cli.display.streams import sane_width


def csdm(redirects: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = f"set -o pipefail; '{sys.executable}' -m csdm_cli --version {redirects}"
    return subprocess.run(["bash", "-c", command], check=False, capture_output=True, env=os.environ | environment)


@pytest.mark.parametrize("redirects", [">&-", "2>&-", ">&- 2>&- <&-", "| true"])
def test_closed_streams_and_lost_readers_change_nothing(redirects):
    done = csdm(redirects)
    assert done.returncode == 0 and done.stderr == b""


def test_a_width_that_is_none_is_forgotten():
    assert csdm("", COLUMNS="²").returncode == 0
    assert [sane_width(text) for text in ("80", "1", "²", "", "0", "9" * 5000)] == [80, 20, None, None, None, 5000]
