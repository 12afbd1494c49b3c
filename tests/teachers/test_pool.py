from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from csdm_cli.errors import CsdmError
from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.normalisation import normalise
from csdm_cli.names import Parallel, TeacherLoss
from csdm_cli.networks import NetworkSpec, build
from csdm_cli.seeds import derive_seed
from csdm_cli.storage import tensorfile
from csdm_cli.teachers.plan import TeacherPlan
from csdm_cli.teachers.pool import TeacherPool, train_pool
from csdm_cli.teachers.remains import Remains
from csdm_cli.teachers.teaching import TeachingPlan
from csdm_cli.training.batches import Examples
from csdm_cli.training.loop import TrainState, train
from csdm_cli.training.recipe import Duration, Recipe

SPEC = NetworkSpec("convnet", width=4, depth=2, channels=3, size=8, classes=3)
RECIPE = Recipe("sgd", 0.05, 0.9, 5e-4, 7, "color_crop_flip", "single", 0.5, "steps")
PLAN = TeacherPlan(2, Duration(epochs=3), TeacherLoss.cross_entropy, RECIPE, trajectory=True, seed=4)


def make(data: ImageSet, cache: Path, plan: TeacherPlan = PLAN, **options) -> TeacherPool:
    return train_pool(data, SPEC, plan, cache, "cpu", quiet=True, **options)


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def files(pool: TeacherPool) -> list[bytes]:
    return [path.read_bytes() for path in pool.paths]


