"""Similarity of images by the gradient of their loss in the last layer, without ever holding such a gradient.

For cross-entropy the gradient in bias and weight is g ⊗ [f; 1], with f the features and g = softmax(logits) − onehot:
C·(D+1) numbers per image. The inner product of two factorises, ⟨g, g'⟩·(⟨f, f'⟩ + 1), and so does a sum of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class GradientSimilarity:
    """s = ½ + ½·cosine of n images' gradients, which lie side by side for several teachers.

    Attributes:
        factors: per teacher (n, C) and (n, D+1): rows whose outer products, side by side, have length 1.
    """

    factors: tuple[tuple[Tensor, Tensor], ...]

    @classmethod
    def of(cls, seen: Sequence[tuple[Tensor, Tensor]], label: int) -> GradientSimilarity:
        """From every teacher's features (n, D) and logits (n, C) of images of one class."""
        # float64 and logarithms: of a sure teacher's 1 - p nothing would be left
        scores = [logits.double() for _, logits in seen]
        others = [each.index_fill(1, torch.tensor(label, device=each.device), -torch.inf) for each in scores]
        missing = [rest.logsumexp(1) - each.logsumexp(1) for rest, each in zip(others, scores, strict=True)]
        largest = torch.stack(missing).amax(0)  # (n,) log of the largest teacher's 1 - p
        pairs = []
        for (features, _), rest, missed in zip(seen, others, missing, strict=True):
            errors = rest.softmax(1)  # the gradient in the logits over 1 - p: (n, C)
            errors[:, label] = -1
            inputs = torch.cat([features, torch.ones_like(features[:, :1])], 1)
            lengths = inputs.norm(dim=1, keepdim=True)
            pairs.append((errors * (missed - largest).exp()[:, None] * lengths, inputs / lengths))
        whole = torch.cat([errors for errors, _ in pairs], 1).norm(dim=1, keepdim=True)
        return cls(tuple(((errors / whole).to(inputs), inputs) for errors, inputs in pairs))

    def total(self) -> Tensor:
        """Σ_j s(j, x) of every image x, (n,): the product of all gradients' sum with each."""
        count = len(self.factors[0][0])
        cosines = sum(((errors @ (errors.T @ inputs)) * inputs).sum(1) for errors, inputs in self.factors)
        return (torch.as_tensor(cosines) + count) / 2

    def column(self, pick: int) -> Tensor:
        """s(·, ``pick``), (n,)."""
        cosines = sum((errors @ errors[pick]) * (inputs @ inputs[pick]) for errors, inputs in self.factors)
        return (torch.as_tensor(cosines) + 1) / 2
