"""tiled-random: shrunk real images, which is what optimised methods start from."""

from __future__ import annotations

from csdm_cli.images.initial import initial_images
from csdm_cli.methods.contract import Building, BuildingMethod, NoParameters, Outcome
from csdm_cli.names import Initial


class TiledRandom(BuildingMethod):
    """factor² shrunk real images per stored image: an optimised method's set after 0 iterations."""

    Parameters = NoParameters
    summary = "random real images, tiled at the factor"
    source = "control"
    cost = "none"
    reads_factor = True

    def build(self, start: Building) -> Outcome:
        return Outcome(
            initial_images(start.data, start.ipc, start.factor, Initial.mix, start.seed), factor=start.factor
        )