def test_a_teacher_is_what_the_shared_loop_makes_of_its_seed(data: ImageSet, tmp_path: Path):
    pool = make(data, tmp_path)
    for number in range(2):
        seed = derive_seed(4, "teacher", number)
        network = build(SPEC, derive_seed(seed, "weights"))
        assert same(pool.weights(number, ("epoch", 0)), network.state_dict())
        examples = Examples(data.images, data.labels, data.mean, data.std)
        train(network, examples, RECIPE, -(-3 * 18 // 7), derive_seed(seed, "training"))
        assert same(pool.weights(number), network.state_dict())
    assert len(pool) == 2 and pool.spec == SPEC and pool.epochs == 3 and pool.data == data.fingerprint()
    assert not same(pool.weights(0), pool.weights(1))


def test_points_of_the_schedule(data: ImageSet, tmp_path: Path):
    pool = make(data, tmp_path)
    initial, final = pool.weights(0, ("epoch", 0)), pool.weights(0, "final")
    assert same(pool.weights(0, ("interpolate", 0.0)), initial)
    assert same(pool.weights(0, ("interpolate", 1.0)), final)
    for name, value in pool.weights(0, ("interpolate", 0.25)).items():
        torch.testing.assert_close(value, 0.75 * initial[name] + 0.25 * final[name])
    assert same(pool.weights(0, ("epoch", 3)), final)
    assert not same(pool.weights(0, ("epoch", 1)), pool.weights(0, ("epoch", 2)))
    with pytest.raises(CsdmError, match="no epoch 4"):
        pool.weights(0, ("epoch", 4))


def test_without_trajectory_no_epochs_are_kept(data: ImageSet, tmp_path: Path):
    short, long = make(data, tmp_path, replace(PLAN, trajectory=False)), make(data, tmp_path)
    assert same(short.weights(1), long.weights(1))
    assert short.paths[0].stat().st_size < long.paths[0].stat().st_size
    with pytest.raises(CsdmError, match="--trajectory"):
        short.weights(0, ("epoch", 1))


def test_networks_are_frozen_and_carry_the_weights(data: ImageSet, tmp_path: Path):
    pool = make(data, tmp_path)
    network = pool.network(1, ("epoch", 2))
    assert same(network.state_dict(), pool.weights(1, ("epoch", 2)))
    assert not network.training and not any(p.requires_grad for p in network.parameters())


class KilledError(Exception):
    pass


@pytest.mark.parametrize("loss", TeacherLoss)
@pytest.mark.parametrize("last", [(0, 1), (0, 3), (1, 2)])
def test_a_killed_run_goes_on_and_gives_the_same_bytes(data: ImageSet, tmp_path: Path, loss, last):
    plan = replace(PLAN, loss=loss)
    whole = make(data, tmp_path / "whole", plan)
    epochs: list[tuple[int, int]] = []

    def kill(teacher: int, epoch: int, loss: float) -> None:
        epochs.append((teacher, epoch))
        if (teacher, epoch) == last:
            raise KilledError

    with pytest.raises(KilledError):
        make(data, tmp_path / "killed", plan, checkpoint_every=0, on_epoch=kill)
    last = None
    pool = make(data, tmp_path / "killed", plan, checkpoint_every=0, on_epoch=kill)
    assert epochs == [(teacher, epoch) for teacher in range(2) for epoch in (1, 2, 3)]  # none twice
    assert files(pool) == files(whole) and pool.key == whole.key
    assert not list((tmp_path / "killed").rglob("*.partial"))


@pytest.mark.parametrize("last", [(0, 1), (1, 2)])
def test_teachers_trained_together_go_on_too(data: ImageSet, tmp_path: Path, last):
    options = {"parallel": Parallel.together, "checkpoint_every": 0}
    whole = make(data, tmp_path / "whole", **options)
    epochs: list[tuple[int, int]] = []

    def kill(teacher: int, epoch: int, loss: float) -> None:
        epochs.append((teacher, epoch))
        if (teacher, epoch) == last:
            raise KilledError

    with pytest.raises(KilledError):
        make(data, tmp_path / "killed", on_epoch=kill, **options)
    first, last = last, None
    pool = make(data, tmp_path / "killed", on_epoch=kill, **options)
    seen = [(teacher, epoch) for epoch in (1, 2, 3) for teacher in range(2)]
    assert epochs == [pair for pair in seen if pair[1] <= first[1] and pair <= (first[0], 3)] + [
        pair for pair in seen if pair[1] > first[1]
    ]
    assert files(pool) == files(whole) and pool.key == whole.key


def test_teachers_trained_together_are_those_trained_in_turn(data: ImageSet, tmp_path: Path):
    in_turn = make(data, tmp_path)
    losses: dict[tuple[int, int], float] = {}
    note = lambda teacher, epoch, loss: losses.update({(teacher, epoch): loss})  # noqa: E731
    together = make(data, tmp_path, parallel=Parallel.together, on_epoch=note)
    assert together.paths[0].parent != in_turn.paths[0].parent
    assert len(losses) == 6 and losses[0, 3] != losses[1, 3]
    for number in range(2):
        for point in (("epoch", 0), ("epoch", 1), "final"):
            for name, value in together.weights(number, point).items():
                torch.testing.assert_close(value, in_turn.weights(number, point)[name], rtol=0, atol=1e-5)


def test_teachers_killed_at_different_steps_both_go_on(data: ImageSet, tmp_path: Path, monkeypatch):
    """The second notebook of the second epoch is not written any more."""
    options = {"parallel": Parallel.together, "checkpoint_every": 0}
    whole = make(data, tmp_path / "whole", **options)
    written: list[int] = []
    original = Remains.write

    def write(notebook: Remains, state: TrainState) -> None:
        written.append(state.step)
        if len(written) == 4:
            raise KilledError
        original(notebook, state)

    monkeypatch.setattr(Remains, "write", write)
    with pytest.raises(KilledError):
        make(data, tmp_path / "killed", **options)
    epochs: list[tuple[int, int]] = []
    note = lambda teacher, epoch, loss: epochs.append((teacher, epoch))  # noqa: E731
    pool = make(data, tmp_path / "killed", on_epoch=note, **options)
    assert epochs == [(0, 3), (1, 2), (1, 3)]
    for number in range(2):
        for name, value in pool.weights(number).items():
            torch.testing.assert_close(value, whole.weights(number)[name], rtol=0, atol=1e-5)


def test_a_damaged_checkpoint_or_teacher_is_made_again(data: ImageSet, tmp_path: Path):
    def kill(teacher: int, epoch: int, loss: float) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        make(data, tmp_path / "a", checkpoint_every=0, on_epoch=kill)
    (state,) = (tmp_path / "a").rglob("state.safetensors")
    state.write_bytes(state.read_bytes()[:100])
    pool = make(data, tmp_path / "a")
    whole = files(make(data, tmp_path / "b"))
    assert files(pool) == whole
    changed = bytearray(whole[1])
    changed[-1] ^= 1
    pool.paths[1].write_bytes(changed)
    assert files(make(data, tmp_path / "a")) == whole


def test_finished_teachers_come_from_the_cache(data: ImageSet, tmp_path: Path):
    trained: list[int] = []
    make(data, tmp_path, on_epoch=lambda teacher, epoch, loss: trained.append(teacher))
    assert trained == [0, 0, 0, 1, 1, 1]
    trained.clear()
    more = make(
        data, tmp_path, replace(PLAN, teachers=3), on_epoch=lambda teacher, epoch, loss: trained.append(teacher)
    )
    assert trained == [2, 2, 2] and len(more) == 3
    assert make(data, tmp_path).key != more.key


def test_whatever_changes_a_teacher_changes_its_place(data: ImageSet, tmp_path: Path):
    plans = [
        PLAN,
        replace(PLAN, seed=5),
        replace(PLAN, duration=Duration(epochs=2)),
        replace(PLAN, loss=TeacherLoss.balanced_softmax),
        replace(PLAN, recipe=replace(RECIPE, lr=0.06)),
    ]
    places = [make(data, tmp_path, replace(plan, teachers=1)).paths[0] for plan in plans]
    lighter = replace(data, std=(0.2, 0.2, 0.2))
    other = replace(data, images=data.images.flip(0))
    places += [make(changed, tmp_path, replace(PLAN, teachers=1)).paths[0] for changed in (lighter, other)]
    assert len(set(places)) == len(places)


def test_two_at_once_train_each_teacher_once(data: ImageSet, tmp_path: Path):
    trained: list[tuple[int, int]] = []
    pools: list[TeacherPool] = []

    def run() -> None:
        pools.append(make(data, tmp_path, on_epoch=lambda teacher, epoch, loss: trained.append((teacher, epoch))))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(trained) == [(teacher, epoch) for teacher in range(2) for epoch in (1, 2, 3)]
    assert pools[0].key == pools[1].key


def test_logit_adjustment_lowers_the_logits_of_cross_entropy_by_the_log_prior(data: ImageSet, tmp_path: Path):
    plain = make(data, tmp_path).network(0, ("epoch", 2))
    adjusted = make(data, tmp_path, replace(PLAN, loss=TeacherLoss.logit_adjustment)).network(0, ("epoch", 2))
    images = normalise(data.images, data.mean, data.std)
    prior = torch.tensor(data.counts) / sum(data.counts)
    torch.testing.assert_close(adjusted(images), plain(images) - prior.log())


def test_training_accuracy_is_per_class(data: ImageSet, tmp_path: Path):
    pool = make(data, tmp_path)
    images = normalise(data.images, data.mean, data.std)
    for number, per_class in enumerate(pool.train_accuracy):
        right = (pool.network(number)(images).argmax(1) == data.labels).tolist()
        assert per_class == pytest.approx((sum(right[:9]) / 9, sum(right[9:15]) / 6, sum(right[15:]) / 3))


def test_epochs_end_where_their_last_image_is_seen(data: ImageSet):
    def ends(batch: int) -> dict[int, int]:
        lesson = TeachingPlan(
            data, SPEC, Duration(epochs=3), TeacherLoss.cross_entropy, replace(RECIPE, batch=batch), trajectory=False
        )
        return lesson.ends

    assert ends(7) == {3: 1, 6: 2, 8: 3}  # 18 images: after 18/7, 36/7 and 54/7 steps, rounded up
    assert ends(6) == {3: 1, 6: 2, 9: 3}
    assert ends(128) == {1: 1, 2: 2, 3: 3}


def test_export_and_open(data: ImageSet, tmp_path: Path):
    pool = make(data, tmp_path / "cache")
    pool.export(tmp_path / "teachers")
    opened = TeacherPool.open(tmp_path / "teachers")
    assert opened.key == pool.key and opened.description == pool.description
    assert same(opened.weights(1, ("epoch", 2)), pool.weights(1, ("epoch", 2)))
    first = {path.name: path.read_bytes() for path in (tmp_path / "teachers").iterdir()}
    assert set(first) == {"pool.json", "teacher-00.safetensors", "teacher-01.safetensors"}
    pool.export(tmp_path / "teachers")  # again, over the old one
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "teachers").iterdir()}
    assert str(tmp_path) not in first["pool.json"].decode()


