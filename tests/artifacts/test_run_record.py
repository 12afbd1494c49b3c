from __future__ import annotations

import platform

import pytest

from csdm_cli.artifacts.run_record import read_sidecar, record_run, sidecar_path, write_sidecar
from csdm_cli.errors import CsdmError


@pytest.fixture
def artifact(tmp_path):
    return tmp_path / "distilled.safetensors"


def test_round_trip(artifact):
    record = record_run(12.5)
    assert write_sidecar(artifact, record) == artifact.with_name("distilled.run.json") == sidecar_path(artifact)
    assert read_sidecar(artifact) == record
    assert record.wall_seconds == 12.5 and record.machine.threads >= 1 and record.machine.gpu is None
    assert record.peak_memory_bytes > 2**20


def test_it_does_not_say_whose_machine_it_was(artifact):
    text = write_sidecar(artifact, record_run(1.0)).read_text()
    assert platform.node() not in text


def test_none_beside_the_artifact(artifact):
    assert read_sidecar(artifact) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"code": null, "machine": {}}'])
def test_damaged(artifact, text):
    sidecar_path(artifact).write_text(text)
    with pytest.raises(CsdmError, match="damaged"):
        read_sidecar(artifact)
