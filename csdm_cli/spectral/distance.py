"""Distances between characteristic functions, class by class.

For every frequency, exactly: |Δφ|² = (|φ_P| - |φ_Q|)² + 2|φ_P||φ_Q|(1 - cos(arg φ_P - arg φ_Q)), the
amplitude part (diversity) and the phase part (realism). The class-aware distance weighs them by α and
1 - α (CSDM, arXiv 2603.01698).
"""

from __future__ import annotations

from torch import Tensor

from csdm_cli.spectral.characteristic import EPSILON, Ecf


def class_distance(real: Ecf, synthetic: Ecf, alpha: Tensor, root: bool = False, eps: float = EPSILON) -> Tensor:
    """D_c = mean_k [α_c · amplitude + (1 - α_c) · phase], or the mean of that sum's root.

    Computed as (1 - α)|Δφ|² + (2α - 1)(|φ_P| - |φ_Q|)²: the same value, but neither part is a difference of
    nearly equal numbers, so that float32 holds near the optimum; at α = ½ it is SDD/2.

    Args:
        real: characteristic functions of the real classes, shape (C, K).
        synthetic: characteristic function of the synthetic classes, shape (C, K).
        alpha: weight of the amplitude part in each class, shape (C,), within (0, 1).
        root: mean_k √(α·amplitude + (1 - α)·phase + ε), as NCFM has it (arXiv 2502.20653). Between equal
            classes it is √ε rather than 0, with gradient 0.
        eps: ε of |φ| = √(re² + im² + ε) and of the root.

    Returns:
        One distance per class, shape (C,), in the dtype of ``synthetic``.
    """
    squared, amplitude = _parts(real, synthetic, eps)
    weight = alpha.to(squared)[:, None]
    terms = (1 - weight) * squared + (2 * weight - 1) * amplitude
    if root:
        terms = (terms.clamp(min=0) + eps).sqrt()
    return terms.mean(1)


def sdd(real: Ecf, synthetic: Ecf) -> Tensor:
    """Spectral distribution distance of each class: mean_k |φ_P - φ_Q|², shape (C,).

    It is the biased MMD² of κ_K(x, y) = mean_k cos ω_k·(x - y), at any number K of frequencies.
    """
    return ((synthetic.re - real.re).square() + (synthetic.im - real.im).square()).mean(1)


def _parts(real: Ecf, synthetic: Ecf, eps: float) -> tuple[Tensor, Tensor]:
    """|Δφ|² and (|φ_P| - |φ_Q|)², each (C, K).

    The difference of amplitudes is taken as (|φ_P|² - |φ_Q|²)/(|φ_P| + |φ_Q|), with Δφ·(φ_P + φ_Q) above:
    ε drops out of it and only Δφ itself is a difference. It never exceeds |Δφ|, whatever ε.
    """
    re, im = synthetic.re - real.re, synthetic.im - real.im
    across = re * (synthetic.re + real.re) + im * (synthetic.im + real.im)
    amplitude = across / (synthetic.amplitude(eps) + real.amplitude(eps))
    return re.square() + im.square(), amplitude.square()
