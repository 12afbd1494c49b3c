from __future__ import annotations

import pytest
import torch

from csdm_cli.errors import UsageError
from csdm_cli.methods.trajectory.window import Window


def test_window_grows_linearly_and_stays() -> None:
    window = Window(first=0, initial=10, final=20, grown_after=1000)  # DATM's, CIFAR-10 at 10 images per class
    ends = [window.last(iteration) for iteration in (0, 99, 100, 199, 500, 999, 1000, 9999)]
    assert ends == [10, 10, 11, 11, 15, 19, 20, 20]


def test_a_fixed_window_is_mtts() -> None:
    window = Window.fixed(0, 20)
    assert [window.last(iteration) for iteration in (0, 1, 5000)] == [20, 20, 20]


def test_draws_cover_the_window_and_nothing_else() -> None:
    window, rng = Window(2, 4, 7, 10), torch.Generator().manual_seed(0)
    assert {window.draw(0, rng) for _ in range(100)} == {2, 3}
    assert {window.draw(10, rng) for _ in range(200)} == {2, 3, 4, 5, 6}
    again = [window.draw(10, torch.Generator().manual_seed(1)) for _ in range(3)]
    assert len(set(again)) == 1


@pytest.mark.parametrize("numbers", [(0, 0, 40, 100), (5, 5, 5, 0), (-1, 3, 4, 1), (0, 5, 4, 1), (0, 3, 4, -1)])
def test_empty_and_shrinking_windows_are_refused(numbers: tuple[int, int, int, int]) -> None:
    """The first is that of LAD's released configurations, whose second phase starts with an empty range."""
    with pytest.raises(UsageError, match="is empty or shrinks"):
        Window(*numbers)


def test_growth_takes_iterations() -> None:
    with pytest.raises(UsageError, match="needs iterations to grow over"):
        Window(0, 3, 4, 0)


def test_experts_must_go_far_enough() -> None:
    window = Window.fixed(0, 20)
    window.require(points=21, ahead=2)
    with pytest.raises(UsageError, match=r"of 20 points .* give --option latest=19, or .* --expert-snapshots 21"):
        window.require(points=20, ahead=2)
    with pytest.raises(UsageError, match=r"ahead of point 19: train experts with .* --expert-snapshots 29"):
        window.require(points=9, ahead=10)
