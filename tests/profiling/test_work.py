"""Operations and traffic are those of closed forms, derived layer by layer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from csdm_cli.networks import build
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.profiling.work import Work, count_work, matching_work, training_work

WIDTH, CHANNELS, SIZE, CLASSES, IMAGES = 8, 3, 16, 5, 6
SPEC = NetworkSpec("convnet", WIDTH, 1, "instance", "avg", CHANNELS, SIZE, CLASSES)
CONVOLUTION = 2 * 9 * CHANNELS * WIDTH * SIZE**2 * IMAGES  # a multiplication and an addition per weight and place
MAPS = IMAGES * WIDTH * SIZE**2  # numbers between the layers


def test_operations_of_a_forward_and_an_input_gradient():
    assert matching_work(SPEC, IMAGES, IMAGES, torch.float32).flops == 2 * CONVOLUTION


def test_operations_of_a_training_step():
    """The images want no gradient: the first convolution has that of its weights only."""
    classifier = 2 * IMAGES * (WIDTH * SIZE**2 // 4) * CLASSES
    assert training_work(SPEC, IMAGES, IMAGES, torch.float32).flops == 2 * CONVOLUTION + 3 * classifier


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 4), (torch.bfloat16, 2), (torch.float64, 8)])
def test_traffic_of_a_forward_and_an_input_gradient(dtype, size):
    images, weights, norm = IMAGES * CHANNELS * SIZE**2, 9 * CHANNELS * WIDTH, IMAGES * WIDTH
    forward = (
        images + weights + WIDTH + MAPS,  # convolution: images, weights and biases in, maps out
        MAPS + 2 * WIDTH + MAPS + 2 * norm,  # norm: maps, scales and shifts in; maps, means and deviations out
        2 * MAPS,  # ReLU
        MAPS + MAPS // 4,  # pooling
        MAPS // 4 + 1,  # the sum of the features
    )
    backward = (
        2,  # the gradient of the sum: one
        MAPS // 4 + MAPS,  # pooling
        3 * MAPS,  # ReLU: gradient and result in
        2 * MAPS + 2 * norm + WIDTH + MAPS,  # norm: gradient, maps, means, deviations and scales in
        MAPS + weights + images,  # convolution: no gradient of the weights, so the images are not read
    )
    assert matching_work(SPEC, IMAGES, IMAGES, dtype).bytes == size * (sum(forward) + sum(backward))


def test_pieces_do_the_same_operations_and_read_the_weights_again():
    whole = matching_work(SPEC, 7, 7, torch.float32)
    pieces = matching_work(SPEC, 7, 3, torch.float32)
    assert pieces.flops == whole.flops
    weights = 9 * CHANNELS * WIDTH + WIDTH + 2 * WIDTH + WIDTH + 9 * CHANNELS * WIDTH
    assert pieces.bytes - whole.bytes == 4 * 2 * (weights + 1 + 2)  # two more pieces, each with a sum of its own


def test_counting_computes_what_it_counts_on_real_tensors_alike():
    network = build(SPEC, 0).requires_grad_(False)
    images = torch.rand(IMAGES, CHANNELS, SIZE, SIZE, requires_grad=True)
    counted = count_work(lambda: network.features(images).sum().backward())
    assert counted == matching_work(SPEC, IMAGES, IMAGES, torch.float32)
    expected = torch.autograd.grad(network.features(images).sum(), images)[0]
    torch.testing.assert_close(images.grad, expected)


def test_views_and_empty_memory_cost_nothing():
    x = torch.ones(4, 6)
    assert count_work(lambda: x.view(6, 4).T[1:].unsqueeze(0).expand(3, -1, -1)).bytes == 0
    assert count_work(lambda: torch.empty_like(x)).bytes == 0
    assert count_work(lambda: x + 1) == Work(0, 2 * x.nbytes)
    assert count_work(lambda: x.add_(1)) == Work(0, 2 * x.nbytes)
    assert count_work(lambda: torch.nn.functional.linear(x, x)) == Work(2 * 4 * 4 * 6, 4 * (24 + 24 + 16))


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "resnet18"])
def test_every_architecture_can_be_counted(name):
    spec = NetworkSpec(name, norm="batch", channels=1, size=32, classes=3)
    convolutions = [m for m in build(spec, 0).modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    work = training_work(spec, 2, 2, torch.float32)
    assert work.flops > 0 and work.intensity > 1 and convolutions
