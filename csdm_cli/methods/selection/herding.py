"""herding: real images whose mean feature follows the class's."""

from __future__ import annotations

from torch import Tensor

from csdm_cli.methods.contract import Building
from csdm_cli.methods.selection.base import Rule, SelectingByLooks, SelectionMethod
from csdm_cli.methods.selection.rules import greedy
from csdm_cli.methods.selection.rules.observers import Observers


class Herding(SelectionMethod):
    """The i-th pick of a class minimises ‖i·μ − Σ_{p picked} f_p − f_x‖ (Welling 2009, "Herding dynamical weights").

    Features are what the teachers' classifiers see, of images without augmentation. Much released selection code
    takes the maximum here, which picks outliers; this is the minimum, as derived.
    """

    Parameters = SelectingByLooks
    summary = "real images whose mean feature follows the class's"
    source = "Welling, ICML 2009; Rebuffi et al., CVPR 2017, arXiv 1611.07725"
    cost = "one forward of the real images per teacher"
    departures = "features of all teachers side by side, not length-normalised; sources use one network"

    def rule(self, start: Building) -> Rule:
        observers = Observers.of(start.pool, self.parameters.observers, start.data)

        def rule(label: int, count: int) -> Tensor:
            return greedy.herding(observers.features(start.data.of_class(label)), count)

        return rule
