"""Precision, order of memory and compilation: what they change, what they must not, and who is told."""

from __future__ import annotations

import itertools
import logging
import shutil
from dataclasses import replace

import pytest
import torch
from torch._dynamo.utils import counters

from csdm_cli.distillation.layout import Chunking
from csdm_cli.errors import CsdmError
from csdm_cli.names import Precision
from csdm_cli.networks import numerics as numerics_module
from csdm_cli.networks.numerics import PLAIN, Numerics, chosen, features_by
from csdm_cli.runs.assemble import assemble
from csdm_cli.runs.choose import decided
from csdm_cli.runs.method_options import make_method
from csdm_cli.runs.runtime import Runtime
from csdm_cli.settings import sections
from csdm_cli.teachers.networks import PoolNetworks, tuned
from tests.methods.tiny_world import SETTINGS, make_data, make_pool

CPU = torch.device("cpu")
BF16, LAST = Numerics(Precision.bf16), Numerics(channels_last=True)
EVERY = [
    Numerics(precision, last, compiled)
    for precision, last, compiled in itertools.product(Precision, (False, True), (False, True))
]


@pytest.fixture
def traced(monkeypatch):
    """Compilation up to the programs, without the C++ compiler: recompiling is decided before it."""
    monkeypatch.setattr(numerics_module, "BACKEND", "aot_eager")


def looked_at(numerics: Numerics, dtype=torch.float32, block: int = 0):
    """Features of some images, their gradient in these, and logits."""
    method = make_method(sections.Distill(method="csdm", option={"block": block}))
    networks = tuned(method.networks(PoolNetworks(make_pool(), CPU, dtype, numerics.memory_format)), numerics)
    images = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    network = networks.at(0, "final")
    features, logits = network.features(images), network(images)
    (gradient,) = torch.autograd.grad(features.square().sum(), images)
    return features.detach(), gradient, logits.detach()


def iterating(folder, numerics: Numerics, dtype=torch.float32, **settings):
    """A run on the tiny world."""
    own = sections.Distill(method="csdm", **SETTINGS | settings)
    return assemble(*decided(own), make_data(), make_pool(), folder, quiet=True, dtype=dtype, numerics=numerics)


@pytest.mark.parametrize("own", [BF16, LAST, Numerics(compiled=True), EVERY[-1]], ids=str)
@pytest.mark.parametrize("block", [0, 1])
def test_features_gradients_and_logits_are_those_of_float32_up_to_rounding(traced, own, block):
    for plain, found in zip(looked_at(PLAIN, block=block), looked_at(own, block=block), strict=True):
        assert found.dtype == torch.float32 and found.shape == plain.shape
        error = (found - plain).norm() / plain.norm()
        if own.precision is Precision.bf16:
            assert 1e-4 < error < 0.1, "eight bits of mantissa, and some ReLUs on the other side"
        else:
            assert error < 1e-5


@pytest.mark.parametrize("own", [BF16, LAST, replace(LAST, compiled=True)], ids=str)
def test_float64_is_left_alone(traced, own):
    for plain, found in zip(looked_at(PLAIN, torch.float64), looked_at(own, torch.float64), strict=True):
        assert found.dtype == torch.float64 and torch.allclose(found, plain, rtol=1e-12, atol=1e-13)


def test_the_real_side_is_computed_in_pieces_of_one_shape(traced, tmp_path):
    """Classes of 9, 6 and 3 images, and five for the kernel's length: one program, and the numbers of plain ones."""
    torch._dynamo.reset()
    counters.clear()
    plain, found = (iterating(tmp_path, own, torch.float64) for own in (PLAIN, Numerics(compiled=True)))
    assert counters["stats"]["unique_graphs"] == 1
    for step in range(3):
        one, other = plain.real.at(step).statistics, found.real.at(step).statistics
        assert one.length == pytest.approx(other.length, rel=1e-12)
        torch.testing.assert_close(one.ecf.re, other.ecf.re, rtol=0, atol=1e-12)
        torch.testing.assert_close(one.ecf.im, other.ecf.im, rtol=0, atol=1e-12)


def test_plain_numerics_are_no_layer_in_between():
    networks = PoolNetworks(make_pool(), CPU, torch.float32)
    assert tuned(networks, PLAIN) is networks and chosen(CPU, None, None, None) == PLAIN


