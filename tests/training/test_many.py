"""Networks trained at once against the same networks trained one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import nn

from csdm_cli.errors import CsdmError
from csdm_cli.names import NetworkName, Norm, Parallel, Pooling
from csdm_cli.networks import Network, NetworkSpec, build
from csdm_cli.networks.network import EncoderNetwork
from csdm_cli.training import loop, many
from csdm_cli.training.batches import Batches, Examples
from csdm_cli.training.loop import train
from csdm_cli.training.losses import balanced_softmax, cross_entropy
from csdm_cli.training.many import counted, groups_of, stands_together, train_together, training_bytes
from csdm_cli.training.recipe import Recipe

CONVNET = NetworkSpec("convnet", width=4, depth=2, channels=3, size=8, classes=3)
STUDENT = Recipe("adamw", 1e-3, 0.9, 0.01, 7, "color_crop_flip_scale_rotate", "single", 0.5, "cosine")
TEACHER = Recipe("sgd", 1e-2, 0.9, 5e-4, 7, "color_crop_cutout_flip_scale_rotate", "compose", 0.5, "steps")
SEEDS = (5, 6, 99)
EVERY_NETWORK = [
    *(replace(CONVNET, norm=norm) for norm in Norm),
    *(replace(CONVNET, pooling=pooling) for pooling in Pooling if pooling is not Pooling.avg),
    replace(CONVNET, name=NetworkName.alexnet),
    replace(CONVNET, name=NetworkName.vgg11, size=32),
    replace(CONVNET, name=NetworkName.resnet18, norm=Norm.batch),
]


def examples(size: int = 8, count: int = 9, dtype: torch.dtype = torch.float64) -> Examples:
    rng = torch.Generator().manual_seed(3)
    images = torch.rand(count, 3, size, size, generator=rng, dtype=torch.float64).to(dtype)
    return Examples(images, torch.arange(count) % 3, (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))


def networks(spec: NetworkSpec, dtype: torch.dtype = torch.float64, seeds: Sequence[int] = SEEDS) -> list[Network]:
    return [build(spec, seed).to(dtype) for seed in seeds]


def assert_alike(some: list[Network], others: list[Network], atol: float = 1e-9) -> None:
    for one, other in zip(some, others, strict=True):
        for name, value in one.state_dict().items():
            torch.testing.assert_close(value, other.state_dict()[name], rtol=0, atol=atol, msg=name)


@pytest.mark.parametrize("spec", EVERY_NETWORK, ids=lambda spec: f"{spec.name}-{spec.norm}-{spec.pooling}")
def test_every_network_learns_together_what_it_learns_alone(spec: NetworkSpec):
    seeds, batch, steps = (SEEDS, 7, 4) if spec.name == "convnet" else (SEEDS[:2], 2, 1)  # the others are large
    data, recipe = examples(spec.size), replace(STUDENT, batch=batch)
    alone, at_once = networks(spec, seeds=seeds), networks(spec, seeds=seeds)
    for network, seed in zip(alone, seeds, strict=True):
        train(network, data, recipe, steps, seed)
    train_together(at_once, data, recipe, steps, seeds)
    assert_alike(at_once, alone)
    assert not torch.equal(at_once[0].classifier.weight, at_once[1].classifier.weight)


@pytest.mark.parametrize("recipe", [STUDENT, TEACHER])
@pytest.mark.parametrize("loss", [cross_entropy, balanced_softmax((40, 5, 1))])
def test_recipes_and_losses(recipe: Recipe, loss, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loop, "images_at_once", lambda images: 6)  # alone 6 and 1, together 2, 2, 2 and 1
    alone, at_once = networks(CONVNET), networks(CONVNET)
    for network, seed in zip(alone, SEEDS, strict=True):
        train(network, examples(), recipe, 6, seed, loss=loss)
    train_together(at_once, examples(), recipe, 6, SEEDS, loss=loss)
    assert_alike(at_once, alone)
    assert all(network.training for network in at_once)


def test_batches_are_those_of_each_seed_bit_for_bit():
    data = examples(dtype=torch.float32)
    for recipe in (STUDENT, TEACHER):
        joint = many._JointBatches(data, recipe, SEEDS, classes=3)
        for step in range(8):
            images, targets = joint.at(step)
            for column, seed in enumerate(SEEDS):
                own_images, own_targets = Batches(data, recipe, seed, classes=3).at(step)
                assert torch.equal(images[:, 3 * column : 3 * column + 3], own_images)
                assert torch.equal(targets[:, column], own_targets)


def test_a_network_alone_is_trained_by_the_plain_loop():
    plain, one = build(CONVNET, 1), build(CONVNET, 1)
    train(plain, examples(), STUDENT, 3, 5)
    train_together([one], examples(), STUDENT, 3, [5])
    assert_alike([one], [plain], atol=0)


def test_what_is_told_after_every_step():
    spec = replace(CONVNET, norm=Norm.batch)
    alone, at_once = networks(spec), networks(spec)
    losses: list[list[float]] = []
    weights: list[list[dict[str, torch.Tensor]]] = []
    for network, seed in zip(alone, SEEDS, strict=True):
        losses.append([])
        weights.append([])

        def note(moment, seen=losses[-1], kept=weights[-1]) -> None:
            seen.append(float(moment.loss))
            kept.append({name: value.clone() for name, value in moment.network.state_dict().items()})

        train(network, examples(), STUDENT, 3, seed, on_step=note)

    def check(moment) -> None:
        assert moment.losses.tolist() == pytest.approx([seen[moment.step - 1] for seen in losses], abs=1e-9)
        moment.bring_up_to_date()
        for network, kept in zip(at_once, weights, strict=True):
            for name, value in network.state_dict().items():
                torch.testing.assert_close(value, kept[moment.step - 1][name], rtol=0, atol=1e-9)

    train_together(at_once, examples(), STUDENT, 3, SEEDS, on_step=check)


@pytest.mark.parametrize("recipe", [STUDENT, TEACHER])
def test_a_resumed_run_equals_an_uninterrupted_one(recipe: Recipe):
    whole, kept = networks(CONVNET), []
    train_together(whole, examples(), recipe, 5, SEEDS, on_step=lambda moment: kept.append(moment.states()))
    resumed = networks(CONVNET)
    train_together(resumed, examples(), recipe, 5, SEEDS, starts=kept[1])
    assert_alike(resumed, whole, atol=0)
    for network, seed, state in zip(networks(CONVNET), SEEDS, kept[1], strict=True):  # each can also go on alone
        train(network, examples(), recipe, 5, seed, start=state)
        assert_alike([network], [whole[SEEDS.index(seed)]])


def test_one_diverging_network_ends_all():
    several = networks(CONVNET, torch.float32)
    with torch.no_grad():
        several[1].classifier.weight.fill_(torch.inf)
    with pytest.raises(CsdmError, match=r"diverged.*lower the learning rate"):
        train_together(several, examples(), STUDENT, 2, SEEDS)


def test_when_networks_are_trained_together():
    able, unable = build(CONVNET, 0), EncoderNetwork(nn.Sequential(nn.Dropout()), 3 * 64, 3)
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert stands_together(Parallel.auto, able, cuda) and not stands_together(Parallel.auto, able, cpu)
    assert stands_together(Parallel.together, able, cpu) and not stands_together(Parallel.in_turn, able, cuda)
    assert not stands_together(Parallel.together, unable, cuda)
    torch.use_deterministic_algorithms(True)
    try:
        assert not stands_together(Parallel.auto, able, cuda)
    finally:
        torch.use_deterministic_algorithms(False)


def test_memory_of_a_step():
    """One convolution, a ReLU and a classifier of 4-byte numbers: 2 images of 4 x 6 x 6 maps, 3 logits."""
    network = EncoderNetwork(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), 4 * 36, 3)
    outputs, parameters = 2 * (2 * 4 * 36 + 3), 4 * 27 + 4 + 3 * 144 + 3
    assert training_bytes(network, (2, 3, 8, 8)) == 4 * (2 * outputs + 4 * parameters)


def test_groups_fit_into_the_memory(monkeypatch: pytest.MonkeyPatch):
    network, data = build(CONVNET, 0), examples()

    def groups(missing: list[int], at_once: bool = True) -> list[list[int]]:
        return groups_of(missing, network, data, 7, together=at_once)

    assert groups([0, 2, 3]) == [[0, 2, 3]] and groups([]) == []
    assert groups([0, 2, 3], at_once=False) == [[0], [2], [3]]
    each = training_bytes(network, (7, 3, 8, 8))
    for copies, expected in ((2.5, [[0, 1], [2, 3], [4]]), (0.1, [[0], [1], [2], [3], [4]]), (5, [[0, 1, 2, 3, 4]])):
        free = int(copies * each / many.MEMORY_SHARE)
        monkeypatch.setattr(many, "free_bytes", lambda device, free=free: free)
        assert groups([0, 1, 2, 3, 4]) == expected


def test_names_of_groups():
    assert [counted(numbers, 5) for numbers in ([1], [0, 1, 2], [0, 3])] == ["2/5", "1-3/5", "1,4/5"]