def test_open_refuses_what_was_not_exported(data: ImageSet, tmp_path: Path):
    with pytest.raises(CsdmError, match=r"holds no teacher pool.*csdm pretrain"):
        TeacherPool.open(tmp_path)
    folder = tmp_path / "teachers"
    make(data, tmp_path / "cache").export(folder)
    first, second = folder / "teacher-00.safetensors", folder / "teacher-01.safetensors"
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    with pytest.raises(CsdmError, match=r"teacher-00.safetensors is not the file"):
        TeacherPool.open(folder)
    changed = bytearray(kept)
    changed[-1] ^= 1
    first.write_bytes(changed)
    opened = TeacherPool.open(folder)
    with pytest.raises(CsdmError, match="damaged"):
        for point in ("final", ("epoch", 0), ("epoch", 1), ("epoch", 2), ("epoch", 3)):
            opened.weights(0, point)
    first.unlink()
    with pytest.raises(CsdmError, match="does not exist"):
        TeacherPool.open(folder)
    (folder / "pool.json").write_text(json.dumps({"teachers": "two"}))
    with pytest.raises(CsdmError, match="damaged"):
        TeacherPool.open(folder)


def test_a_file_says_how_its_teacher_was_made(data: ImageSet, tmp_path: Path):
    header = tensorfile.read_header(make(data, tmp_path).paths[1])
    assert header["number"] == 1 and header["loss"] == "cross-entropy" and header["seed"] == 4
    assert NetworkSpec(**header["spec"]) == SPEC and Recipe(**header["recipe"]) == RECIPE


def test_a_class_without_images_is_refused(data: ImageSet, tmp_path: Path):
    empty = replace(data, counts=(9, 9, 0))
    with pytest.raises(CsdmError, match="class 2 has no training image"):
        make(empty, tmp_path, replace(PLAN, loss=TeacherLoss.balanced_softmax))
