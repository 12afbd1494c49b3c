"""A trace is valid JSON that names what was run, and appears whole or not at all."""

from __future__ import annotations

import gzip
import json

import pytest
import torch
from torch.profiler import record_function

from csdm_cli.errors import CsdmError
from csdm_cli.profiling.trace import chrome_trace

CPU = torch.device("cpu")


def names(text: str) -> set[str]:
    return {event.get("name") for event in json.loads(text)["traceEvents"]}


@pytest.mark.parametrize("name", ["trace.json", "trace.json.gz"])
def test_a_trace_has_the_operations_and_the_blocks_names(tmp_path, name):
    path = tmp_path / "new" / name
    with chrome_trace(path, CPU), record_function("an iteration"):
        torch.ones(4, 4) @ torch.ones(4, 4)
    found = names(gzip.decompress(path.read_bytes()).decode() if name.endswith("gz") else path.read_text())
    assert {"an iteration", "aten::mm"} <= found
    assert [place.name for place in path.parent.iterdir()] == [name]


def test_a_block_that_fails_leaves_no_file(tmp_path):
    with pytest.raises(ZeroDivisionError), chrome_trace(tmp_path / "trace.json", CPU):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_said_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CsdmError, match="cannot write"), chrome_trace(tmp_path / "file" / "trace.json", CPU):
        torch.ones(1)
