"""Logits in pieces are those of all images at once, and the network is left as it was."""

from __future__ import annotations

import torch

from csdm_cli.images.normalisation import normalise
from csdm_cli.networks import build
from csdm_cli.networks.frozen import FrozenEncoder, FrozenNetwork
from csdm_cli.networks.network import Network
from csdm_cli.networks.numerics import PLAIN, TunedNetwork
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.training.inference import (
    CPU_OUTPUTS,
    CPU_PIXELS,
    differentiated_at_once,
    features_of,
    filled,
    images_at_once,
    output_bytes,
    predict,
)

SPEC = NetworkSpec("convnet", 4, 2, "batch", "avg", 3, 8, 5)
MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)


def images(count: int, side: int = 8) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def test_the_number_of_images_at_once_follows_from_their_size():
    assert images_at_once(images(1)) == CPU_PIXELS // 64
    assert images_at_once(images(1, 32)) == 16
    large = torch.empty(0, 3, 224, 224)
    assert images_at_once(large) == 4
    assert images_at_once(large, FrozenNetwork) == 16
    body = FrozenNetwork(FrozenEncoder(torch.nn.Flatten(), 3, 3, 8), 192, 5)
    assert images_at_once(large, TunedNetwork(body, PLAIN.features)) == 16


def test_logits_are_of_evaluation_mode_whatever_the_pieces():
    network = build(SPEC, 0).double().train()
    shown = images(images_at_once(images(1)) + 7)
    found = predict(network, shown, MEAN, STD)
    assert network.training and not found.requires_grad
    with torch.no_grad():
        expected = network.eval()(normalise(shown, MEAN, STD).double())
    torch.testing.assert_close(found, expected)
    assert found.shape == (len(shown), 5) and found.std() > 0


def test_features_are_those_that_the_classifier_sees():
    network = build(SPEC, 0).double().eval()
    shown = images(images_at_once(images(1)) + 7)
    found = features_of(network, shown, MEAN, STD)
    assert found.shape == (len(shown), network.feature_dim) and not found.requires_grad
    torch.testing.assert_close(network.classifier(found), predict(network, shown, MEAN, STD))
    as_bytes = features_of(network, (shown * 255).round().to(torch.uint8), MEAN, STD)
    torch.testing.assert_close(as_bytes, found, rtol=0, atol=0.1 * float(found.std()))


def test_filled_up_images_leave_no_trace():
    network = build(SPEC, 0).double().eval()
    features = filled(lambda own, shown: own.features(shown))
    shown = images(3).double()
    torch.testing.assert_close(features(network, shown), network.features(shown))


def test_second_derivatives_are_of_as_many_images_as_have_outputs_of_so_many_bytes():
    class Small(Network):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten())
            self.classifier = torch.nn.Linear(4 * 64, 2)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.classifier(self.encoder(images))

    per_image = 4 * (3 * 4 * 64 + 2)  # float32: the convolution, its relu, the same flat, and the logits
    assert output_bytes(Small(), (5, 3, 8, 8)) == 5 * per_image
    assert differentiated_at_once(Small(), images(1)) == CPU_OUTPUTS // per_image
    assert differentiated_at_once(Small(), torch.empty(0, 3, 8, 8, device="meta")) == images_at_once(
        torch.empty(0, 3, 8, 8, device="meta")
    )
