"""DREAM: gradient matching with representative real images (Liu et al., ICCV 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from csdm_cli.methods.bounds import Several
from csdm_cli.methods.contract import Context, option
from csdm_cli.methods.gradient.centres import nearest_to_centres
from csdm_cli.methods.gradient.idc import Idc, IdcParameters
from csdm_cli.methods.learning import Scene
from csdm_cli.seeds import derive_seed
from csdm_cli.training.inference import features_of

CHOSEN = "chosen"


@dataclass(frozen=True, kw_only=True)
class DreamParameters(IdcParameters):
    """Options of dream."""

    recluster: Several = option(10, "steps of the images between two choices of real images (and with a new network)")


class Dream(Idc):
    """IDC whose real images of a class are those nearest to min(n_c, real_batch) centres of k-means (section 3.2).

    Features are those of the network as it is then. Of a class of no more images all are taken.
    """

    Parameters = DreamParameters
    parameters: DreamParameters
    summary = "idc with real images from the middle of clusters"
    source = "Liu et al., ICCV 2023, arXiv 2302.14416"
    cost = "as idc, and every recluster steps a forward of all real images and a k-means per class"
    departures = (
        f"{Idc.departures}; features are of normalised images, whose released ones are not; the images at the start are"
        " not chosen by clusters"
    )
    default_real_batch = 128

    def prepare(self, context: Context) -> None:
        self._chosen: dict[int, Tensor] = {}
        super().prepare(context)

    def step(self, scene: Scene, step: int) -> dict[str, Tensor]:
        self._stale = step % self._outer % self.parameters.recluster == 0
        return super().step(scene, step)

    def real_images(self, label: int, step: int) -> Tensor:
        if self._stale:
            self._chosen[label] = self._choose(label, step)
        return self.data.of_class(label)[self._chosen[label]]

    def state_dict(self) -> dict[str, Tensor]:
        return super().state_dict() | {f"{CHOSEN}.{label}": index for label, index in self._chosen.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        chosen = {name: value for name, value in state.items() if name.startswith(f"{CHOSEN}.")}
        self._chosen = {int(name.removeprefix(f"{CHOSEN}.")): index for name, index in chosen.items()}
        super().load_state_dict({name: value for name, value in state.items() if name not in chosen})

    @torch.no_grad()
    def _choose(self, label: int, step: int) -> Tensor:
        """Which images of a class stand for it: (min(n_c, real_batch),) int64."""
        images = self.data.of_class(label)
        clusters = min(len(images), self.parameters.real_batch)
        if clusters == len(images):
            return torch.arange(clusters, device=images.device)
        features = features_of(self._network, images, self.data.mean, self.data.std)
        seed = derive_seed(self.context.seed, "clusters", step, label)
        return nearest_to_centres(features, clusters, seed).to(images.device)
