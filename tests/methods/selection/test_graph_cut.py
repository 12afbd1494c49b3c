"""graph-cut's picks follow from the gradients of the teachers' last layers."""

from __future__ import annotations

import pytest
import torch

from csdm_cli.images.normalisation import normalise
from csdm_cli.methods.selection.graph_cut import GraphCut, GraphCutParameters
from tests.methods.selection.worlds import building, positions
from tests.reference.selection import cosine_similarity, graph_cut_scores, last_layer_gradients


def cut(start, **options):
    return GraphCut(GraphCutParameters(**options)).build(start)


def similarity_of(start, label, teachers):
    images = normalise(start.data.of_class(label), start.data.mean, start.data.std)
    rows = []
    for network in (start.pool.network(number) for number in range(teachers)):
        last = network.classifier
        rows.append(last_layer_gradients(network.features(images), last.weight, last.bias, label))
    return cosine_similarity(torch.cat(rows, 1).double())


@pytest.mark.parametrize(("observers", "weight"), [(0, 1.0), (1, 1.0), (0, 0.2)])
def test_every_pick_gains_most(observers, weight):
    start = building(ipc=3)
    built = cut(start, observers=observers, cut_weight=weight)
    for label in range(3):
        similarity = similarity_of(start, label, observers or 2)
        picks = positions(start, built.images[3 * label : 3 * label + 3], label)
        for turn, pick in enumerate(picks):
            values = graph_cut_scores(similarity, picks[:turn], weight)
            assert values[pick] >= max(values.values()) - 1e-5


def test_the_weight_of_the_cut_has_a_say():
    assert not torch.equal(cut(building(ipc=4)).images, cut(building(ipc=4), cut_weight=0.05).images)
