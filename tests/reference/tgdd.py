"""TGDD's loss of one expert and stage (arXiv 2512.02469): mean matching at epoch e, cross-entropy at epoch e'.

Σ_c ‖mean φ_e(T_c) − mean φ_e(S_c)‖² + α·CE(net_e'(S_c), c), e ≤ e' < e + interval, e' ≤ E.
"""

from __future__ import annotations

import torch
from torch import Tensor

from csdm_cli.images.augment import augment
from csdm_cli.images.multi_formation import decode


def loss(matching, reading, stored: Tensor, data, formation, theta, constraint: float) -> Tensor:
    """From stored images in [0, 1] through the networks of e and e', class by class, with gradient."""
    centre, spread = (torch.tensor(v, dtype=stored.dtype).view(1, -1, 1, 1) for v in (data.mean, data.std))
    total = torch.zeros((), dtype=stored.dtype)
    for label in range(formation.classes):
        own = decode(stored[label * formation.ipc : (label + 1) * formation.ipc], formation.factor, formation.size)
        seen = augment((own - centre) / spread, theta.rows(torch.tensor([label] * len(own))))
        plain = (data.of_class(label).to(stored.dtype) / 255 - centre) / spread
        real = augment(plain, theta.rows(torch.tensor([label] * len(plain))))
        gap = sum(f for f in matching.features(seen)) / len(seen) - sum(matching.features(real)) / len(real)
        total = total + gap.square().sum()
        for image in seen:
            logits = reading(image[None])[0]
            total = total + constraint * (torch.logsumexp(logits, 0) - logits[label]) / len(seen)
    return total


def allowed_snapshots(epoch: int, interval: int, epochs: int) -> set[int]:
    """All e' that may give logits under a view at ``epoch``."""
    return {later for later in range(epochs + 1) if epoch <= later < epoch + interval}
