from __future__ import annotations

import pytest
import torch
from torch import Tensor

from csdm_cli.errors import CsdmError
from csdm_cli.methods.trajectory.distance import ExpertSegment


def weights(seed: int) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    shapes = {"encoder": (4, 3), "bias": (4,), "classifier": (2, 4)}
    return {name: torch.randn(shape, generator=rng, dtype=torch.float64) for name, shape in shapes.items()}


START, TARGET = weights(0), weights(1)


def between(part: float) -> dict[str, Tensor]:
    return {name: START[name] + part * (TARGET[name] - START[name]) for name in START}


def test_loss_is_the_quotient_of_squared_distances() -> None:
    student, flat = weights(2), lambda w: torch.cat([own.flatten() for own in w.values()])
    expected = (flat(student) - flat(TARGET)).square().sum() / (flat(START) - flat(TARGET)).square().sum()
    torch.testing.assert_close(ExpertSegment(START, TARGET).loss(student), expected)


@pytest.mark.parametrize("part", [0.0, 0.25, 1.0, 2.0])
def test_a_student_on_the_experts_way_has_the_square_of_what_is_left(part: float) -> None:
    assert float(ExpertSegment(START, TARGET).loss(between(part))) == pytest.approx((1 - part) ** 2, abs=1e-14)


def test_only_the_named_weights_count() -> None:
    encoder = ExpertSegment(START, TARGET, names=("encoder", "bias"))
    student = weights(3)
    assert torch.equal(encoder.loss(student), encoder.loss(student | {"classifier": 9 * student["classifier"]}))
    elsewhere = ExpertSegment(START, TARGET | {"classifier": weights(4)["classifier"]}, names=("encoder", "bias"))
    assert torch.equal(encoder.loss(student), elsewhere.loss(student))
    # The parts' numerators and denominators add up to the whole's.
    rest = ExpertSegment(START, TARGET, names=("classifier",))
    both = sum(part.loss(student) * part.squared_length() for part in (encoder, rest))
    whole = ExpertSegment(START, TARGET)
    torch.testing.assert_close(both, whole.loss(student) * whole.squared_length())


def test_an_expert_that_stood_still_is_refused() -> None:
    for still in (START, between(1e-7)):
        with pytest.raises(CsdmError, match=r"did not move .* match an earlier part"):
            ExpertSegment(START, still).loss(weights(2))
    nothing = {name: torch.zeros_like(own) for name, own in START.items()}
    with pytest.raises(CsdmError, match="did not move"):
        ExpertSegment(nothing, nothing).loss(weights(2))
    assert ExpertSegment(START, between(1e-3)).loss(START) == 1


def test_a_broken_expert_is_refused() -> None:
    broken = TARGET | {"bias": torch.full_like(TARGET["bias"], torch.nan)}
    with pytest.raises(CsdmError, match="not finite: train the experts again"):
        ExpertSegment(START, broken).loss(START)
