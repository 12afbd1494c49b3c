"""The batched, banked engine written out: whole classes, one by one, in complex arithmetic, no chunks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from csdm_cli.images.augment import augment
from csdm_cli.images.multi_formation import decode
from tests.reference import spectral


def features_of(network, images: Tensor, mean, std, theta, label: int, raw: bool = False) -> Tensor:
    """Features of one class's images (floats in [0, 1]), of unit length unless ``raw``."""
    centre, spread = (torch.tensor(v, dtype=images.dtype).view(1, -1, 1, 1) for v in (mean, std))
    rows = theta.rows(torch.tensor([label] * len(images)))
    found = network.features(augment((images - centre) / spread, rows))
    return found if raw else found / found.norm(dim=1, keepdim=True)


def characteristic_function(features: Tensor, frequencies: Tensor) -> Tensor:
    """mean_j exp(i ω·f_j), (K,) complex."""
    return torch.exp(1j * (features @ frequencies.T)).mean(0)


@torch.no_grad()
def real_transforms(network, data, theta, frequencies, stretch, debias: bool, borrow: float, raw: bool) -> list[Tensor]:
    """φ of every whole class, debiased and borrowed if so asked."""
    found = []
    for label in range(data.classes):
        real = data.of_class(label).to(frequencies.dtype) / 255
        seen = features_of(network, real, data.mean, data.std, theta, label, raw)
        found.append(characteristic_function(seen * stretch[label], frequencies).tolist())
    if debias:
        found = [spectral.debiased(transform, n) for transform, n in zip(found, data.counts, strict=True)]
    if borrow:
        found = spectral.borrowed(found, data.counts, borrow)
    return [torch.tensor(transform, dtype=torch.complex128) for transform in found]


@torch.no_grad()
def stretches(network, data, raw: bool = False) -> list[float]:
    """The median distance between all images' features over that within a class, for every class."""
    centre, spread = (torch.tensor(v, dtype=torch.float64).view(1, -1, 1, 1) for v in (data.mean, data.std))
    found = network.features((data.images.double() / 255 - centre) / spread)
    seen = found if raw else found / found.norm(dim=1, keepdim=True)

    def median(rows: Tensor) -> float:
        pairs = [float((x - y).norm()) for i, x in enumerate(rows) for y in rows[:i]]
        return sorted(pairs)[(len(pairs) - 1) // 2]

    return [median(seen) / median(own) for own in seen.split(list(data.counts))]


def csdm_loss(
    network,
    stored,
    data,
    formation,
    theta,
    frequencies,
    alpha,
    calibration,
    stretch=None,
    debias=False,
    borrow=0.0,
    raw=False,
) -> Tensor:
    """Σ_c mean_ω[α(|φ|-|ψ|)² + (1-α)·2|φ||ψ|(1 - cos Δ)] + calibration · Σ_c mean cross-entropy of c."""
    total = torch.zeros((), dtype=stored.dtype)
    stretch = stretch or [1.0] * formation.classes
    transforms = real_transforms(network, data, theta, frequencies, stretch, debias, borrow, raw)
    for label, phi in enumerate(transforms):
        own = decode(stored[label * formation.ipc : (label + 1) * formation.ipc], formation.factor, formation.size)
        seen = features_of(network, own, data.mean, data.std, theta, label, raw)
        psi = characteristic_function(seen * stretch[label], frequencies)
        amplitude = (phi.abs() - psi.abs()).square()
        phase = 2 * phi.abs() * psi.abs() * (1 - torch.cos(phi.angle() - psi.angle()))
        total = total + (alpha[label] * amplitude + (1 - alpha[label]) * phase).mean()
        centre, spread = (torch.tensor(v, dtype=own.dtype).view(1, -1, 1, 1) for v in (data.mean, data.std))
        rows = theta.rows(torch.tensor([label] * len(own)))
        logits = network(augment((own - centre) / spread, rows))
        total = total + calibration * cross_entropy(logits, torch.tensor([label] * len(own)))
    return total
