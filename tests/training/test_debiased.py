"""The debiased recipe: pairs mixed by λ, and targets that carry the weights of both heads."""

import math
from dataclasses import replace

import pytest
import torch

from csdm_cli.images.augment import box
from csdm_cli.names import AugmentMode
from csdm_cli.networks import NetworkSpec, build
from csdm_cli.seeds import generator
from csdm_cli.training.batches import Examples
from csdm_cli.training.debiased import DebiasedBatches, two_heads
from csdm_cli.training.loop import train
from csdm_cli.training.losses import cross_entropy
from csdm_cli.training.recipe import Recipe

COUNTS = (40, 8, 2)
RECIPE = Recipe("adamw", 1e-3, 0.0, 0.0, 16, "none", AugmentMode.single, 0.0, "constant", "debiased")


@pytest.fixture
def examples() -> Examples:
    """Every image is one value, which tells its class and its number."""
    labels = torch.arange(3).repeat_interleave(torch.tensor(COUNTS))
    values = (100 * labels + torch.arange(len(labels))) / 255
    return Examples(values.view(-1, 1, 1, 1).expand(-1, 1, 8, 8), labels, (0.0,), (1.0,))


def test_a_step_mixes_pairs_by_mixup_and_by_cutmix(examples: Examples) -> None:
    images, targets = DebiasedBatches(examples, RECIPE, steps=10, seed=3, classes=3).at(4)
    assert images.shape == (16, 1, 8, 8) and targets.shape == (16, 6)
    rng = generator(3, "debiased", 4)
    chances = torch.tensor(COUNTS).double()[examples.targets] ** -0.2
    partners = torch.multinomial(chances, 8, replacement=True, generator=rng)
    lam, *centre = torch.rand(3, generator=rng, dtype=torch.float64).tolist()
    by_mixup, by_cutmix = images.split(8)
    theirs = examples.images[partners]
    own = (by_mixup - (1 - lam) * theirs) / lam  # solved for the first image of each pair
    torch.testing.assert_close(own[:, 0, 0, 0] * 255, (own[:, 0, 0, 0] * 255).round(), atol=1e-3, rtol=0)
    rows, columns = box(8, lam, *centre)
    inside = torch.zeros(8, 8, dtype=torch.bool)
    inside[rows, columns] = True
    torch.testing.assert_close(by_cutmix, torch.where(inside, theirs, own))
    labels = (own[:, 0, 0, 0] * 255).round().long() // 100
    pair = [torch.nn.functional.one_hot(each, 3) for each in (labels, examples.targets[partners])]
    assert abs(lam - 0.5) > 0.01 and not torch.equal(*pair), "so that it shows who has which share"
    first = (1 - 0.4**2) * (lam * pair[0] + (1 - lam) * pair[1])
    torch.testing.assert_close(targets[:, :3], first.repeat(2, 1).float())


def test_the_targets_of_the_two_heads_are_weighed_by_the_step(examples: Examples) -> None:
    batches = DebiasedBatches(examples, RECIPE, steps=10, seed=0, classes=3)
    raw = torch.tensor(COUNTS).double() ** -0.8
    weights = (raw / raw.mean()).float()
    for step in (0, 4, 9):
        a = 1 - (step / 10) ** 2
        first, second = batches.at(step)[1].chunk(2, 1)
        torch.testing.assert_close(first.sum(1), torch.full((16,), a))
        torch.testing.assert_close(second * a, first * weights * (1 - a))


def test_the_second_draw_prefers_rare_images_as_declared(examples: Examples) -> None:
    """An image of class c is drawn in proportion to n_c^-0.2, its class in proportion to n_c^0.8."""
    batches = DebiasedBatches(examples, RECIPE, steps=1, seed=0, classes=3)
    shares = torch.tensor(COUNTS).double() ** 0.8
    per_class = torch.zeros(3, dtype=torch.float64).index_add_(0, examples.targets, batches._chances)
    torch.testing.assert_close(per_class / per_class.sum(), shares / shares.sum())


def test_the_loss_is_the_weighed_sum_of_the_heads_cross_entropies() -> None:
    generator_ = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 6, generator=generator_, dtype=torch.float64)
    mixed = torch.softmax(torch.randn(5, 3, generator=generator_, dtype=torch.float64), 1)
    weights = torch.tensor([0.5, 1.0, 1.5], dtype=torch.float64)
    found = two_heads(logits, torch.cat([0.25 * mixed, 0.75 * weights * mixed], 1))
    wanted = 0.25 * cross_entropy(logits[:, :3], mixed)
    wanted -= 0.75 * (weights * mixed * logits[:, 3:].log_softmax(1)).sum(1)
    torch.testing.assert_close(found, wanted)


def test_the_second_head_starts_to_learn_after_the_first_step_and_then_decides(examples: Examples) -> None:
    network = build(NetworkSpec("convnet", width=4, depth=1, norm="instance", classes=6, channels=1, size=8), seed=0)
    before = network.classifier.weight.detach().clone()
    train(network, examples, RECIPE, 1, 0, loss=two_heads)
    moved = (network.classifier.weight.detach() - before).abs().amax(1)
    assert (moved[:3] > 0).all() and (moved[3:] == 0).all()  # a = 1 at step 0
    train(network, examples, RECIPE, 4, 0, loss=two_heads)
    assert ((network.classifier.weight.detach() - before).abs().amax(1) > 0).all()


def test_a_box_of_share_one_minus_lambda_lies_about_its_centre() -> None:
    rows, columns = box(32, 0.75, 0.5, 0.5)
    assert (rows, columns) == (slice(8, 24), slice(8, 24))
    assert (rows.stop - rows.start) / 32 == math.sqrt(1 - 0.75)
    assert box(32, 0.75, 0.0, 0.999) == (slice(0, 8), slice(23, 32))


def test_every_view_of_every_image_is_augmented_by_a_draw_of_its_own(examples: Examples) -> None:
    """A change of colour is one of brightness in images of a single value, so that it tells the draw."""
    plain, coloured = (
        DebiasedBatches(examples, replace(RECIPE, augment=augment), steps=10, seed=3, classes=3).at(4)
        for augment in ("none", "color")
    )
    assert torch.equal(plain[1], coloured[1]), "who is mixed with whom does not depend on it"
    changes = (coloured[0] - plain[0]).flatten(1)
    assert (changes.abs().amax(1) > 1e-4).all()
    by_mixup, by_cutmix = changes.split(8)
    torch.testing.assert_close(by_mixup, by_mixup[:, :1].expand_as(by_mixup), atol=1e-5, rtol=0)
    assert (by_cutmix.amax(1) - by_cutmix.amin(1) > 1e-4).all(), "the box comes from another view"
    assert len(by_mixup[:, 0].unique()) == 8
