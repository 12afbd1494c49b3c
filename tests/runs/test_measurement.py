"""One set and its students, as files tell of them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from csdm_cli.names import EvaluationSplit
from csdm_cli.runs.measurement import LATER, TOLD, Measurement
from tests.methods.tiny_world import make_data

ALL = Measurement.of_all_images(
    make_data(), None, subject="full", ipc=10, data={"x": 1}, split=EvaluationSplit.test, protocol={}
)


def test_all_real_images_have_no_seed_and_their_own_size():
    """18 images of 3·8·8 bytes, and a label of 8 bytes each; three classes."""
    assert (ALL.seed, ALL.method, ALL.tested_on) == (None, None, "test")
    assert ALL.storage_bytes == 18 * (3 * 64 + 8) and ALL.stored_numbers == 18 * 3 * 64 and ALL.ipc_equivalent == 6


def test_what_is_told_are_attributes_by_their_names():
    assert list(ALL.told()) == [*TOLD, *LATER] and ALL.told(("ipc", "data")) == {"ipc": 10, "data": {"x": 1}}


@pytest.mark.parametrize(("iterations", "seconds"), [(None, 9.0), (0, 9.0), (100, 9.0), (40, None)])
def test_time_is_that_of_a_whole_distillation(iterations, seconds):
    made = SimpleNamespace(iterations=iterations, wall_seconds=9.0)
    found = replace(ALL, making=made, config={"distill": {"iterations": 100}})
    assert found.seconds == seconds and ALL.seconds is None
