"""ncfm against its formula, csdm's limit, and the sampling network's ascent."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from csdm_cli.errors import UsageError
from csdm_cli.methods.contract import Context
from csdm_cli.methods.matching.csdm import Csdm, CsdmParameters
from csdm_cli.methods.matching.ncfm import Ncfm, NcfmParameters
from csdm_cli.methods.statistics import Batch, ClassStatistics, Spectrum
from csdm_cli.names import AlphaSchedule, Distance, FrequencyRule, KernelName
from csdm_cli.runs.method_options import make_method
from csdm_cli.seeds import generator
from csdm_cli.settings.sections import Distill
from csdm_cli.spectral.characteristic import ecf
from tests.methods.tiny_world import COUNTS, LAYOUTS, assembled, check_resumption, finished, gradient, make_pool
from tests.reference import ncfm as oracle

CPU = torch.device("cpu")
LEARNED = {"sampler": "learned", "sampler_width": 8}
DIM = 16  # of the tiny network's features


def make_batch(seed: int = 0) -> tuple[Batch, list[torch.Tensor]]:
    """Random features of all classes with statistics of both samplers, and the real features."""
    rng = torch.Generator().manual_seed(seed)
    real = [torch.rand(n, DIM, generator=rng, dtype=torch.float64) for n in COUNTS]
    features = torch.rand(12, DIM, generator=rng, dtype=torch.float64, requires_grad=True)
    frequencies = torch.randn(7, DIM, generator=rng, dtype=torch.float64)
    transform = ecf(normalize(torch.cat(real)), frequencies, COUNTS)
    return Batch(0, 3, 4, features, ClassStatistics(ecf=transform, features=real), frequencies), real


def prepared(seed: int = 0, **parameters) -> Ncfm:
    method = Ncfm(NcfmParameters(**{"frequencies": 7} | parameters))
    method.prepare(Context(COUNTS, CPU, torch.float64, seed=seed, pool=make_pool()))
    return method


def loss(batch: Batch, step: int = 0, **parameters) -> torch.Tensor:
    return prepared(**parameters).losses(batch, step)["discrepancy"]


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (0.9, 0.1), (0.0, 2.0), (3.0, 0.0)])
def test_fixed_loss_is_the_formulas(a, b):
    batch, real = make_batch()
    expected = oracle.discrepancy(real, list(batch.features.detach().split(4)), batch.frequencies, a, b, 300)
    assert float(loss(batch, amplitude=a, phase=b).detach()) == pytest.approx(expected, rel=1e-9)


def test_learned_loss_is_the_formulas_at_the_sampling_networks_frequencies():
    batch, real = make_batch()
    method = prepared(**LEARNED)
    state, noise = method.state_dict(), generator(0, "sampler noise", 5)
    weights, biases = ([state[f"sampler.{kind}.{i}"] for i in range(3)] for kind in ("_weights", "_biases"))
    # biases are 0 at first, which would hide them
    for bias in biases:
        bias.add_(torch.rand(bias.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    frequencies = torch.tensor(oracle.sampled(weights, biases, torch.randn(7, 8, generator=noise)), dtype=torch.float64)
    expected = oracle.discrepancy(real, list(batch.features.detach().split(4)), frequencies, 0.5, 0.5, 300)
    assert float(method.losses(batch, 5)["discrepancy"].detach()) == pytest.approx(expected, rel=1e-9)
    assert len(frequencies.unique(dim=0)) == 7


@pytest.mark.parametrize("sampler", ["fixed", "learned"])
@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (0.2, 1.0)])
def test_gradients_equal_finite_differences(sampler, a, b):
    batch, _ = make_batch()
    method = prepared(amplitude=a, phase=b, sampler=sampler, sampler_width=8)

    def of(features: torch.Tensor) -> torch.Tensor:
        return method.losses(replace(batch, features=features), 0)["discrepancy"]

    assert torch.autograd.gradcheck(of, (batch.features,), atol=1e-4)


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (0.9, 0.1), (2.0, 1.0)])
def test_the_fixed_sampler_is_csdm_at_one_root_up_to_a_factor(a, b):
    """At α = a/(a + b), rbf of absolute length 1 and the root per frequency: weight·√(a + b) times csdm's loss."""
    batch, _ = make_batch()
    same = CsdmParameters(
        kernel=KernelName.rbf,
        kernel_shape=None,
        scale=1.0,
        frequencies=7,
        frequency_rule=FrequencyRule.monte_carlo,
        resample=True,
        distance=Distance.root,
        alpha_schedule=AlphaSchedule.constant,
        alpha_head=a / (a + b),
        alpha_tail=0.1,
    )
    csdm = Csdm(same)
    csdm.prepare(Context(COUNTS, CPU, torch.float64))
    expected = 40 * math.sqrt(a + b) * csdm.losses(batch, 0)["spectral"]
    torch.testing.assert_close(loss(batch, amplitude=a, phase=b, weight=40), expected, rtol=1e-12, atol=0)
    asked, wanted = prepared().request().spectrum, csdm.request().spectrum
    assert asked == Spectrum(KernelName.rbf, 1.0, 1.0, 7, absolute=True)
    assert (asked.kernel, asked.scale, asked.count, asked.rule) == (wanted.kernel, 1.0, wanted.count, wanted.rule)


