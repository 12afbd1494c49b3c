from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

from csdm_cli.errors import CsdmError
from csdm_cli.parameterisations.parameterisation import Leaves, Parameterisation, Shape, quantised
from csdm_cli.parameterisations.stored import KINDS, described, parameterisation_of
from tests.parameterisations.conftest import SHAPE, of_every_kind


def test_every_kind_is_here() -> None:
    assert set(of_every_kind()) == set(KINDS)
    assert all(kind == one.kind for kind, one in of_every_kind().items())


def test_images_have_the_shape_they_should(parameterisation: Parameterisation, images: Tensor) -> None:
    assert parameterisation.per_class == 4
    decoded = parameterisation.decode(parameterisation.initial(images))
    assert decoded.shape == images.shape and decoded.dtype == images.dtype
    # Near the images it started from, nearer than their mean is.
    assert (decoded - images).norm() < (images - images.mean(0)).norm()


def test_a_part_decodes_its_leaves_as_the_whole_does(parameterisation: Parameterisation, images: Tensor) -> None:
    leaves, part = parameterisation.initial(images), parameterisation.part(1, 3)
    own = {name: leaf[len(leaf) // 3 :] if len(leaf) % 3 == 0 else leaf for name, leaf in leaves.items()}
    torch.testing.assert_close(part.decode(own), parameterisation.decode(leaves, 1, 3), rtol=0, atol=1e-14)
    assert part.shape == Shape(2, SHAPE.channels, SHAPE.size) and part.per_class == parameterisation.per_class


def test_initial_leaves_are_numbers_of_their_own(parameterisation: Parameterisation, images: Tensor) -> None:
    before = images.clone()
    for leaf in parameterisation.initial(images).values():
        leaf.add_(1)
    assert torch.equal(images, before)


def test_classes_decoded_apart_are_the_whole_set(parameterisation: Parameterisation, images: Tensor) -> None:
    leaves = parameterisation.initial(images)
    whole = parameterisation.decode(leaves)
    one_by_one = [parameterisation.decode(leaves, label, label + 1) for label in range(SHAPE.classes)]
    torch.testing.assert_close(torch.cat(one_by_one), whole, rtol=0, atol=1e-14)
    torch.testing.assert_close(parameterisation.decode(leaves, 1, 3), whole[4:], rtol=0, atol=1e-14)


def test_a_classes_leaves_are_its_own_unless_they_are_said_to_be_shared(
    parameterisation: Parameterisation, images: Tensor
) -> None:
    """Whose gradient reaches numbers that another class's images are made of?"""
    leaves = {name: leaf.requires_grad_(True) for name, leaf in parameterisation.initial(images).items()}
    reached = []
    for label in range(SHAPE.classes):
        loss = parameterisation.decode(leaves, label, label + 1).square().sum()
        found = torch.autograd.grad(loss, list(leaves.values()))
        reached.append(torch.cat([own.flatten() != 0 for own in found]))
    assert bool((reached[0] & reached[1]).any()) is parameterisation.couples_classes


def test_gradient_on_leaves_is_the_jacobian_times_that_on_images(
    parameterisation: Parameterisation, images: Tensor
) -> None:
    names, leaves = zip(*parameterisation.initial(images).items(), strict=True)

    def decode(*values: Tensor) -> Tensor:
        return parameterisation.decode(dict(zip(names, values, strict=True)), 1, 2)

    few = [leaf.detach().requires_grad_(True) for leaf in leaves]
    assert torch.autograd.gradcheck(decode, few, fast_mode=True)


def test_projected_leaves_stay_where_they_are(parameterisation: Parameterisation, images: Tensor) -> None:
    leaves = parameterisation.initial(images)
    for leaf in leaves.values():
        leaf.add_(0.7 * torch.randn(leaf.shape, generator=torch.Generator().manual_seed(1), dtype=leaf.dtype))
    parameterisation.project(leaves)
    once = {name: leaf.clone() for name, leaf in leaves.items()}
    parameterisation.project(leaves)
    for name, leaf in leaves.items():
        torch.testing.assert_close(leaf, once[name], rtol=0, atol=1e-13)


def test_bytes_are_those_of_the_stored_tensors(parameterisation: Parameterisation, images: Tensor) -> None:
    stored = parameterisation.stored(single(parameterisation.initial(images)))
    assert parameterisation.bytes() == sum(tensor.nbytes for tensor in stored.values())
    assert parameterisation.numbers() == sum(own.numel() for name, own in stored.items() if name != "masks")


def test_stored_set_opens_to_the_images_it_was_near(parameterisation: Parameterisation, images: Tensor) -> None:
    leaves = single(parameterisation.initial(images))
    opened = parameterisation.opened(parameterisation.stored(leaves))
    assert opened.dtype == torch.float32 and opened.min() >= 0 and opened.max() <= 1
    error = (opened - parameterisation.decode(leaves).clamp(0, 1)).abs().max()
    assert 0 < error < 1 / 255


def test_header_and_tensors_make_it_again(parameterisation: Parameterisation, images: Tensor) -> None:
    stored = parameterisation.stored(single(parameterisation.initial(images)))
    header = json.loads(json.dumps(described(parameterisation)))
    again = parameterisation_of(header, SHAPE, stored)
    assert described(again) == described(parameterisation)
    assert torch.equal(again.opened(stored), parameterisation.opened(stored))
    assert (again.bytes(), again.numbers()) == (parameterisation.bytes(), parameterisation.numbers())


def test_bytes_by_hand() -> None:
    found = {kind: (one.numbers(), one.bytes()) for kind, one in of_every_kind().items()}
    pixels = 3 * 8 * 8
    spectra, kernels = 3 * 2 * (2 * 4 * 5), 2 * (2 * 3 + 4 * 8 + 5 * 8)
    assert found == {
        "pixels": (3 * 4 * pixels, 3 * 4 * pixels),
        "multi-formation": (3 * pixels, 3 * pixels),
        "frequency": (3 * 4 * 3 * 10, 2 * 3 * 4 * 3 * 10 + 3 * 8),  # 64 bits of mask per class
        "decomposition": (spectra + kernels, 2 * (spectra + kernels)),
        "pyramid": (3 * 4 * pixels, 3 * 4 * pixels),
    }
    assert SHAPE.ipc_equivalent(3 * 4 * pixels) == 4
    assert Shape(10, 3, 32).ipc_equivalent(10 * 1536) == 0.5


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(CsdmError, match="unknown parameterisation 'wavelets'"):
        parameterisation_of({"kind": "wavelets"}, SHAPE, {})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_numbers_that_cannot_be_stored_are_an_error(value: float) -> None:
    with pytest.raises(CsdmError, match=r"the learned spectra hold numbers beyond .*: lower the run's --lr"):
        quantised({"spectra": torch.tensor([1.0, value])}, {"spectra": torch.float16})


def single(leaves: Leaves) -> Leaves:
    return {name: leaf.float() for name, leaf in leaves.items()}
