"""graph-cut: real images like their class and unlike each other, by the gradients they give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from torch import Tensor

from csdm_cli.methods.contract import Building, option
from csdm_cli.methods.selection.base import Rule, SelectingByLooks, SelectionMethod
from csdm_cli.methods.selection.rules import greedy
from csdm_cli.methods.selection.rules.gradients import GradientSimilarity
from csdm_cli.methods.selection.rules.observers import Observers


@dataclass(frozen=True)
class GraphCutParameters(SelectingByLooks):
    """Options of graph-cut."""

    cut_weight: Annotated[float, Field(gt=0)] = option(
        1.0, "λ: weight of likeness to the class against unlikeness to what is picked"
    )


class GraphCut(SelectionMethod):
    """Greedy by the gain λ·Σ_j s(j, x) − 2·Σ_{p picked} s(p, x) of the graph-cut function (Iyer et al. 2021).

    s = ½ + ½·cosine of the cross-entropy's gradients in the teachers' last layers. All images of the class stand in
    the first sum; the second one's factor 2 counts every pair of picks from both sides.
    """

    Parameters = GraphCutParameters
    summary = "real images like their class and unlike each other"
    source = "Iyer et al., ALT 2021, arXiv 2006.15412; for coresets Guo et al. 2022, arXiv 2204.08499"
    cost = "one forward of the real images per teacher"
    departures = "gradients of all teachers side by side; sources use one network"

    def rule(self, start: Building) -> Rule:
        observers = Observers.of(start.pool, self.parameters.observers, start.data)

        def rule(label: int, count: int) -> Tensor:
            similarity = GradientSimilarity.of(observers.seen(start.data.of_class(label)), label)
            return greedy.graph_cut(similarity.total(), similarity.column, count, self.parameters.cut_weight)

        return rule
