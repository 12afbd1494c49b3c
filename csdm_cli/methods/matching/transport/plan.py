"""Optimal transport from many points to a few, all points of a side weighing the same.

The entropic problem's semi-dual in the k potentials v of the few,

    f(v) = mean_j v_j - ε·mean_i log Σ_j exp((v_j - c_ij)/ε),

is smooth and concave, its gradient the plan's error in the column sums, and its Hessian only k x k: damped Newton
steps from a large ε to a small one end at a nearly exact plan in few passes over the costs (Cuturi and Peyré
2016, "A smoothed dual approach for variational Wasserstein problems", for the semi-dual). The cost of the plan
exceeds the optimum by at most ε·log k.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Blur ε, as multiples of the mean cost above each row's smallest: from the first down to the last.
BLURS = tuple(4.0**-power for power in range(7))
# Largest error of a column sum, as a share of it, at which a blur is done.
TOLERANCE = 1e-6
STEPS = 60
HALVINGS = 12


def uniform_plan(cost: Tensor) -> Tensor:
    """The cheapest plan between n and k points of equal weights.

    Args:
        cost: (n, k), finite.

    Returns:
        The plan at the smallest blur, (n, k) in float64: rows sum to 1/n, columns to 1/k up to ``TOLERANCE``.
    """
    excess = (cost - cost.min(1, keepdim=True).values).double()  # what all k points cost alike changes no plan
    scale = float(excess.mean())
    if scale == 0:
        return torch.full_like(excess, 1 / excess.numel())
    potentials = excess.new_zeros(excess.shape[1])
    for blur in BLURS:
        potentials = _maximise(excess, potentials, blur * scale)
    return ((potentials - excess) / (BLURS[-1] * scale)).softmax(1) / len(cost)


def _maximise(cost: Tensor, potentials: Tensor, blur: float) -> Tensor:
    """Potentials at which every column sum is right, by Newton's method; where a step fails, by Sinkhorn's."""
    columns = cost.shape[1]
    value, shares = _semi_dual(cost, potentials, blur)
    for _ in range(STEPS):
        filled = shares.mean(0)
        error = 1 / columns - filled
        if float(error.abs().max()) * columns < TOLERANCE:
            break
        curvature = (torch.diag(filled) - shares.T @ shares / len(cost)) / blur
        # the potentials are determined up to a constant, and an emptied column has no curvature: both are lifted
        lift = 1e-9 / (columns * blur)
        ridge = torch.full_like(curvature, 1 / (columns**2 * blur)) + lift * torch.eye(columns).to(curvature)
        step = torch.linalg.solve(curvature + ridge, error)
        slope, size = float(step @ error), 1.0
        for _ in range(HALVINGS):
            tried, found = _semi_dual(cost, potentials + size * step, blur)
            if tried >= value + 1e-4 * size * slope:
                break
            size /= 2
        else:
            step, size = -blur * (filled * columns).clamp_min(1e-30).log(), 1.0
            tried, found = _semi_dual(cost, potentials + step, blur)
        potentials = potentials + size * step
        value, shares = tried, found
    return potentials - potentials.mean()


def _semi_dual(cost: Tensor, potentials: Tensor, blur: float) -> tuple[float, Tensor]:
    """f(v), and how each row's mass is shared out, (n, k) with rows summing to 1."""
    exponents = (potentials - cost) / blur
    level = exponents.logsumexp(1, keepdim=True)
    return float(potentials.mean() - blur * level.mean()), (exponents - level).exp()