def test_what_enters_the_sampling_network_s_tanh_has_unit_variance_at_first():
    """Whatever its width: of 16 outputs, whose mean square scatters by a tenth."""
    for width in (32, 256):
        sampler = prepared(frequencies=512, sampler="learned", sampler_width=width)._sampler
        entering = sampler.frequencies(0).detach().atanh()
        assert float(entering.square().mean()) == pytest.approx(1, abs=0.3)


def test_equal_sets_have_no_discrepancy_but_the_smoothing_of_the_root():
    _, real = make_batch()
    same = real[0][:4]
    transform = ecf(normalize(same), make_batch()[0].frequencies, [4])
    batch = Batch(0, 1, 4, same, ClassStatistics(ecf=transform), make_batch()[0].frequencies)
    assert float(loss(batch)) == pytest.approx(300 * 1e-6, rel=1e-6)


@pytest.mark.parametrize("option", [{}, LEARNED], ids=["fixed", "learned"])
def test_chunks_of_classes_and_pieces_of_a_class_give_the_same(tmp_path, option):
    parts = {layout: assembled(tmp_path, "ncfm", option=option) for layout in [None, *LAYOUTS]}
    for step in range(4):
        whole, expected = gradient(parts[None], step)
        for layout in LAYOUTS:
            value, found = gradient(parts[layout], step, layout)
            assert value == pytest.approx(whole, rel=1e-10)
            torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-9)
        # the sampling network moves by what all chunks left it
        for own in parts.values():
            if option:
                own.matching.after_move(own.leaves.images, own.real.at(step), step)
            own.method.after_step(step)
        states = [own.method.state_dict() for own in parts.values()]
        for state in states[1:]:
            for name, value in state.items():
                torch.testing.assert_close(value, states[0][name], rtol=1e-7, atol=1e-10)


def test_the_sampling_networks_turn_is_after_the_images_moved(tmp_path, monkeypatch):
    parts = assembled(tmp_path, "ncfm", option=LEARNED)
    seen = []
    monkeypatch.setattr(parts.method, "after_move", lambda batch, step: seen.append(batch.features))
    before = parts.leaves.images.detach().clone()
    parts.iterate(0)
    assert not torch.equal(parts.leaves.images, before)
    target = parts.real.at(0)
    shown = parts.matching.see(parts.leaves.images.detach(), target.view.theta, 0)
    expected = parts.networks.at(target.view.teacher, target.view.stage).features(shown)
    torch.testing.assert_close(torch.cat(seen), expected)


def test_the_sampling_network_climbs_the_gradient_of_all_classes():
    batch, real = make_batch()
    method = prepared(**LEARNED)
    weight, bias = (method.state_dict()[f"sampler.{kind}.2"] for kind in ("_weights", "_biases"))
    before = [weight.clone(), bias.clone()]
    for first, last in ((0, 2), (2, 3)):
        part = replace(
            batch,
            first=first,
            last=last,
            features=batch.features[4 * first : 4 * last],
            real=ClassStatistics(features=real[first:last]),
        )
        method.after_move(part, 0)
    method.after_step(0)
    moved = [weight - before[0], bias - before[1]]

    def total(shift: tuple[int, ...], which: int, by: float) -> float:
        fresh = prepared(**LEARNED)
        fresh.state_dict()[f"sampler.{('_weights', '_biases')[which]}.2"][shift] += by
        return float(fresh.losses(batch, 0)["discrepancy"].detach())

    for which, shift in ((0, (0, 0)), (0, (5, 3)), (1, (2,)), (1, (9,))):
        slope = (total(shift, which, 1e-6) - total(shift, which, -1e-6)) / 2e-6
        # Adam's first step is the rate times the gradient's sign
        assert abs(slope) > 1e-3
        assert float(moved[which][shift]) == pytest.approx(math.copysign(1e-4, slope), rel=1e-3)


