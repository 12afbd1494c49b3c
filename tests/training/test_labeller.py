"""Teachers label what a student sees: images after augmentation and cutmix, in every step anew."""

from __future__ import annotations

from dataclasses import replace

import torch

from csdm_cli.networks import NetworkSpec, build
from csdm_cli.training.batches import Batches, Examples
from csdm_cli.training.labeller import Labeller
from csdm_cli.training.many import _JointBatches
from csdm_cli.training.recipe import Recipe

SPEC = NetworkSpec("convnet", width=4, depth=1, norm="instance", pooling="avg", channels=3, size=8, classes=3)
RECIPE = Recipe("sgd", 0.1, 0.9, 0.0, 4, "crop_flip", "compose", 1.0, "cosine")
TEACHERS = tuple(build(SPEC, seed).eval().requires_grad_(False) for seed in (3, 4))
LABELLER = Labeller(TEACHERS, "key", {})
PLAIN = Examples(torch.rand(9, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(9) % 3,
                 (0.5,) * 3, (0.25,) * 3)  # fmt: skip


def expected(images: torch.Tensor) -> torch.Tensor:
    """One image and one teacher at a time."""
    rows = []
    for image in images:
        outputs = [teacher(image[None])[0] for teacher in TEACHERS]
        powers = [output.exp() / output.exp().sum() for output in outputs]
        rows.append((powers[0] + powers[1]) / 2)
    return torch.stack(rows)


def test_targets_are_the_mean_of_the_teachers_probabilities_of_the_images_seen():
    """The images are those of a run without teachers, to the bit: what is drawn does not depend on who labels."""
    for step in range(3):
        plain, _ = Batches(PLAIN, RECIPE, 0, 3).at(step)
        images, targets = Batches(replace(PLAIN, labeller=LABELLER), RECIPE, 0, 3).at(step)
        assert torch.equal(images, plain)
        torch.testing.assert_close(targets, expected(images), atol=1e-6, rtol=0)
        assert not targets.requires_grad and not targets.is_inference()


def test_students_side_by_side_meet_the_labels_that_each_would_alone():
    taught = replace(PLAIN, labeller=LABELLER)
    images, targets = _JointBatches(taught, RECIPE, (1, 2), classes=3).at(1)
    for column, seed in enumerate((1, 2)):
        own_images, own_targets = Batches(taught, RECIPE, seed, 3).at(1)
        assert torch.equal(images[:, 3 * column : 3 * column + 3], own_images)
        torch.testing.assert_close(targets[:, column], own_targets, atol=1e-6, rtol=0)


def test_all_that_labelling_needs_is_counted():
    assert sum(tensor.numel() for tensor in LABELLER.stored) == 2 * sum(p.numel() for p in TEACHERS[0].parameters())
