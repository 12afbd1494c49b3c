"""Students that are linear probes: a linear classifier learns from the features of one frozen network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from csdm_cli.display.console import note
from csdm_cli.errors import CsdmError
from csdm_cli.images.image_set import ImageSet
from csdm_cli.names import ProbeFeatures
from csdm_cli.networks.network import Network
from csdm_cli.seeds import derive_seed
from csdm_cli.storage import tensorfile
from csdm_cli.storage.keys import content_key, source_hash
from csdm_cli.storage.lru import LruCache
from csdm_cli.storage.rooms import STUDENTS
from csdm_cli.storage.tensorfile import tensor_sha256
from csdm_cli.training.batches import Examples
from csdm_cli.training.inference import features_of
from csdm_cli.training.losses import Loss
from csdm_cli.training.probe import (
    kept_features,
    live_features,
    new_probe,
    probabilities,
    probe_recipe,
    train_probe,
)
from csdm_cli.training.recipe import Recipe

# Bytes of features kept: those of the test images and of all training images are read by several rows of a table.
MEMORY = 2 * 2**30
# Images whose features go to the cache: those of fewer are computed about as fast as they are read.
MANY = 1000
FEATURES = "features"


@dataclass(frozen=True)
class Probed:
    """A frozen network, and which of its features probes learn from.

    Attributes:
        network: in evaluation mode, on the device of all images.
        key: hash of its weights.
        kind: whether images are augmented anew at every step.
        made: how it was made, as JSON values, from which it can be made again.
        cache: root of the cache, where the features of many images are kept; None keeps them in memory alone.
    """

    network: Network
    key: str
    kind: ProbeFeatures
    made: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    cache: Path | None = field(default=None, compare=False)
    _kept: LruCache[Tensor] = field(default_factory=lambda: LruCache[Tensor](MEMORY), compare=False, repr=False)

    @property
    def identity(self) -> dict[str, Any]:
        """The part of a probe's key that comes from it, as JSON values."""
        return {"probed": {"network": self.key, "features": str(self.kind)}}

    def features(self, images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
        """Features (N, D) of images (N, channels, H, W), uint8 or floats in [0, 1], as they are."""
        compute = partial(features_of, self.network, images, mean, std)
        seen = {"images": tensor_sha256(images), "normalisation": [list(mean), list(std)]}
        device = images.device

        def found() -> Tensor:
            if self.cache is None or len(images) < MANY:
                return compute()
            file = self.cache / FEATURES / f"{self._key(seen, device)}.safetensors"
            return _read_or_made(file, compute).to(device)

        return self._kept.get(content_key(seen), found, lambda features: features.nbytes)

    def _key(self, seen: Mapping[str, Any], device: torch.device) -> str:
        """Changes with anything that the features of the images ``seen`` depend on, and with the code."""
        code = {"torch": str(torch.__version__), "source": source_hash(*STUDENTS)}
        return content_key(dict(seen) | self.identity | {"spec": self.made.get("spec"), "device": device.type} | code)


def _read_or_made(file: Path, make: Callable[[], Tensor]) -> Tensor:
    """The features in ``file``, made and written if it is missing or damaged."""
    try:
        return tensorfile.load(file)[0][FEATURES]
    except (CsdmError, KeyError) as error:
        if file.exists():
            note(f"warning: {error}; it is made again")
    made = make()
    tensorfile.save(file, {FEATURES: made}, {})
    return made


def probe_logits(
    probed: Probed,
    examples: Examples,
    test: ImageSet,
    recipe: Recipe,
    steps: int,
    seed: int,
    *,
    loss: Loss,
    on_step: Callable[[int, Tensor], None],
) -> Tensor:
    """Logits (N, C) that a probe trained on ``examples`` gives the images of ``test``.

    The recipe's batch is the most images at a time: with fewer examples the rate is that of as many.

    Raises:
        CsdmError: if training diverges.
    """
    network, classes = probed.network, test.classes
    recipe = probe_recipe(min(recipe.batch, len(examples.images)), recipe.augment, recipe.augment_mode)
    probe = new_probe(network.feature_dim, classes, derive_seed(seed, "weights")).to(network.classifier.weight)
    training_seed = derive_seed(seed, "training")
    if probed.kind is ProbeFeatures.live:
        batches = live_features(network, examples, recipe, training_seed, classes)
    else:
        features = probed.features(examples.images, examples.mean, examples.std)
        targets = probabilities(examples.targets, classes, features.dtype)
        batches = kept_features(features, targets, recipe.batch, training_seed)
    train_probe(probe, batches, recipe, steps, loss=loss, on_step=on_step)
    with torch.no_grad():
        logits: Tensor = probe(probed.features(test.images, test.mean, test.std))
    return logits
