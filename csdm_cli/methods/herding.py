"""herding: real images whose mean feature follows the class's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from csdm_cli.methods.contract import Building, BuildingMethod, Built
from csdm_cli.selection import greedy
from csdm_cli.selection.looking import Observers
from csdm_cli.selection.parameters import SelectingByLooks
from csdm_cli.selection.presets import DEEPCORE
from csdm_cli.selection.stored import selected


class Herding(BuildingMethod):
    """The i-th pick of a class minimises ‖i·μ − Σ_{p picked} f_p − f_x‖ (Welling 2009, "Herding dynamical weights").

    Features are what the teachers' classifiers see, of images without augmentation. Much released selection code
    takes the maximum here, which picks outliers; this is the minimum, as derived.
    """

    Parameters = SelectingByLooks
    summary = "real images whose mean feature follows the class's"
    source = "Welling, ICML 2009; Rebuffi et al., CVPR 2017, arXiv 1611.07725"
    cost = "one forward of the real images per teacher"
    departures = "features of all teachers side by side, not length-normalised; sources use one network"
    needs_teachers = True
    reads_factor = True

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        return DEEPCORE

    def idle_options(self) -> frozenset[str]:
        return frozenset() if self.parameters.tiled else frozenset({"factor"})

    def build(self, start: Building) -> Built:
        observers = Observers.of(start.pool, self.parameters.observers, start.data)

        def rule(label: int, count: int) -> Tensor:
            return greedy.herding(observers.features(start.data.of_class(label)), count)

        return selected(start, self.parameters.tiled, rule)