def test_spectra_losses_and_pixels_stay_in_float32(tmp_path):
    parts = iterating(tmp_path, replace(BF16, channels_last=True))
    target = parts.real.at(0)
    seen = parts.matching.see(parts.leaves.images[:4], target.view.theta, 0)
    outputs = parts.matching.outputs(target, seen)
    assert {value.dtype for value in outputs.values()} == {torch.float32}
    terms = parts.iterate(0)
    given = [*terms.values(), parts.leaves.images, target.frequencies, target.statistics.ecf.re]
    assert {tensor.dtype for tensor in given} == {torch.float32}


@pytest.mark.parametrize("own", [BF16, LAST, Numerics(compiled=True), EVERY[-1]], ids=str)
def test_equal_runs_give_equal_bits(traced, tmp_path, own):
    found = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        parts = iterating(folder, own)
        for step in range(3):
            parts.iterate(step)
        found.append(parts.leaves.images.detach())
    assert torch.equal(*found)


@pytest.mark.parametrize(("schedule", "block"), [("final", 0), ("interpolate", 0), ("interpolate", 1)])
def test_nothing_is_compiled_again_once_every_shape_was_seen(traced, tmp_path, schedule, block):
    """Two chunks of different size; other teachers, and other weights of theirs, use the same
    two programs; the real side has one."""
    torch._dynamo.reset()
    counters.clear()
    parts = iterating(tmp_path, Numerics(compiled=True), teacher_schedule=schedule, option={"block": block})
    parts.matching.layout = Chunking(2, 2)
    parts.iterate(0)
    assert counters["stats"]["unique_graphs"] == 3  # and one of the real side
    with torch._dynamo.config.patch(error_on_recompile=True):
        for step in range(1, 6):
            parts.iterate(step)
    assert counters["stats"]["unique_graphs"] == 3  # and one of the real side


def test_bank_and_run_change_with_what_rounds_differently(tmp_path):
    """Compilation does so to the real side too, whose bank is another then."""
    for own in EVERY:
        iterating(tmp_path, own)
    assert len(list((tmp_path / "bank").iterdir())) == 8


def test_devices_choose_and_options_override():
    assert chosen(torch.device("cuda"), Precision.bf16, None, True) == Numerics(Precision.bf16, False, True)
    runtime = Runtime(precision=Precision.bf16, channels_last=False)
    assert runtime.numerics(CPU) == BF16 and runtime.given_numerics == ["--precision", "--channels-last"]
    assert Runtime().given_numerics == []


def test_without_a_compiler_there_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    network = tuned(PoolNetworks(make_pool(), CPU, torch.float32), Numerics(compiled=True)).at(0, "final")
    nothing = {"force_disable_caches": True, "cpp.cxx": ("/nowhere/c++",)}
    with torch._inductor.config.patch(nothing), pytest.raises(CsdmError) as error:
        network.features(torch.rand(3, 3, 8, 8, requires_grad=True))
    assert "compiler" in str(error.value) and "--no-compile" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_torch_s_remark_on_a_missing_gpu_is_left_out():
    features_by(Numerics(compiled=True))
    assert not logging.getLogger("torch.utils.cpp_extension").isEnabledFor(logging.WARNING)


def test_compiled_programs_are_right_and_repeat_their_bits():
    own = Numerics(compiled=True)
    first, second = looked_at(own), looked_at(own)
    for plain, one, other in zip(looked_at(PLAIN), first, second, strict=True):
        assert torch.equal(one, other) and torch.allclose(one, plain, atol=1e-5)


@pytest.mark.parametrize(
    ("flags", "device", "chosen", "advised"),
    [
        ("flags : avx512f avx512_bf16 amx_tile", "cpu", PLAIN, True),
        ("flags : avx512f", "cpu", PLAIN, False),
        ("flags : avx512_bf16", "cuda", PLAIN, False),
        ("flags : avx512_bf16", "cpu", Numerics(compiled=True), False),
    ],
)
def test_bf16_is_advised_where_the_processor_has_it(tmp_path, monkeypatch, flags, device, chosen, advised):
    (tmp_path / "cpuinfo").write_text(flags)
    monkeypatch.setattr(numerics_module, "CPU_INFO", tmp_path / "cpuinfo")
    said = numerics_module.faster(torch.device(device), chosen)
    assert ("--precision bf16 --compile" in said and "0.46" in said) is advised and bool(said) is advised
