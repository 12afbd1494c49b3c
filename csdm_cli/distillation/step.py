"""One iteration of the batched engine: all classes' losses and their gradient, in bounded memory, and a step.

The loss is a sum over classes, so whole classes can be taken in chunks and their gradients added up.
A class that is too large for one chunk takes two passes: its features without a graph, the loss's
gradient on those features, then the network again in pieces with that gradient. So do all classes at once, if they
are more than a chunk and the method's loss couples them. Both are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from csdm_cli.distillation.layout import Chunking, Formation
from csdm_cli.distillation.leaves import Leaves
from csdm_cli.distillation.real_side import RealSide, Target
from csdm_cli.images.augment import Augmentation, Theta, sampling_varies
from csdm_cli.images.multi_formation import decode
from csdm_cli.images.normalisation import normalise
from csdm_cli.methods.contract import MatchingMethod
from csdm_cli.methods.regularisers.weighted import WeightedTerm, loss_terms
from csdm_cli.methods.statistics import Batch
from csdm_cli.networks.network import Network
from csdm_cli.storage.lru import LruCache
from csdm_cli.teachers.networks import TeacherNetworks, TeacherStage
from csdm_cli.training.inference import images_at_once

FEATURES: Literal["features"] = "features"

# What a pass gives: features, or the logits under a stage's weights.
Output = Literal["features"] | TeacherStage

# Of images, a target and a step: adds the gradient to the images' ``grad``, and gives the loss terms.
Backward = Callable[[Tensor, Target, int], dict[str, Tensor]]

# Views' augmentations kept on the device, some kilobytes each.
AUGMENTATIONS = 512


class Matching:
    """The loss of a method, ``extra`` terms, and ``calibration`` times the teachers' cross-entropy.

    Each is a sum over all classes; the cross-entropy of a class is the mean over its decoded images.

    In the shapes below there are C classes, c of them in a chunk, with ipc stored images (channels, h, w) each, from
    which per_class images (channels, H, W) are decoded; D is the length of a feature vector.
    """

    def __init__(
        self,
        method: MatchingMethod,
        formation: Formation,
        networks: TeacherNetworks,
        calibration: float,
        layout: Chunking,
        extra: Sequence[WeightedTerm] = (),
    ) -> None:
        self.method, self.formation, self.networks = method, formation, networks
        self.calibration, self.layout, self.extra = calibration, layout, tuple(extra)
        self._augmentations = LruCache[tuple[Theta, Augmentation]](AUGMENTATIONS)

    def backward(self, images: Tensor, target: Target, step: int) -> dict[str, Tensor]:
        """Add the gradient of the step's loss to the ``grad`` of images (C·ipc, channels, h, w).

        Returns:
            the named terms, detached scalars.
        """
        totals: dict[str, Tensor] = {}
        at_once = self.formation.classes if self.method.couples_classes else self.layout.classes
        for first in range(0, self.formation.classes, at_once):
            last = min(first + at_once, self.formation.classes)
            own = images[first * self.formation.ipc : last * self.formation.ipc]
            for name, value in self.backward_chunk(own, target, step, first, last).items():
                totals[name] = totals.get(name, 0) + value
        return totals

    def backward_chunk(self, images: Tensor, target: Target, step: int, first: int, last: int) -> dict[str, Tensor]:
        """As :meth:`backward`, for the classes ``first`` … ``last``-1 together: images (c·ipc, channels, h, w)."""
        pieces = self._pieces(images, first)
        if len(pieces) > 1:
            terms = self._backward_in_pieces(pieces, target, step, first, last)
        else:
            outputs = self.outputs(target, self.see(images, target.view.theta, first))
            terms = self.terms(outputs, target, step, first, last)
            _sum(terms).backward()
        return {name: value.detach() for name, value in terms.items()}

    def see(self, images: Tensor, theta: Theta, first: int) -> Tensor:
        """Stored images of classes from ``first`` on -> decoded, normalised and augmented.

        (c·ipc, channels, h, w) -> (c·per_class, channels, H, W); of one class also a piece of it.
        """
        shape = self.formation
        decoded = decode(images, shape.factor, shape.size)  # (c·per_class, channels, H, W), as the next
        seen = normalise(decoded, shape.mean, shape.std)
        classes = max(1, len(images) // shape.ipc)  # or a piece of one
        return self._augmentation(theta, first, first + classes, seen)(seen)

    def _augmentation(self, theta: Theta, first: int, last: int, images: Tensor) -> Augmentation:
        """The augmentation of the classes' rows of θ. A pool's views come again: theirs are worked out once."""

        def work_out() -> tuple[Theta, Augmentation]:
            return theta, Augmentation.of(theta.rows(slice(first, last)), images, dense=sampling_varies(images))

        # Its id stands for θ: no other object has it as long as θ is kept.
        return self._augmentations.get((id(theta), first, last), work_out, lambda pair: 1)[1]

    def outputs(self, target: Target, seen: Tensor) -> dict[Output, Tensor]:
        """Features under the view's weights, and logits under those of every stage whose logits the step needs.

        (c·per_class, channels, H, W) -> (c·per_class, D), and (c·per_class, C) each.
        """
        here = (target.view.teacher, target.view.stage)
        # In pieces that fit the processor's cache, each with a graph of its own: twice as fast on a CPU.
        network = self.networks.at(*here)
        pieces = seen.split(images_at_once(seen, network))
        features = torch.cat([network.features(piece) for piece in pieces])  # (c·per_class, D)
        outputs: dict[Output, Tensor] = {FEATURES: features}
        for stage in self._logits_stages(target):
            network, same = self.networks.at(*stage), stage == here
            outputs[stage] = network.classifier(features) if same else torch.cat([network(piece) for piece in pieces])
        return outputs

    def terms(
        self, outputs: dict[Output, Tensor], target: Target, step: int, first: int, last: int
    ) -> dict[str, Tensor]:
        """The named loss terms of classes ``first`` … ``last``-1 from what :meth:`outputs` gave of them: scalars."""
        batch = self._batch(outputs[FEATURES], target, first, last)
        terms = loss_terms(self.method, self.extra, batch, step, outputs.__getitem__)
        if self.calibration != 0:
            share = self.calibration / self.formation.per_class
            logits = outputs[target.view.teacher, "final"]  # (c·per_class, C)
            terms["calibration"] = share * cross_entropy(logits, batch.labels, reduction="sum")
        return terms

    @torch.no_grad()
    def after_move(self, images: Tensor, target: Target, step: int) -> None:
        """Show the method the images (C·ipc, channels, h, w) again, after they moved."""
        for first in range(0, self.formation.classes, self.layout.classes):
            last = min(first + self.layout.classes, self.formation.classes)
            own = images[first * self.formation.ipc : last * self.formation.ipc]
            network = self.networks.at(target.view.teacher, target.view.stage)
            seen = [self.see(piece, target.view.theta, label) for piece, label in self._pieces(own, first)]
            parts = [part for piece in seen for part in piece.split(images_at_once(piece, network))]
            features = torch.cat([network.features(part) for part in parts])  # (c·per_class, D)
            self.method.after_move(self._batch(features, target, first, last), step)

    def _pieces(self, images: Tensor, first: int) -> list[tuple[Tensor, int]]:
        """Pieces within budget of images (c·ipc, channels, h, w) of classes from ``first`` on, with their class.

        Whole classes, named by the first of them; or parts of one.
        """
        ipc, layout = self.formation.ipc, self.layout
        if layout.images < ipc:
            by_class = enumerate(images.split(ipc), first)
            return [(piece, label) for label, own in by_class for piece in own.split(layout.images)]
        return [(own, first + i * layout.classes) for i, own in enumerate(images.split(layout.classes * ipc))]

    def _batch(self, features: Tensor, target: Target, first: int, last: int) -> Batch:
        """The chunk as the method meets it, without logits: features (c·per_class, D)."""
        return Batch(
            first,
            last,
            self.formation.per_class,
            features,
            target.statistics.of(first, last),
            target.frequencies,
            channels=self.networks.channels,
            view=target.view,
        )

    def networks_of(self, target: Target) -> list[Network]:
        """All networks that a step looks through."""
        stages: list[TeacherStage] = [(target.view.teacher, target.view.stage), *self._logits_stages(target)]
        return [self.networks.at(*stage) for stage in dict.fromkeys(stages)]

    def _logits_stages(self, target: Target) -> list[TeacherStage]:
        """Whose logits the step needs, each once: the calibrating teacher's, the method's choice and the terms'."""
        final: TeacherStage = (target.view.teacher, "final")
        read = [
            self.method.logits_stage(target.view),
            *(term.regulariser.logits_stage(target.view) for term in self.extra),
        ]
        wanted = [final] if self.calibration != 0 else []
        return list(dict.fromkeys([*wanted, *(stage for stage in read if stage is not None)]))

    def _backward_in_pieces(
        self, pieces: Sequence[tuple[Tensor, int]], target: Target, step: int, first: int, last: int
    ) -> dict[str, Tensor]:
        """As :meth:`backward_chunk` of more than the budget: pieces (n, channels, h, w) with their first class."""
        theta = target.view.theta
        with torch.no_grad():
            passes = [self.outputs(target, self.see(piece, theta, label)) for piece, label in pieces]
        rows = [len(one[FEATURES]) for one in passes]  # decoded images of each piece
        joined = {output: torch.cat([one[output] for one in passes]).requires_grad_(True) for output in passes[0]}
        terms = self.terms(joined, target, step, first, last)
        _sum(terms).backward()
        gradients = {output: value.grad.split(rows) for output, value in joined.items() if value.grad is not None}
        # of every output (rows of a piece, D or C), piece after piece
        for i, (piece, label) in enumerate(pieces):
            again = self.outputs(target, self.see(piece, theta, label))
            torch.autograd.backward([again[output] for output in gradients], [g[i] for g in gradients.values()])
        return terms


def batched_iteration(
    leaves: Leaves, matching: Matching, real: RealSide, step: int, *, backward: Backward | None = None
) -> dict[str, Tensor]:
    """One optimiser step for all classes at once, of ``leaves.images`` (C·ipc, channels, h, w).

    ``backward`` may stand for ``matching.backward``; the images are those that it takes.

    Returns:
        the named loss terms, as ``backward`` gives them.
    """
    target = real.at(step)
    terms = (backward or matching.backward)(leaves.images, target, step)
    leaves.step(step)
    if matching.method.needs_moved_images:
        matching.after_move(leaves.images, target, step)
    return terms


def _sum(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()
