from __future__ import annotations

import pytest
import torch
from torch import Tensor

from csdm_cli.errors import UsageError
from csdm_cli.names import Parameterization
from csdm_cli.parameterisations.choose import chosen
from csdm_cli.parameterisations.decomposition import Decomposition
from csdm_cli.parameterisations.frequency import Frequency, class_masks
from csdm_cli.parameterisations.parameterisation import Parameterisation, Shape
from csdm_cli.parameterisations.stored import KINDS
from tests.parameterisations.conftest import SHAPE, smooth_images

CIFAR = Shape(classes=10, channels=3, size=32)
SHAPES = (Shape(2, 1, 8), Shape(10, 1, 8), SHAPE, Shape(2, 3, 5), CIFAR, Shape(100, 3, 32))


def real(shape: Shape = SHAPE) -> list[Tensor]:
    return [smooth_images(5, seed=label, shape=shape) for label in range(shape.classes)]


def made(kind: str, shape: Shape = SHAPE, ipc: int = 1, **settings: int) -> Parameterisation:
    return chosen(Parameterization(kind), shape, ipc, lambda: real(shape), **settings)


def test_every_kind_can_be_chosen_and_is_called_so() -> None:
    assert {str(kind) for kind in Parameterization} == set(KINDS)
    assert all(made(str(kind)).kind == kind for kind in Parameterization)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", list(Parameterization))
@pytest.mark.parametrize("ipc", [1, 3, 10])
def test_nothing_takes_more_than_its_images_would(kind: str, shape: Shape, ipc: int) -> None:
    """Neither in numbers nor in bytes, and the bytes are those of the tensors in the file."""
    found = made(kind, shape, ipc)
    budget = ipc * shape.classes * shape.pixels
    assert 0 < found.numbers() <= budget and found.bytes() <= budget
    assert found.shape.ipc_equivalent(found.bytes()) <= ipc
    if ipc > 3 or (ipc > 1 and shape.classes > 10):
        return  # what follows is the same at any number of images, and slow at many
    start = found.initial(torch.full((shape.classes * found.per_class, shape.channels, shape.size, shape.size), 0.4))
    stored = found.stored(start)
    assert sum(tensor.nbytes for tensor in stored.values()) == found.bytes()


@pytest.mark.parametrize("settings", [{}, {"coefficients": 30}, {"coefficients": 64}])
def test_the_budget_of_coefficients_is_used_up(settings: dict[str, int]) -> None:
    """One coefficient, or one image, more would be too much."""
    for ipc in (1, 10):
        found = made("frequency", CIFAR, ipc, **settings)
        assert isinstance(found, Frequency)
        left = ipc * 10 * CIFAR.pixels - found.bytes()
        more = found.kept if settings else found.per_class
        assert 0 <= left < 10 * CIFAR.channels * more * 2
        assert settings or found.per_class == 4 * ipc


def test_the_masks_are_those_of_the_real_images() -> None:
    found = made("frequency", coefficients=7)
    assert isinstance(found, Frequency) and found.kept == 7
    assert torch.equal(found.masks, class_masks(real(), 7))


def test_real_images_are_looked_at_for_masks_alone() -> None:
    def never() -> list[Tensor]:
        raise AssertionError

    for kind in set(Parameterization) - {Parameterization.frequency}:
        chosen(kind, SHAPE, 2, never)


def test_a_decomposition_of_what_was_left_open() -> None:
    found = made("decomposition", CIFAR, 10)
    assert isinstance(found, Decomposition)
    # (10 images of 3,072 bytes for 10 classes, halved: 153,600 numbers, less 4 kernels of 1,033) / 7,680 a tensor
    assert (found.sizes, found.kernels, found.tensors) == ((3, 16, 16), 4, 19)
    small = made("decomposition", Shape(2, 1, 8), 1)
    # 64 numbers: of the sides 4 and 3 one kernel and tensor take 65 + 32 and 49 + 18; of 2, 33 + 8.
    assert isinstance(small, Decomposition)
    assert (small.sizes, small.kernels, small.tensors) == ((1, 2, 2), 1, 3)


def test_a_decomposition_spends_what_its_shapes_allow() -> None:
    """A tensor per class and four sets of 16x16 leave 3,548 of 15,360 numbers: rows and columns grow in turns."""
    found = made("decomposition", CIFAR, 1)
    assert isinstance(found, Decomposition)
    # 10 tensors of 3·19·18, 4 sets of 3·3 + (19 + 18)·32; another column, 10·3·19 + 4·32 numbers, is too much
    assert (found.sizes, found.kernels, found.tensors) == ((3, 19, 18), 4, 1)
    assert found.numbers() == 10 * 1026 + 4 * 1193 == 15032 and 15032 + 698 > 15360
    given = made("decomposition", CIFAR, 1, tensor_side=16)
    assert isinstance(given, Decomposition) and given.sizes == (3, 16, 16)


def test_every_setting_has_an_effect() -> None:
    plain = made("decomposition", CIFAR, 10)
    kernels, side = made("decomposition", CIFAR, 10, shared_kernels=2), made("decomposition", CIFAR, 10, tensor_side=8)
    assert isinstance(plain, Decomposition) and isinstance(kernels, Decomposition) and isinstance(side, Decomposition)
    assert (kernels.kernels, kernels.sizes) == (2, plain.sizes) and kernels.tensors >= plain.tensors
    assert (side.kernels, side.sizes) == (4, (3, 8, 8)) and side.tensors > plain.tensors
    assert made("multi-formation", factor=2).per_class == 4 and made("multi-formation", factor=1).per_class == 1
    assert made("frequency", CIFAR, coefficients=64).per_class == 7


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("frequency", {"coefficients": 65}, "--coefficients 65: images of 8×8 have 64 per channel"),
        ("frequency", {"coefficients": 64}, "--coefficients 64: not one image per class fits"),
        ("decomposition", {"tensor_side": 9}, "--tensor-side 9: the images have a side of 8"),
        ("decomposition", {"shared_kernels": 50}, "do not fit into the bytes of IPC 1; raise --ipc"),
    ],
)
def test_what_does_not_fit_is_told_in_a_line(kind: str, settings: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        made(kind, **settings)
    assert "\n" not in str(caught.value)
