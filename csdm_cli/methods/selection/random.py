"""random: real images as they are, the control that stands beside every method."""

from __future__ import annotations

from csdm_cli.images.initial import initial_images
from csdm_cli.methods.contract import Building, BuildingMethod, NoParameters, Outcome
from csdm_cli.names import Initial


class Random(BuildingMethod):
    """``ipc`` real images per class, drawn without replacement (repeated, shifted, in shorter classes)."""

    Parameters = NoParameters
    summary = "random real images"
    source = "control"
    cost = "none"

    def idle_options(self) -> frozenset[str]:
        return frozenset({"factor"})

    def build(self, start: Building) -> Outcome:
        return Outcome(initial_images(start.data, start.ipc, 1, Initial.real, start.seed), factor=1)
