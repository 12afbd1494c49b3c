"""Experts: their points, their bytes after a kill, their size before they are made, and classifiers trained on."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.images.image_set import ImageSet
from csdm_cli.networks import NetworkSpec, build
from csdm_cli.seeds import derive_seed
from csdm_cli.teachers import experts
from csdm_cli.teachers import pool as teacher_pool
from csdm_cli.teachers.experts import expert_bytes, expert_plan, train_experts
from csdm_cli.teachers.plan import TeacherPlan
from csdm_cli.teachers.pool import TeacherPool
from csdm_cli.training.batches import Examples
from csdm_cli.training.loop import train
from csdm_cli.training.recipe import Recipe

SPEC = NetworkSpec("convnet", width=4, depth=2, channels=3, size=8, classes=3)
RECIPE = Recipe("sgd", 0.05, 0.0, 0.0, 7, "color_crop_flip", "single", 0.0, "constant")
PLAN = expert_plan(2, 3, 4, RECIPE, seed=4)
GSAM = replace(PLAN, recipe=replace(RECIPE, optimizer="gsam", rho=0.01, ascent=0.3))


def make(data: ImageSet, cache: Path, plan: TeacherPlan = PLAN, **options) -> TeacherPool:
    cache.mkdir(parents=True, exist_ok=True)
    return train_experts(data, SPEC, plan, cache, torch.device("cpu"), **{"quiet": True} | options)


def classifiers(start: TeacherPool) -> TeacherPlan:
    own = expert_plan(len(start), 2, 5, replace(RECIPE, sampling="class-aware"), seed=4)
    return replace(own, start=start, noun="classifier")


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_an_expert_s_points_are_the_shared_loop_s_weights_after_so_many_steps(data: ImageSet, tmp_path: Path):
    pool = make(data, tmp_path)
    seed = derive_seed(4, "teacher", 1)
    network = build(SPEC, derive_seed(seed, "weights"))
    kept = {0: {name: value.clone() for name, value in network.state_dict().items()}}

    def keep(moment) -> None:
        kept[moment.step] = {name: value.clone() for name, value in network.state_dict().items()}

    images = Examples(data.images, data.labels, data.mean, data.std)
    train(network, images, RECIPE, 12, derive_seed(seed, "training"), on_step=keep)
    for point in range(4):
        assert same(pool.weights(1, ("step", 4 * point)), kept[4 * point])
        assert same(pool.weights(1, ("epoch", point)), kept[4 * point])
    assert pool.epochs == 3 and pool.every == 4 and pool.description["every"] == 4
    for step in (3, 16, -4):
        with pytest.raises(CsdmError, match=f"no step {step}: they were trained for 3 times 4"):
            pool.weights(1, ("step", step))


@pytest.mark.parametrize("plan", [PLAN, GSAM])
def test_a_killed_run_goes_on_to_the_same_bytes(data: ImageSet, tmp_path: Path, plan):
    whole = make(data, tmp_path / "whole", plan)

    class KilledError(Exception):
        pass

    def kill(expert: int, point: int, loss: float) -> None:
        if (expert, point) == (1, 2):
            raise KilledError

    with pytest.raises(KilledError):
        make(data, tmp_path / "killed", plan, checkpoint_every=0, on_epoch=kill)
    seen: list[tuple[int, int]] = []
    pool = make(data, tmp_path / "killed", plan, on_epoch=lambda expert, point, loss: seen.append((expert, point)))
    assert seen == [(1, 3)]
    assert [path.read_bytes() for path in pool.paths] == [path.read_bytes() for path in whole.paths]


def test_classifiers_go_on_from_the_end_of_the_experts_and_nothing_else_moves(data: ImageSet, tmp_path: Path):
    start = make(data, tmp_path)
    pool = make(data, tmp_path, classifiers(start))
    for expert in range(2):
        end = start.weights(expert)
        assert same(pool.weights(expert, ("step", 0)), end)
        for point in (1, 2):
            moved = {
                name for name, value in pool.weights(expert, ("epoch", point)).items() if not value.equal(end[name])
            }
            assert moved == {"classifier.weight", "classifier.bias"}
        assert same(pool.weights(expert, ("step", 10)), pool.weights(expert))
    other = make(data, tmp_path, replace(PLAN, seed=5))
    assert make(data, tmp_path, classifiers(other)).paths[0].parent != pool.paths[0].parent
    assert replace(start, classifiers=pool).key not in (start.key, pool.key)


def test_the_size_is_told_before_and_is_that_of_the_weights(data: ImageSet, tmp_path: Path, monkeypatch):
    told: list[str] = []
    for place in (experts, teacher_pool):
        monkeypatch.setattr(place, "note", lambda text, quiet: told.append(text))
    weights = sum(value.nbytes for value in build(SPEC, 0).state_dict().values())
    assert expert_bytes(SPEC, PLAN) == 5 * weights  # 3 points, the start and the end
    pool = make(data, tmp_path, quiet=False)
    assert told[0].startswith("2 experts x 5 snapshots") and told[1].startswith("experts to train first")
    held = sum(value.nbytes for stage in ("initial.", "epoch-01.", "final.") for value in pool._read(0, stage).values())
    assert held == 3 * weights
    start = classifiers(pool)
    own = sum(value.nbytes for name, value in build(SPEC, 0).state_dict().items() if name.startswith("classifier."))
    assert expert_bytes(SPEC, start) == 2 * weights + 2 * own
    told.clear()
    make(data, tmp_path, quiet=False)
    assert not told  # nothing is made


def test_a_disk_without_room_is_refused_before_anything_is_made(data: ImageSet, tmp_path: Path, monkeypatch):
    room = 3 * expert_bytes(SPEC, PLAN)
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(experts.shutil, "disk_usage", lambda place: usage(room - 1))
    with pytest.raises(CsdmError, match=r"2 experts take .* fewer --experts"):
        make(data, tmp_path)
    assert not list(tmp_path.rglob("*.safetensors"))
    monkeypatch.setattr(experts.shutil, "disk_usage", lambda place: usage(room))
    assert len(make(data, tmp_path)) == 2


def test_batches_may_not_couple_images(data: ImageSet, tmp_path: Path):
    with pytest.raises(UsageError, match="choose --norm instance"):
        train_experts(data, replace(SPEC, norm="batch"), PLAN, tmp_path, torch.device("cpu"), quiet=True)


def test_a_class_without_images_is_refused(data: ImageSet, tmp_path: Path):
    with pytest.raises(CsdmError, match="class 2 has no training image"):
        make(replace(data, counts=(9, 9, 0)), tmp_path)
