"""Images that stand for a class: those nearest to the centres of its clusters."""

from __future__ import annotations

import torch
from torch import Tensor

MOST_ROUNDS = 100  # of k-means


def nearest_to_centres(features: Tensor, clusters: int, seed: int) -> Tensor:
    """The rows nearest to the centres of k-means, one for each centre; two centres may have the same one.

    Args:
        features: (n, D).
        clusters: centres, at most n.
        seed: random seed of the first centres (k-means++).

    Returns:
        (clusters,) int64, on the CPU.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import pairwise_distances_argmin
    from threadpoolctl import threadpool_limits

    rows = features.cpu().numpy()
    with threadpool_limits(1):  # threads add up in any order, and a centre's last bits with them
        found = KMeans(clusters, n_init=1, max_iter=MOST_ROUNDS, random_state=seed % 2**32).fit(rows)
        return torch.from_numpy(pairwise_distances_argmin(found.cluster_centers_, rows)).long()
