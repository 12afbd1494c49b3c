from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import Ridge

from csdm_cli.evaluation.controls import Selection
from csdm_cli.evaluation.inheritance import Inheritance, affine_map, evaluate_inheritance
from csdm_cli.evaluation.probes import Probed
from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.normalisation import normalise
from csdm_cli.names import ProbeFeatures
from csdm_cli.networks.network import EncoderNetwork


class Linear(torch.nn.Module):
    """Pixels times a random matrix."""

    def __init__(self, dim: int, seed: int) -> None:
        super().__init__()
        self.matrix = torch.randn(192, dim, generator=torch.Generator().manual_seed(seed)) / 14

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1) @ self.matrix


def backbone(dim: int, seed: int) -> Probed:
    torch.manual_seed(seed)
    return Probed(EncoderNetwork(Linear(dim, seed), dim, 3).eval(), f"network {seed}", ProbeFeatures.cached)


@pytest.fixture(scope="module")
def data() -> ImageSet:
    rng = torch.Generator().manual_seed(0)
    counts = (30, 20, 10)
    images = torch.randint(0, 256, (60, 3, 8, 8), generator=rng, dtype=torch.uint8)
    return ImageSet(images, counts, ("a", "b", "c"), (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))


def right(network: EncoderNetwork, data: ImageSet) -> float:
    predictions = network(normalise(data.images, data.mean, data.std)).argmax(1)
    return float((predictions == data.labels).double().mean())


def test_on_the_same_backbone_the_accuracy_is_the_classifier_s_whatever_the_images_are(data):
    giver = backbone(20, 0)
    noise = torch.rand(6, 3, 8, 8)
    inheritance = Inheritance(giver, giver)
    rows = evaluate_inheritance(inheritance, "set", noise, data, data, Selection(2, 1, 0), 2)
    assert {row.accuracy.mean for row in rows.values()} == {right(giver.network, data)}
    assert inheritance.stored_bytes == {"classifier_bytes": 4 * (3 * 20 + 3), "map_bytes": 0}


def test_the_rows_and_their_numbers(data):
    rows = evaluate_inheritance(
        Inheritance(backbone(20, 0), backbone(30, 1)), "sfm", data.images[:6], data, data, Selection(2, 1, 0), 3
    )
    assert list(rows) == [
        "sfm + inheritance",
        "random + inheritance",
        "random, 1 per class + inheritance",
        "random, 10 per class + inheritance",
    ]
    assert [row.accuracy.count for row in rows.values()] == [1, 3, 3, 3]
    assert rows["random + inheritance"].key != rows["random, 1 per class + inheritance"].key


def test_a_backbone_that_sees_as_much_inherits_all_once_there_are_images_enough(data):
    """The heir's 192 features determine the giver's 20; sixty images do not show how, a few hundred do."""
    giver, heir = backbone(20, 0), backbone(192, 1)
    inheritance = Inheritance(giver, heir)
    many = torch.rand(400, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    truth = giver.network(normalise(data.images, data.mean, data.std)).argmax(1)
    agreed = [float((inheritance.logits(x, data).argmax(1) == truth).float().mean()) for x in (many[:9], many)]
    assert agreed[1] == 1 > agreed[0]


def test_the_map_is_ridge_regression_of_the_strength_that_predicts_best():
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(40, 6, generator=rng, dtype=torch.float64)
    y = x @ torch.randn(6, 3, generator=rng, dtype=torch.float64) + 4 + 0.1 * torch.randn(40, 3, generator=rng)
    weight, bias = affine_map(x, y)
    unit = float((x - x.mean(0)).square().sum(1).mean())
    errors = {}
    for power in range(-6, 3):
        left_out = []
        for i in range(40):
            keep = torch.arange(40) != i
            fit = Ridge(alpha=unit * 10.0**power).fit(x[keep], y[keep])
            left_out.append(((fit.predict(x[i : i + 1]) - y[i].numpy()) ** 2).mean())
        errors[power] = sum(left_out)
    best = Ridge(alpha=unit * 10.0 ** min(errors, key=errors.get)).fit(x, y)
    torch.testing.assert_close(weight, torch.from_numpy(best.coef_), rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(bias, torch.from_numpy(best.intercept_), rtol=1e-6, atol=1e-8)


def test_what_is_stored_is_counted():
    inheritance = Inheritance(backbone(20, 0), backbone(30, 1))
    assert inheritance.stored_bytes == {"classifier_bytes": 252, "map_bytes": 4 * 31 * 20}