def test_the_ascent_is_along_the_gradient_at_the_moved_images_alone():
    batch, _ = make_batch()
    moved = replace(batch, features=batch.features.detach() + 0.1)
    slopes = []
    for descends in (True, False):
        method = prepared(**LEARNED)
        if descends:
            method.losses(batch, 0)["discrepancy"].backward()
        method.after_move(moved, 0)
        slopes.append(method._sampler.frequencies(0).grad)
    assert torch.equal(*slopes) and slopes[0].abs().max() > 1e-3


def test_the_sampler_ascends_while_the_images_descend():
    batch, _ = make_batch()
    method = prepared(**LEARNED, sampler_lr=1e-2)

    def value() -> float:  # at the same noise, whatever the step
        method._sampler._step = None
        return float(method.losses(batch, 99)["discrepancy"].detach())

    start = value()
    for step in range(30):
        method.after_move(replace(batch, features=batch.features.detach()), step)
        method.after_step(step)
    assert value() > 1.1 * start
    features = batch.features.detach() - 1e-3 * torch.autograd.grad(loss(batch, **LEARNED), batch.features)[0]
    assert loss(replace(batch, features=features), **LEARNED) < loss(batch, **LEARNED)


def test_the_images_gradient_does_not_reach_into_the_sampler(tmp_path):
    parts = assembled(tmp_path, "ncfm", option=LEARNED)
    before = {name: value.clone() for name, value in parts.method.state_dict().items()}
    gradient(parts, 0)
    after = parts.method.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_every_option_changes_the_loss(tmp_path):
    def losses(frequencies: int = 12, **option) -> list[float]:
        parts = assembled(tmp_path, "ncfm", option=option, frequencies=frequencies)
        return finished(parts, tmp_path / f"{frequencies}{option}").history["discrepancy"].tolist()

    fixed, learned = losses(), losses(**LEARNED)
    assert fixed != pytest.approx(learned)
    for option in ({"amplitude": 0.9}, {"phase": 0.9}, {"weight": 20.0}):
        assert losses(**option) != pytest.approx(fixed)
        assert losses(**LEARNED | option) != pytest.approx(learned)
    for option in ({"sampler_width": 9}, {"sampler_lr": 0.1}):
        assert losses(**LEARNED | option) != pytest.approx(learned)
    assert losses(frequencies=9) != pytest.approx(fixed)
    assert losses(frequencies=9, **LEARNED) != pytest.approx(learned)


def test_what_the_sampler_decides():
    fixed, learned = prepared(), prepared(**LEARNED)
    assert fixed.bankable and not fixed.coupled_by and fixed.idle_options() == {"sampler_width", "sampler_lr"}
    assert not learned.bankable and learned.coupled_by and not learned.idle_options()
    assert prepared(seed=1, **LEARNED).state_dict().keys() == learned.state_dict().keys()
    one, other, again = (prepared(seed=s, **LEARNED).state_dict()["sampler._weights.0"] for s in (0, 1, 0))
    assert torch.equal(one, again) and not torch.equal(one, other)
    with pytest.raises(UsageError, match="nothing to match"):
        make_method(Distill(method="ncfm", option={"amplitude": 0, "phase": 0}))
    with pytest.raises(UsageError, match="sampler=lerned"):
        make_method(Distill(method="ncfm", option={"sampler": "lerned"}))


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_a_run_with_a_learned_sampler_resumes_to_the_same_bytes(tmp_path, stop):
    check_resumption(tmp_path, stop, "ncfm", option=LEARNED)


@pytest.mark.parametrize("option", [{}, LEARNED], ids=["fixed", "learned"])
def test_the_loss_falls(tmp_path, option):
    settings = {"iterations": 40, "draws": 1, "augment": "none", "schedule": "constant", "real_batch": 99}
    parts = assembled(tmp_path, "ncfm", torch.float32, option=option, **settings)
    losses = finished(parts, tmp_path).history["discrepancy"]
    assert losses.isfinite().all() and losses[-8:].mean() < 0.8 * losses[:8].mean()
