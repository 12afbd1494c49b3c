"""DC: dataset condensation with gradient matching (Zhao, Mopuri and Bilen, ICLR 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from csdm_cli.methods.contract import option
from csdm_cli.methods.gradient.base import GradientMatching, Rounds, synthetic_examples
from csdm_cli.methods.gradient.distances import Distance, released_row_cosine, row_cosine
from csdm_cli.methods.learning import Scene
from csdm_cli.training.batches import Batches
from csdm_cli.training.recipe import Recipe

# The pixels' learning rate of SGD 0.1 on pixels divided by σ, times σ² for pixels in [0, 1], with the field's σ of 0.2.
PAPER_LR = 0.004


@dataclass(frozen=True)
class DcParameters(Rounds):
    """Options of dc."""

    row_distance: Literal["cosine", "released"] = option(
        "cosine",
        "of two rows; released adds 1e-6 to the product of their norms, as the paper's code does",
    )


class Dc(GradientMatching):
    """Σ_c Σ over layers and outputs of 1 − cos(real gradient's row, synthetic gradient's row) (equation 9).

    The network learns from the synthetic images between the steps (algorithm 1). Tensors of one axis count nothing.
    """

    Parameters: ClassVar[type[DcParameters]] = DcParameters
    parameters: DcParameters
    summary = "matching of training gradients, class by class"
    source = "Zhao, Mopuri and Bilen, ICLR 2021, arXiv 2006.05929"
    cost = (
        "per step a gradient of real_batch real images and a second derivative of the synthetic ones per class, and"
        " inner training steps"
    )
    departures = (
        "one step for all classes; the cosine without the released code's 1e-6; inner counts steps of the network, not"
        " epochs, which is the same where a batch holds all images; pixels are clamped to [0, 1]"
    )

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        """1,000 networks of the rounds' outer steps each."""
        outer = 1 if ipc == 1 else 10 if ipc <= 10 else 50
        own = {"row_distance": "released"}
        return {
            "distill": {"option": own, "iterations": 1000 * outer, "optimizer": "sgd", "lr": PAPER_LR}
            | {"schedule": "constant", "factor": 1, "initial": "noise", "real_batch": 256}
        }

    @property
    def distance(self) -> Distance:
        return row_cosine if self.parameters.row_distance == "cosine" else released_row_cosine

    def network_batches(self, scene: Scene, recipe: Recipe, seed: int) -> Batches:
        return Batches(synthetic_examples(scene, self.data.mean, self.data.std), recipe, seed, scene.classes)
