"""RDED: realistic patches of real images, put together and relabelled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from csdm_cli.errors import UsageError
from csdm_cli.images.multi_formation import cell_side, decode, encode_mix
from csdm_cli.methods.contract import Building, BuildingMethod, Outcome, option
from csdm_cli.methods.selection.base import Looking
from csdm_cli.methods.selection.rules.crops import best_crops, cut, draw_boxes
from csdm_cli.methods.selection.rules.observers import Observers
from csdm_cli.names import StoredLabels
from csdm_cli.seeds import generator
from csdm_cli.training.inference import images_at_once


@dataclass(frozen=True)
class RdedParameters(Looking):
    """Options of RDED."""

    mipc: Annotated[int, Field(ge=1)] = option(
        300, "random images of a class that patches are cut from, at most; as many as patches, if these are more"
    )
    crops: Annotated[int, Field(ge=1)] = option(5, "random crops of each of them, of which the best is kept")
    smallest: Annotated[float, Field(gt=0, le=1)] = option(0.08, "least area of a crop, as a share of the image")
    seen: Literal["enlarged", "padded"] = option(
        "enlarged", "how teachers see a patch: enlarged as students will, or in a frame of the mean colour"
    )


class Rded(BuildingMethod):
    """The ipc·factor² crops of each class that the teachers find most realistic; factor² fill a stored image.

    Realism is the negative cross-entropy of a crop under the teachers (Sun et al. 2024, section 4). A patch is scored
    as it will be decoded; the released code frames it with zeros instead, which is ``seen=padded``, and shrinks by
    picking pixels, where this averages them. A short class gives the second-best crops of its images, and so on, after
    the best ones of all; the original needs ``mipc`` images in every class.
    """

    Parameters = RdedParameters
    summary = "patches of real images that look most realistic to the teachers, soft labels"
    source = "Sun et al., CVPR 2024, arXiv 2312.03526"
    cost = "one forward per teacher of mipc·crops crops a class"
    departures = (
        "all teachers score and label (the paper: one, with batch normalisation); students meet stored labels, at"
        " temperature 1, under the common recipe (the paper: the teacher's of every cutmixed batch, at temperature"
        " 20, that divides the students' logits too; here it softens the labels alone)"
    )
    default_labels = StoredLabels.soft
    needs_teachers = True
    reads_factor = True

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        """For CIFAR; on ImageNet subsets the factor is 2. Its 300 epochs, crops and half cosine are left out."""
        return {
            "pretrain": {"norm": "batch", "teachers": 1, "loss": "cross-entropy"},
            "distill": {"factor": 1, "labels": "soft", "temperature": 20.0},
            "evaluate": {"lr": 1e-3, "weight_decay": 0.01, "batch": 10 if ipc < 10 else 50 if ipc < 50 else 100}
            | {"cutmix": 1.0},
        }

    def build(self, start: Building) -> Outcome:
        """Raises: UsageError if a frame is asked for around patches as large as images."""
        if self.parameters.seen == "padded" and cell_side(start.data.size, start.factor) == start.data.size:
            raise UsageError("--option seen=padded has no effect at --factor 1: a patch fills the image")
        observers = Observers.of(start.pool, self.parameters.observers, start.data)
        patches = torch.cat([self._patches(start, observers, label) for label in range(start.data.classes)])
        return Outcome(encode_mix(patches, start.factor, start.data.size), start.factor)

    def _patches(self, start: Building, observers: Observers, label: int) -> Tensor:
        """The most realistic crops of a class: (ipc·factor², C, side, side)."""
        own, size, wanted = self.parameters, start.data.size, start.ipc * start.factor**2
        rng, images = generator(start.seed, "patches", label), start.data.of_class(label)
        shuffled = torch.randperm(len(images), generator=rng)[: max(own.mipc, wanted)]
        images, side = images[shuffled.to(images.device)], cell_side(size, start.factor)
        rounds = max(own.crops, -(-wanted // len(images)))
        boxes = torch.stack([draw_boxes(len(images), size, own.smallest, rng) for _ in range(rounds)], 1)
        losses = [self._losses(cut(images, boxes[:, turn], side), observers, label, size) for turn in range(rounds)]
        image, crop = best_crops(torch.stack(losses, 1), wanted).T
        return cut(images[image.to(images.device)], boxes[image, crop], side)

    def _losses(self, patches: Tensor, observers: Observers, label: int, size: int) -> Tensor:
        """The teachers' mean cross-entropy of each patch, (n,)."""
        found = []
        for part in torch.split(patches, images_at_once(patches)):
            whole = decode(part, 1, size) if self.parameters.seen == "enlarged" else framed(part, size, observers.mean)
            votes = [logits.double().log_softmax(1)[:, label] for _, logits in observers.seen(whole)]
            found.append(-torch.stack(votes).mean(0))
        return torch.cat(found)


def framed(patches: Tensor, size: int, colour: tuple[float, ...]) -> Tensor:
    """Patches (n, C, s, s) in the middle of images of ``size`` pixels a side and one ``colour``."""
    before = (size - patches.shape[-1]) // 2
    after = size - patches.shape[-1] - before
    shade = torch.tensor(colour, device=patches.device).view(1, -1, 1, 1)
    return F.pad(patches - shade, (before, after, before, after)) + shade
