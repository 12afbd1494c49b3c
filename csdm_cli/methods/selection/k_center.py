"""k-center: real images no other image of the class is far from."""

from __future__ import annotations

import torch
from torch import Tensor

from csdm_cli.methods.contract import Building
from csdm_cli.methods.selection.base import Rule, SelectingByLooks, SelectionMethod
from csdm_cli.methods.selection.rules import greedy
from csdm_cli.methods.selection.rules.observers import Observers
from csdm_cli.seeds import generator


class KCenter(SelectionMethod):
    """A random image first, then always the one farthest from its nearest pick (Sener and Savarese 2018, algorithm 1).

    The largest distance to the nearest pick is at most twice the optimum. Features are what the teachers' classifiers
    see, of images without augmentation. The paper's second step, which
    improves these centres by mixed-integer programming, is not done.
    """

    Parameters = SelectingByLooks
    summary = "real images no other of the class is far from"
    source = "Sener and Savarese, ICLR 2018, arXiv 1708.00489"
    cost = "one forward of the real images per teacher"
    departures = "features of all teachers side by side; a class is covered on its own, from a random first image"

    def rule(self, start: Building) -> Rule:
        observers = Observers.of(start.pool, self.parameters.observers, start.data)

        def rule(label: int, count: int) -> Tensor:
            features = observers.features(start.data.of_class(label))
            first = torch.randint(len(features), (), generator=generator(start.seed, "first centre", label))
            return greedy.k_center(features, count, int(first))

        return rule
