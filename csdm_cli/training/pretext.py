"""Self-supervised training of an encoder, by the one loop that trains all networks: no label is given to it.

Every image of a batch is shown twice, in two random views. A projector behind the encoder, which is thrown away
afterwards, embeds both, and the objective asks that the views of an image agree while images differ. Each view goes
through the network as a batch of its own, as in the papers' code: batch normalisation sees one view at a time.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from csdm_cli.device import to_device
from csdm_cli.images.normalisation import normalise
from csdm_cli.images.two_views import draw_view, seen
from csdm_cli.names import Objective
from csdm_cli.networks.network import Network
from csdm_cli.networks.spec import Pretext
from csdm_cli.seeds import generator
from csdm_cli.training.inference import images_at_once
from csdm_cli.training.losses import Loss
from csdm_cli.training.objectives import JITTER, LAYERS, OUTPUTS, PairLoss
from csdm_cli.training.recipe import Duration, Recipe
from csdm_cli.training.sampling import Shuffled


class Projected(Network):
    """An encoder and a projector: linear layers with batch norm and ReLU between them.

    Its last layer is in the place of a classifier: the embedding stands where the logits of other networks do.
    """

    def __init__(self, encoder: nn.Module, feature_dim: int, pretext: Pretext, seed: int) -> None:
        """``seed`` gives the projector's weights alone."""
        super().__init__()
        objective, width = Objective(pretext.objective), pretext.projector
        self.encoder = encoder
        self._couples = any(isinstance(module, _BatchNorm) for module in encoder.modules())
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            hidden: list[nn.Module] = []
            for into in (feature_dim, *[width] * (LAYERS[objective] - 2)):
                hidden += [nn.Linear(into, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
            self.hidden = nn.Sequential(*hidden)
            self.classifier = nn.Linear(width, min(width, OUTPUTS.get(objective, width)), bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings of the first views of n images and then of the second: (2n, channels, size, size) -> (2n, D)."""
        return torch.cat([self.classifier(self.hidden(self._features(view))) for view in images.chunk(2)])

    def _features(self, images: Tensor) -> Tensor:
        """In parts that stay in the processor's cache, where no layer of the encoder couples images."""
        if self._couples or images.device.type != "cpu":
            return self.features(images)
        return torch.cat([self.features(part) for part in images.split(images_at_once(images))])


class Pairs:
    """Two views of each of a step's images, as a function of the step.

    Args:
        images: (N, channels, H, H) uint8, on the device of the network.
        mean, std: the normalisation of the network's input.
        pretext: says how many images, and how they are seen.
        seed: random seed of shuffles and views.
    """

    def __init__(
        self, images: Tensor, mean: Sequence[float], std: Sequence[float], pretext: Pretext, seed: int
    ) -> None:
        self._images, self._mean, self._std, self._seed = images, mean, std, seed
        self._index = Shuffled(len(images), min(pretext.batch, len(images)), seed)
        self._operations, self._jitter = frozenset(pretext.views.split("_")), JITTER[Objective(pretext.objective)]

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """First and then second views (2n, channels, H, H), normalised; and no targets (2n, 1)."""
        images = self._images[to_device(self._index(step), self._images.device)].float() / 255
        rng = generator(self._seed, "views", step)
        drawn = [draw_view(rng, len(images), self._operations, self._jitter) for _ in range(2)]
        views = torch.cat([normalise(seen(images, view), self._mean, self._std) for view in drawn])
        return views, views.new_zeros(len(views), 1)


def of_pairs(loss: PairLoss) -> Loss:
    """``loss`` as the loop wants it, one value per image: that of the batch, whose mean it is."""

    def value(embeddings: Tensor, targets: Tensor) -> Tensor:
        return loss(*embeddings.chunk(2)).expand(len(targets))

    return value


def pretext_recipe(pretext: Pretext) -> Recipe:
    """AdamW with a cosine to 0; the papers' LARS is for batches of thousands of images."""
    return Recipe(
        "adamw", pretext.lr, 0.0, pretext.weight_decay, pretext.batch, "none", "single", cutmix=0.0, schedule="cosine"
    )


def duration_of_pretext(pretext: Pretext) -> Duration:
    """The length of its training."""
    return Duration(pretext.epochs, pretext.steps)
