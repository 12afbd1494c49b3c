"""Where learned labels begin, against small tables of logits."""

from __future__ import annotations

from dataclasses import replace

import torch

from csdm_cli.images.image_set import ImageSet
from csdm_cli.methods.learning import LABEL_LOGITS
from csdm_cli.methods.trajectory.label_start import known_images, start_logits
from tests.methods.trajectory.followed import known_experts, make_data, prepared, start_images

LABELS = torch.tensor([0, 0, 1, 1])
# Expert 0 is right of images 0 and 2, expert 1 of 0 and 3; nobody of image 1.
TABLE = torch.tensor([[[3.0, 0], [0, 5], [0, 2], [7, 1]], [[1.0, 0], [2, 4], [6, 0], [0, 8]]])


def test_the_mean_is_of_those_who_are_right():
    found = start_logits(LABELS, 2, lambda expert: TABLE[expert])
    assert torch.equal(found, torch.tensor([[2.0, 0], [1, 4.5], [0, 2], [0, 8]]))
    assert torch.equal(start_logits(LABELS, 2, lambda expert: TABLE[expert], of_one=True), TABLE[0])


def images(counts: tuple[int, ...]) -> ImageSet:
    numbered = torch.arange(sum(counts), dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
    return ImageSet(numbered, counts, ("a", "b"), (0.5,) * 3, (0.2,) * 3)


def known(wanted: int) -> tuple[list[int], tuple[int, ...]]:
    found = known_images(images((2, 2)), wanted, 2, lambda expert: TABLE[expert])
    return found.images[:, 0, 0, 0].tolist(), found.counts


def test_classes_give_what_the_first_expert_knows_and_the_next_only_if_that_is_too_little():
    assert known(1) == ([0, 2], (1, 1))
    assert known(2) == ([0, 2, 3], (1, 2))


def test_a_class_that_nobody_knows_gives_all():
    wrong = torch.tensor([[0.0, 1]] * 4)
    found = known_images(images((2, 2)), 1, 1, lambda expert: wrong)
    assert found.counts == (2, 2)


def test_a_method_starts_from_images_that_its_experts_know_and_their_logits():
    pool = known_experts()
    method = prepared("datm", pool, per_class=1)
    found = method.starts_from(method.data)
    assert 3 <= len(found.images) <= len(method.data.images) and min(found.counts) >= 1
    everything = prepared("datm", pool, start="any")
    assert everything.starts_from(everything.data) is everything.data
    one = everything.learned(start_images())[LABEL_LOGITS].start
    assert torch.equal(one, everything._logits(0, start_images()))
    lad = prepared("lad", pool)
    assert lad.label_givers is pool.classifiers and lad.learned(start_images())[LABEL_LOGITS].start.shape == (9, 3)
    assert replace(make_data(), images=make_data().images).counts == (9, 6, 3)
