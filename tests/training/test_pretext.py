from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.normalisation import normalise
from csdm_cli.networks import NetworkSpec, build
from csdm_cli.networks.spec import Pretext
from csdm_cli.training.loop import backward
from csdm_cli.training.pretext import Pairs, Projected, of_pairs, pretext_recipe

PRETEXT = Pretext("vicreg", 2, None, 6, 1e-3, 1e-4, "crop_flip_color_grey", 7)


def projected(norm: str = "instance", **changes) -> Projected:
    network = build(NetworkSpec("convnet", width=4, size=8, classes=3, norm=norm), 0)
    return Projected(network.encoder, network.feature_dim, replace(PRETEXT, **changes), seed=1)


def pairs(data: ImageSet, **changes) -> Pairs:
    return Pairs(data.images, data.mean, data.std, replace(PRETEXT, **changes), seed=2)


@pytest.mark.parametrize(("objective", "projector", "layers", "out"), [
    ("vicreg", 7, 3, 7), ("barlow-twins", 200, 3, 200), ("simclr", 200, 2, 128), ("simclr", 7, 2, 7)
])  # fmt: skip
def test_projectors_are_as_deep_as_the_papers(objective, projector, layers, out):
    network = projected(objective=objective, projector=projector)
    linear = [module for module in network.modules() if isinstance(module, torch.nn.Linear)]
    assert len(linear) == layers and linear[0].in_features == 16 and network.couples_samples
    assert network(torch.rand(6, 3, 8, 8)).shape == (6, out)


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_each_view_is_a_batch_of_its_own(norm):
    network, images = projected(norm), torch.rand(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    whole = network.train()(images)
    halves = [network.classifier(network.hidden(network.features(half))) for half in images.split(4)]
    torch.testing.assert_close(whole, torch.cat(halves))
    together = network.classifier(network.hidden(network.features(images)))
    assert not torch.allclose(whole, together, atol=1e-3)


def test_pairs_are_two_views_of_the_same_images_and_functions_of_the_step(data: ImageSet):
    views, targets = pairs(data).at(3)
    assert views.shape == (12, 3, 8, 8) and targets.shape == (12, 1) and not targets.any()
    again, other = pairs(data).at(3)[0], pairs(data).at(4)[0]
    assert torch.equal(views, again) and not torch.equal(views, other)
    assert not torch.equal(*views.chunk(2))
    mirrored, _ = pairs(data, views="flip").at(0)
    one, two = mirrored.chunk(2)
    same = [
        torch.allclose(a, b, atol=1e-4) or torch.allclose(a, b.flip(-1), atol=1e-4)
        for a, b in zip(one, two, strict=True)
    ]
    assert all(same)
    known = normalise(data.images, data.mean, data.std)
    near = [min(float((known - x).abs().amax((1, 2, 3)).min()) for x in (v, v.flip(-1))) for v in mirrored]
    assert max(near) < 1e-4, "each is an image of the set"


def test_no_more_images_are_taken_than_there_are(data: ImageSet):
    assert len(pairs(data, batch=256).at(0)[0]) == 36


def test_the_loop_minimises_the_loss_of_the_pairs(data: ImageSet):
    def apart(first: Tensor, second: Tensor) -> Tensor:
        return (first - second).square().mean() - first.square().mean()

    network, (views, targets) = projected().train(), pairs(data).at(0)
    value = backward(network, views, targets, of_pairs(apart))
    found = network.classifier.weight.grad.clone()
    network.zero_grad()
    wanted = apart(*network(views).chunk(2))
    wanted.backward()
    torch.testing.assert_close(value, wanted.detach())
    torch.testing.assert_close(found, network.classifier.weight.grad)


def test_it_is_adamw_with_a_cosine():
    recipe = pretext_recipe(PRETEXT)
    assert (recipe.optimizer, recipe.lr, recipe.weight_decay, recipe.batch) == ("adamw", 1e-3, 1e-4, 6)
    assert recipe.lr_at(0, 10) == 1e-3 and recipe.lr_at(5, 10) == pytest.approx(5e-4)
