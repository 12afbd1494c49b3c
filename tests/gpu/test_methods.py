"""Every method on CUDA: the losses of a CPU, equal bytes where they are asked for, also after an interruption."""

# ruff: noqa: F811 - fixtures are arguments

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from csdm_cli.images.image_set import ImageSet
from csdm_cli.methods import method_names
from csdm_cli.teachers.pool import TeacherPool
from tests.methods.test_every_method import (  # noqa: F401 - fixtures
    OPTIMISED,
    data,
    experts,
    finish,
    pool,
    pool_for,
    tiny,
)

# What they draw on the device, where the numbers are others than on a CPU: frequencies, centres.
DRAWN_THERE = {"csdm", "ncfm", "dream"}


@pytest.fixture
def on_gpu(data: ImageSet) -> ImageSet:
    return replace(data, images=data.images.cuda())


@pytest.fixture
def plain_arithmetic() -> Iterator[None]:
    """Products and convolutions in float32, not TF32."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.fixture
def deterministic() -> None:
    """As ``--deterministic`` has it, until the test ends."""
    torch.use_deterministic_algorithms(True)


@pytest.mark.usefixtures("plain_arithmetic")
@pytest.mark.parametrize("name", OPTIMISED)
def test_the_first_losses_are_those_of_a_cpu(data, on_gpu, pool_for, tmp_path, name):
    teachers: TeacherPool = pool_for(name)
    _, here = finish(tiny(name), data, teachers, tmp_path / "cpu", resume=False)
    _, there = finish(tiny(name), on_gpu, teachers, tmp_path / "cuda", resume=False)
    assert here.keys() == there.keys()
    for term, values in here.items():
        near = 0.5 if name in DRAWN_THERE else 2e-3
        assert there[term][0].item() == pytest.approx(values[0].item(), rel=near, abs=1e-5), term


@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize("name", method_names())
def test_the_same_seed_gives_the_same_bytes(on_gpu, pool_for, tmp_path, name):
    runs = [finish(tiny(name), on_gpu, pool_for(name), tmp_path / str(run), resume=False) for run in range(2)]
    (first, losses), (second, again) = runs
    assert first.device.type == "cuda" or name not in OPTIMISED
    assert torch.equal(first, second)
    assert all(torch.equal(losses[term], again[term]) for term in losses)


@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize("name", OPTIMISED)
def test_a_run_that_is_cut_short_resumes_to_the_same_bytes(on_gpu, pool_for, tmp_path, name):
    whole, history = finish(tiny(name), on_gpu, pool_for(name), tmp_path / "whole", resume=False)
    with pytest.raises(InterruptedError):
        finish(tiny(name), on_gpu, pool_for(name), tmp_path / "cut", stop=2)
    again, resumed = finish(tiny(name), on_gpu, pool_for(name), tmp_path / "cut")
    assert torch.equal(again, whole)
    assert all(torch.equal(resumed[term], history[term]) for term in history)
