"""A timeline of every operation, for chrome://tracing or ui.perfetto.dev."""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from csdm_cli.storage import outputs
from csdm_cli.storage.kinds import SIGNATURE, Kind


def _is_timeline(path: Path) -> bool:
    data = path.read_bytes()
    try:
        text = gzip.decompress(data) if path.suffix == ".gz" else data
    except (EOFError, zlib.error):
        return False
    return f'"{SIGNATURE}": "timeline"'.encode() in text


TIMELINE = Kind(_is_timeline, (".json", ".gz"))


@contextmanager
def chrome_trace(path: Path, device: torch.device) -> Iterator[None]:
    """Record what the block does and write it to ``path``, compressed if that ends in .gz.

    Older timelines of csdm's are replaced, other files are not.

    Blocks within ``torch.profiler.record_function(name)`` appear under that name.

    Raises:
        CsdmError: if ``path`` cannot be written.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else the profiler talks on stderr
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as recorded:
        recorded.add_metadata(SIGNATURE, "timeline")
        yield
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / ("trace.json.gz" if path.suffix == ".gz" else "trace.json")
        recorded.export_chrome_trace(str(whole))
        outputs.write_bytes(path, whole.read_bytes(), TIMELINE)
