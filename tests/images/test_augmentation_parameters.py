from collections import Counter

import pytest
import torch

from csdm_cli.errors import UsageError
from csdm_cli.images.augmentation_parameters import (
    OPERATIONS,
    PARAMETERS,
    draw,
    draw_stratified,
    parse_strategy,
)
from tests.reference.theta import theta_with

ALL = parse_strategy("color_crop_cutout_flip_scale_rotate")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def carries(theta, operation):
    """Which rows hold the operation, by parameters that differ from the identity."""
    names = [name for name, parameter in PARAMETERS.items() if parameter.operation == operation]
    return torch.stack([theta[name] != PARAMETERS[name].identity for name in names]).any(0)


def test_strategies_are_read_in_one_order():
    assert parse_strategy("rotate_color_flip") == ("color", "flip", "rotate")
    assert parse_strategy("none") == ()


@pytest.mark.parametrize(("text", "word"), [("color_blur", "blur"), ("crop_crop", "twice"), ("", "none")])
def test_wrong_strategies_are_refused(text, word):
    with pytest.raises(UsageError, match=word):
        parse_strategy(text)


def test_single_mode_draws_one_operation_per_row():
    theta = draw(generator(), 3000, ALL, "single")
    held = torch.stack([carries(theta, operation) for operation in OPERATIONS]).sum(0)
    assert held.max() == 1
    for operation in OPERATIONS:
        expected = 3000 / 6 / (2 if operation == "flip" else 1)
        assert abs(int(carries(theta, operation).sum()) - expected) < 110, operation  # 5 standard deviations


def test_compose_mode_takes_all_but_one_warp():
    theta = draw(generator(), 900, ALL, "compose")
    warps = torch.stack([carries(theta, operation) for operation in ("crop", "scale", "rotate")])
    assert (warps.sum(0) == 1).all() and (warps.sum(1) > 200).all()
    assert carries(theta, "color").all() and carries(theta, "cutout").all()
    assert 350 < int(carries(theta, "flip").sum()) < 550


@pytest.mark.parametrize("mode", ["single", "compose"])
@pytest.mark.parametrize("strategy", [("color",), ("color", "cutout"), ("flip", "rotate"), ()])
def test_only_the_strategy_occurs(mode, strategy):
    theta = draw(generator(), 60, strategy, mode)
    assert theta.operations == set(strategy)
    assert {operation for operation in OPERATIONS if carries(theta, operation).any()} == set(strategy)


def test_parameters_stay_in_their_ranges():
    stratified = draw_stratified(generator(2), 40, 50, ALL, "compose")
    for theta in (draw(generator(1), 2000, ALL, "compose"), *stratified):
        for name, parameter in PARAMETERS.items():
            active = carries(theta, parameter.operation)
            values = theta[name][active]
            assert (values >= parameter.low - 1e-6).all() and (values <= parameter.high + 1e-6).all()


def test_ranges_are_those_of_differentiable_siamese_augmentation():
    """Its code: brightness up to 1/2 either way, saturation to 2, contrast from 1/2 to 3/2, scale 1.2, 15 degrees."""
    released = {
        "brightness": (-0.5, 0.5),
        "saturation": (0.0, 2.0),
        "contrast": (0.5, 1.5),
        "scale_x": (1 / 1.2, 1.2),
        "scale_y": (1 / 1.2, 1.2),
        "angle": (-15.0, 15.0),
        "hole_x": (0.0, 1.0),
        "hole_y": (0.0, 1.0),
    }
    theta = draw(generator(), 12_000, ALL, "single")  # 2,000 rows of each operation
    for name, (low, high) in released.items():
        values = theta[name][carries(theta, PARAMETERS[name].operation)]
        near = 0.01 * (high - low)
        assert low - 1e-6 <= values.min() < low + near and high - near < values.max() <= high + 1e-6, name


@pytest.mark.parametrize("draws", [1, 4, 6, 8, 15])
def test_stratified_draws_balance_the_operation_of_every_row(draws):
    strategy = ("color", "crop", "cutout", "rotate")
    thetas = draw_stratified(generator(draws), draws, 30, strategy, "single")
    counts = torch.stack([torch.stack([carries(theta, op) for theta in thetas]).sum(0) for op in strategy])  # (4, 30)
    assert (counts.sum(0) == draws).all()
    assert (counts.amax(0) - counts.amin(0)).max() <= 1
    if draws % len(strategy):
        assert len({tuple(column) for column in counts.T.tolist()}) > 1, "the remainder falls on random operations"


def test_stratified_parameters_fill_every_stratum_of_their_operation():
    draws, groups = 12, 7
    thetas = draw_stratified(generator(5), draws, groups, ("scale", "rotate", "flip"), "single")
    for group in range(groups):
        angles = [float(theta["angle"][group]) for theta in thetas if carries(theta, "rotate")[group]]
        assert sorted(int((angle + 15) / 30 * 4) for angle in angles) == [0, 1, 2, 3]
        assert sum(float(theta["flip"][group]) for theta in thetas) == 2, "half of the four draws of flip"


@pytest.mark.parametrize("mode", ["single", "compose"])
def test_one_stratified_draw_is_distributed_as_draw(mode):
    """The marginal of any one of the draws, over many groups, against that of independent draws."""
    plain = draw(generator(3), 6000, ALL, mode)
    stratified = draw_stratified(generator(4), 5, 6000, ALL, mode)
    for position in (0, 4):
        for name, parameter in PARAMETERS.items():
            first, second = plain[name].sort().values, stratified[position][name].sort().values
            spread = max(parameter.high - parameter.low, 1.0)
            assert (first - second).abs().mean() / spread < 0.03, name  # Wasserstein distance


def test_groups_of_a_stratified_draw_are_independent():
    thetas = draw_stratified(generator(6), 2, 4000, ("rotate",), "single")
    angle = thetas[0]["angle"]
    assert torch.corrcoef(torch.stack([angle[:-1], angle[1:]]))[0, 1].abs() < 0.08
    assert torch.corrcoef(torch.stack([angle, thetas[1]["angle"]]))[0, 1] < -0.6, "two draws take opposite halves"


def test_draws_depend_on_the_generator_alone():
    state = torch.get_rng_state()
    first, second = (draw(generator(9), 5, ALL, "single") for _ in range(2))
    assert torch.equal(first.values, second.values)
    assert torch.equal(state, torch.get_rng_state())


def test_operations_are_those_that_change_something():
    theta = draw(generator(7), 6, ALL, "compose")
    assert theta.operations == theta_with(theta.values).operations


def test_rows_know_their_operations():
    theta = draw(generator(8), 200, ALL, "single")
    rows = torch.nonzero(carries(theta, "cutout")).flatten()
    assert theta.rows(rows).operations == {"cutout"}
    assert Counter(theta.rows([3, 3, 5])["angle"].tolist()) == Counter(theta["angle"][[3, 3, 5]].tolist())
    assert theta.rows([]).operations == frozenset() and len(theta.rows([])) == 0
