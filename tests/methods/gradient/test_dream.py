from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from csdm_cli.methods.gradient.base import MATCHING
from csdm_cli.methods.gradient.centres import nearest_to_centres
from tests.methods.gradient.world import data, moved, prepared, scene


def test_the_images_nearest_to_the_centres_of_clear_clusters() -> None:
    """Three clusters on a line, each with an image in its middle."""
    features = torch.tensor([[0.0], [1.0], [2.0], [100.0], [101.0], [102.0], [200.0], [201.0], [202.0]])
    for seed in range(3):
        assert sorted(nearest_to_centres(features, 3, seed).tolist()) == [1, 4, 7]
    assert sorted(nearest_to_centres(features, 9, 0).tolist()) == list(range(9))


def test_the_choice_is_one_of_the_seed() -> None:
    features = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    chosen = [nearest_to_centres(features, 6, seed) for seed in (1, 1, 2, 2**63 - 1)]
    assert torch.equal(chosen[0], chosen[1]) and not torch.equal(chosen[0], chosen[2])
    assert all(len(own) == 6 and own.min() >= 0 and own.max() < 60 for own in chosen)


def test_of_a_class_without_more_images_all_are_taken_so_that_dream_is_idc() -> None:
    dream, idc = (prepared(name, real_batch=9, option={"outer": 2, "inner": 2}) for name in ("dream", "idc"))
    one, losses = moved(dream, 3)
    other, same = moved(idc, 3)
    assert losses == pytest.approx(same, rel=1e-9)
    torch.testing.assert_close(one.images, other.images, rtol=0, atol=1e-11)
    for label in range(3):
        chosen = dream.real_images(label, 2)
        assert len(chosen) == len(data().of_class(label)) and torch.equal(chosen, data().of_class(label))


def test_there_are_no_more_images_than_clusters_and_tails_are_whole() -> None:
    method = prepared("dream", real_batch=5)
    method.step(scene(), 0)
    assert [len(method.real_images(label, 0)) for label in range(3)] == [5, 5, 3]


def test_images_are_chosen_anew_after_some_steps_and_with_a_new_network() -> None:
    def choices(**option) -> list[torch.Tensor]:
        method, own, found = (
            prepared("dream", real_batch=3, option={"inner": 5, "network_lr": 0.3} | option),
            scene(),
            [],
        )
        for step in range(6):
            method.step(own, step)
            found.append(method._chosen[0])
            method.after_move(own, step)
        return found

    kept = choices(recluster=3, outer=100)
    assert [torch.equal(a, b) for a, b in pairwise(kept)] == [True, True, False, True, True]
    short = choices(recluster=10, outer=2)
    assert [short[n] is short[n + 1] for n in range(5)] == [True, False, True, False, True]


def test_a_resumed_run_keeps_its_choice() -> None:
    option = {"recluster": 4, "outer": 9, "inner": 2}
    whole, own = prepared("dream", real_batch=3, option=option), scene()
    for step in range(2):
        whole.step(own, step)
        whole.after_move(own, step)
    again = prepared("dream", real_batch=3, option=option)
    again.load_state_dict(whole.state_dict())
    found = [method.step(scene(), 2)[MATCHING] for method in (whole, again)]
    assert torch.equal(found[0], found[1])
    assert all(torch.equal(whole._chosen[label], again._chosen[label]) for label in range(3))
