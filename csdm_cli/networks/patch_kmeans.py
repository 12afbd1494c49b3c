"""Features of whitened patches: Coates, Lee and Ng (AISTATS 2011, "single-layer networks in feature learning").

Patches of 6x6 pixels are freed of their brightness and contrast, whitened, and compared with the centres that k-means
found among the training images' own patches: feature k is how much nearer than on average centre k is ("triangle").
The features of each quadrant of an image are added up, and standardised. No label is read, and nothing is trained: it
is a convolution, a piecewise linear activation and a pooling, through which gradients reach the pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from csdm_cli.errors import UsageError
from csdm_cli.seeds import derive_seed, generator

PATCH = 6
# Added to variances, as the paper's code has them: of a patch's pixels (0 to 255), of whitened directions, of features.
CONTRAST, WHITENING, FEATURE = 10.0, 0.1, 0.01
SAMPLE = 200_000  # patches that are whitened and clustered
IMAGES = 4000  # at most that they are from, and that features are standardised by
PASSES = 10  # of mini-batch k-means over the sample
BATCH = 4096
POSITIONS = 48  # per side of an image of more, patches are taken at every second place, or more seldom


class PatchKMeans(nn.Module):
    """Images (N, channels, size, size) of pixels from 0 to 255 -> maps (N, K, 2, 2).

    Attributes:
        mean, whitening: (P,), (P, P), of patches of P = channels·6·6 numbers.
        centres: (K, P), of whitened patches.
        feature_mean, feature_std: (K, 2, 2).
    """

    mean: Tensor
    whitening: Tensor
    centres: Tensor
    feature_mean: Tensor
    feature_std: Tensor

    def __init__(self, channels: int, size: int, centres: int) -> None:
        """Raises: UsageError if images are too small for patches in each quadrant."""
        super().__init__()
        if size <= PATCH:
            raise UsageError(
                f"--network patch-kmeans looks at patches of {PATCH}x{PATCH}: images of {size} are too small"
            )
        length = channels * PATCH**2
        self.stride = max(1, -(-(size - PATCH + 1) // POSITIONS))
        shapes = {"mean": (length,), "whitening": (length, length), "centres": (centres, length)}
        shapes |= {"feature_mean": (centres, 2, 2), "feature_std": (centres, 2, 2)}
        for name, shape in shapes.items():
            self.register_buffer(name, torch.ones(shape) if name == "feature_std" else torch.zeros(shape))

    def forward(self, images: Tensor) -> Tensor:
        """(N, channels, size, size) -> (N, centres, 2, 2)."""
        return (self.pooled(images) - self.feature_mean) / self.feature_std

    def pooled(self, images: Tensor) -> Tensor:
        """Activations added up over quadrants, as they are: (N, centres, 2, 2)."""
        side = (images.shape[-1] - PATCH) // self.stride + 1
        patches = F.unfold(images, PATCH, stride=self.stride).transpose(1, 2)  # (N, positions, P)
        maps = self.activations(patches).transpose(1, 2).unflatten(2, (side, side))  # (N, K, side, side)
        half = (side + 1) // 2
        rows = torch.stack([maps[:, :, :half].sum(2), maps[:, :, half:].sum(2)], 2)  # (N, K, 2, side)
        return torch.stack([rows[..., :half].sum(3), rows[..., half:].sum(3)], 3)

    def activations(self, patches: Tensor) -> Tensor:
        """max(0, mean distance - distance) to the centres: (..., P) -> (..., K)."""
        white = (contrast_normalised(patches) - self.mean) @ self.whitening
        squared = white.square().sum(-1, keepdim=True) - 2 * white @ self.centres.T + self.centres.square().sum(1)
        distances = squared.clamp_min(1e-6).sqrt()
        return F.relu(distances.mean(-1, keepdim=True) - distances)


def contrast_normalised(patches: Tensor) -> Tensor:
    """Each patch (..., P) less its mean and over its deviation."""
    centred = patches - patches.mean(-1, keepdim=True)
    return centred / (centred.square().sum(-1, keepdim=True) / (patches.shape[-1] - 1) + CONTRAST).sqrt()


def fitted(
    images: Tensor, size: int, centres: int, seed: int, tell: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, Tensor]:
    """Weights of :class:`PatchKMeans` for ``images`` (N, channels, H, W) uint8, on their device.

    ``tell`` is called with the images whose features were looked at, and how many there are to look at.

    Raises:
        UsageError: if there are fewer patches than centres.
    """
    body = PatchKMeans(images.shape[1], size, centres).to(images.device)
    sample = contrast_normalised(_sample(images, size, seed))
    if len(sample) < centres:
        raise UsageError(f"--centres {centres}: the images have {len(sample)} patches to look at: ask for fewer")
    mean, whitening = _whitening(sample)
    body.mean.copy_(mean)
    body.whitening.copy_(whitening)
    body.centres.copy_(_centres((sample - body.mean) @ body.whitening, centres, seed))
    some = images[_chosen(images, generator(seed, "patches")).to(images.device)]
    feature_mean, feature_variance = _moments(body, some, size, tell)
    body.feature_mean.copy_(feature_mean)
    body.feature_std.copy_((feature_variance + FEATURE).sqrt())
    return {name: value.cpu() for name, value in body.state_dict().items()}


def _chosen(images: Tensor, rng: torch.Generator) -> Tensor:
    """Places of random images, as many as are looked at: on the CPU."""
    return torch.randperm(len(images), generator=rng)[:IMAGES]


def _resized(images: Tensor, size: int) -> Tensor:
    images = images.float()
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, size=(size, size), mode="bilinear", antialias=True)


def _sample(images: Tensor, size: int, seed: int) -> Tensor:
    """Patches at random places of random images: (n, P)."""
    rng = generator(seed, "patches")
    chosen = _chosen(images, rng)
    side = size - PATCH + 1
    each = min(side**2, -(-SAMPLE // len(chosen)))
    parts = []
    for some in chosen.split(256):
        whole = F.unfold(_resized(images[some.to(images.device)], size), PATCH)  # (m, P, side²)
        places = torch.stack([torch.randperm(side**2, generator=rng)[:each] for _ in some]).to(images.device)
        parts.append(whole.gather(2, places[:, None].expand(-1, whole.shape[1], -1)).transpose(1, 2).flatten(0, 1))
    return torch.cat(parts)[:SAMPLE]


def _whitening(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (P,), and the symmetric matrix (P, P) that makes directions of (n, P) patches alike (ZCA)."""
    double = patches.double()
    mean = double.mean(0)
    centred = double - mean
    values, vectors = torch.linalg.eigh(centred.T @ centred / (len(double) - 1))
    return mean, vectors @ torch.diag((values.clamp_min(0) + WHITENING).rsqrt()) @ vectors.T


def _centres(white: Tensor, centres: int, seed: int) -> Tensor:
    """K-means of whitened patches (n, P): (K, P). For so many passes, whatever is gained: the same on every machine."""
    from sklearn.cluster import MiniBatchKMeans

    machine = MiniBatchKMeans(
        centres,
        batch_size=BATCH,
        max_iter=PASSES,
        tol=0.0,
        max_no_improvement=None,
        n_init=1,
        random_state=derive_seed(seed, "centres") % 2**32,
    )
    found = machine.fit(white.cpu().numpy()).cluster_centers_
    return torch.from_numpy(found).to(white)


@torch.no_grad()
def _moments(body: PatchKMeans, images: Tensor, size: int, tell: Callable[[int, int], None]) -> tuple[Tensor, Tensor]:
    """Mean and variance of every feature over the images, (K, 2, 2) float64 each."""
    total = torch.zeros(2, *body.feature_mean.shape, dtype=torch.float64, device=images.device)
    done = 0
    for part in images.split(16):
        pooled = body.pooled(_resized(part, size)).double()
        total += torch.stack([pooled.sum(0), pooled.square().sum(0)])
        done += len(part)
        tell(done, len(images))
    mean, square = total / len(images)
    return mean, (square - mean.square()).clamp_min(0)
