"""Selection by plain loops: scores of every candidate, similarities from whole gradients, forgetting visit by visit."""

from __future__ import annotations

from itertools import combinations, pairwise

import torch
import torch.nn.functional as F
from torch import Tensor


def herding_scores(features: Tensor, picks: list[int]) -> dict[int, float]:
    """Scores of images left: ‖i·μ − Σ_{p picked} f_p − f_x‖ with i = picks + 1 (Welling 2009); lowest is best."""
    mean = sum(features) / len(features)
    scores = {}
    for x in range(len(features)):
        if x in picks:
            continue
        rest = (len(picks) + 1) * mean - features[x]
        for p in picks:
            rest = rest - features[p]
        scores[x] = float(rest.pow(2).sum().sqrt())
    return scores


def k_center_scores(features: Tensor, picks: list[int]) -> dict[int, float]:
    """Scores of images left: distance to its nearest pick (Sener and Savarese 2018, algorithm 1); highest is best."""
    return {
        x: min(float((features[x] - features[p]).pow(2).sum().sqrt()) for p in picks)
        for x in range(len(features))
        if x not in picks
    }


def radius(features: Tensor, picks: tuple[int, ...]) -> float:
    """The largest distance of any image to its nearest pick."""
    return max(min(float((f - features[p]).pow(2).sum().sqrt()) for p in picks) for f in features)


def smallest_radius(features: Tensor, count: int) -> float:
    """The optimum of the k-center problem, over all choices of ``count`` images."""
    return min(radius(features, picks) for picks in combinations(range(len(features)), count))


def graph_cut_value(similarity: Tensor, chosen: list[int], weight: float) -> float:
    """f(A) = λ·Σ_{j∈V} Σ_{p∈A} s(j, p) − Σ_{p∈A} Σ_{q∈A} s(p, q) (Iyer et al. 2021)."""
    value = 0.0
    for p in chosen:
        for j in range(len(similarity)):
            value += weight * float(similarity[j, p])
        for q in chosen:
            value -= float(similarity[p, q])
    return value


def graph_cut_scores(similarity: Tensor, picks: list[int], weight: float) -> dict[int, float]:
    """f(picks and x) of every image x left; highest is best."""
    left = [x for x in range(len(similarity)) if x not in picks]
    return {x: graph_cut_value(similarity, [*picks, x], weight) for x in left}


def last_layer_gradients(features: Tensor, weight: Tensor, bias: Tensor, label: int) -> Tensor:
    """Each image's gradient of the cross-entropy in bias and weight, flattened: (n, D) -> (n, C + C·D)."""
    rows = []
    for f in features:
        w, b = weight.clone().requires_grad_(), bias.clone().requires_grad_()
        loss = F.cross_entropy((w @ f + b)[None], torch.tensor([label]))
        of_bias, of_weight = torch.autograd.grad(loss, (b, w))
        rows.append(torch.cat([of_bias, of_weight.flatten()]))
    return torch.stack(rows)


def cosine_similarity(rows: Tensor) -> Tensor:
    """½ + ½·cosine of all pairs: (n, K) -> (n, n)."""
    result = rows.new_zeros(len(rows), len(rows))
    for i, a in enumerate(rows):
        for j, b in enumerate(rows):
            result[i, j] = 0.5 + 0.5 * (a * b).sum() / (a.norm() * b.norm())
    return result


def forgetting_order(right: list[list[bool]], never: float, order: list[int]) -> list[int]:
    """Images by falling number of "right, then wrong" (Toneva et al. 2019); ``never`` events if never right."""
    events = {}
    for x in order:
        visits = [visit[x] for visit in right]
        count = 0
        for now, then in pairwise(visits):
            if now and not then:
                count += 1
        events[x] = count if any(visits) else never
    return sorted(order, key=lambda x: -events[x])
