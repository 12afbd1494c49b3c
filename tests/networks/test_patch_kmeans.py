from __future__ import annotations

import pytest
import torch

from csdm_cli.errors import UsageError
from csdm_cli.networks.patch_kmeans import CONTRAST, FEATURE, WHITENING, PatchKMeans, fitted
from csdm_cli.storage.tensorfile import tensor_sha256

SIZE, CENTRES = 9, 5


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randint(0, 256, (40, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.fixture(scope="module")
def weights(images: torch.Tensor) -> dict[str, torch.Tensor]:
    return fitted(images, SIZE, CENTRES, seed=1)


def body_of(weights: dict[str, torch.Tensor]) -> PatchKMeans:
    body = PatchKMeans(3, SIZE, CENTRES)
    body.load_state_dict(weights)
    return body.double()


def by_hand(image: torch.Tensor, weights: dict[str, torch.Tensor]) -> torch.Tensor:
    """The paper's pipeline, patch by patch: (K, 2, 2) of one image (3, 9, 9)."""
    sums = torch.zeros(CENTRES, 2, 2, dtype=torch.float64)
    for row in range(4):
        for column in range(4):
            patch = image[:, row : row + 6, column : column + 6].flatten().double()
            patch = (patch - patch.mean()) / (patch.var() + CONTRAST).sqrt()
            white = weights["whitening"].double() @ (patch - weights["mean"])
            distances = (weights["centres"].double() - white).norm(dim=1)
            sums[:, row // 2, column // 2] += (distances.mean() - distances).clamp_min(0)
    return (sums - weights["feature_mean"]) / weights["feature_std"]


def test_features_are_those_of_the_paper_s_pipeline(images, weights):
    found = body_of(weights)(images[:3].double())
    torch.testing.assert_close(
        found, torch.stack([by_hand(image, weights) for image in images[:3]]), rtol=1e-6, atol=1e-6
    )


def test_an_odd_number_of_places_is_halved_without_overlap(weights):
    body = PatchKMeans(3, 10, CENTRES).double()  # five places a side
    body.load_state_dict(weights)
    body.activations = lambda patches: torch.ones(*patches.shape[:2], CENTRES)  # type: ignore[method-assign]
    assert body.pooled(torch.zeros(1, 3, 10, 10))[0, 0].tolist() == [[9, 6], [6, 4]]


def test_whitened_patches_are_alike_in_all_directions(images, weights):
    patches = torch.nn.functional.unfold(images.double(), 6).transpose(1, 2).flatten(0, 1)
    patches = (patches - patches.mean(1, keepdim=True)) / (patches.var(1, keepdim=True) + CONTRAST).sqrt()
    covariance = ((patches - weights["mean"]) @ weights["whitening"].double()).T.cov()
    values = torch.linalg.eigvalsh(patches.T.cov())
    expected = values / (values + WHITENING)
    torch.testing.assert_close(torch.linalg.eigvalsh(covariance), expected, rtol=1e-3, atol=1e-3)


def test_features_are_standardised_over_the_images(images, weights):
    features = body_of(weights)(images.double())
    pooled = body_of(weights).pooled(images.double())
    torch.testing.assert_close(features.mean(0), torch.zeros_like(features[0]), rtol=0, atol=1e-5)
    variance = pooled.var(0, correction=0)
    torch.testing.assert_close(features.var(0, correction=0), variance / (variance + FEATURE), rtol=1e-4, atol=1e-6)


def test_the_fit_is_a_function_of_images_and_seed(images, weights):
    same, other = fitted(images, SIZE, CENTRES, seed=1), fitted(images, SIZE, CENTRES, seed=2)
    assert {k: tensor_sha256(v) for k, v in same.items()} == {k: tensor_sha256(v) for k, v in weights.items()}
    assert not torch.equal(other["centres"], weights["centres"])


def test_pixels_get_the_gradient(images, weights):
    start = (images[:2].double() + 0.5).requires_grad_(True)
    assert torch.autograd.gradcheck(body_of(weights), start, eps=1e-4, atol=1e-5)


def test_large_images_are_looked_at_more_seldom():
    assert [PatchKMeans(3, size, 2).stride for size in (32, 53, 54, 96, 224)] == [1, 1, 2, 2, 5]


def test_what_cannot_be_fitted_is_refused(images):
    with pytest.raises(UsageError, match="too small"):
        fitted(images[:, :, :6, :6], 6, 2, seed=0)
    with pytest.raises(UsageError, match="--centres 1000: the images have 640 patches"):
        fitted(images, SIZE, 1000, seed=0)
