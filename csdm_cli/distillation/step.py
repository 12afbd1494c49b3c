"""One iteration of the batched engine: all classes' losses and their gradient, in bounded memory, and a step.

The loss is a sum over classes, so whole classes can be taken in chunks and their gradients added up.
A class that is too large for one chunk takes two passes: its features without a graph, the loss's
gradient on those features, then the network again in pieces with that gradient. Both are exact.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from csdm_cli.distillation.layout import Chunking, Formation
from csdm_cli.distillation.pixels import Pixels
from csdm_cli.distillation.real_side import RealSide, Target
from csdm_cli.images.augment import Augmentation, Theta
from csdm_cli.images.multi_formation import decode
from csdm_cli.images.normalisation import normalise
from csdm_cli.methods.contract import OptimisedMethod
from csdm_cli.methods.statistics import Batch
from csdm_cli.storage.lru import Recent
from csdm_cli.teachers.networks import TeacherNetworks, TeacherStage
from csdm_cli.training.inference import images_at_once

FEATURES: Literal["features"] = "features"

# What a pass gives: features, or the logits under a place's weights.
Output = Literal["features"] | TeacherStage

# Views' augmentations kept on the device, some kilobytes each.
AUGMENTATIONS = 512


class Matching:
    """The loss of a method plus ``calibration`` times the teachers' cross-entropy, each a sum over all classes.

    The cross-entropy of a class is the mean over its decoded images.
    """

    def __init__(
        self, method: OptimisedMethod, formation: Formation, lens: TeacherNetworks, calibration: float, layout: Chunking
    ) -> None:
        self.method, self.formation, self.lens = method, formation, lens
        self.calibration, self.layout = calibration, layout
        self._augmentations = Recent[tuple[Theta, Augmentation]](AUGMENTATIONS)

    def backward(self, images: Tensor, target: Target, step: int) -> dict[str, Tensor]:
        """Add the gradient of the step's loss to ``images.grad``; returns the named terms, detached."""
        totals: dict[str, Tensor] = {}
        for first in range(0, self.formation.classes, self.layout.classes):
            last = min(first + self.layout.classes, self.formation.classes)
            own = images[first * self.formation.ipc : last * self.formation.ipc]
            for name, value in self.backward_chunk(own, target, step, first, last).items():
                totals[name] = totals.get(name, 0) + value
        return totals

    def backward_chunk(self, images: Tensor, target: Target, step: int, first: int, last: int) -> dict[str, Tensor]:
        """As :meth:`backward`, for the ``images`` of the classes ``first`` … ``last``-1, which are one chunk."""
        if self.layout.images < self.formation.ipc:
            terms = self._backward_in_pieces(images, target, step, first, last)
        else:
            outputs = self.outputs(target, self.see(images, target.view.theta, first))
            terms = self.terms(outputs, target, step, first, last)
            _sum(terms).backward()
        return {name: value.detach() for name, value in terms.items()}

    def see(self, images: Tensor, theta: Theta, first: int) -> Tensor:
        """Stored images of classes from ``first`` on -> decoded, normalised and augmented."""
        shape = self.formation
        decoded = decode(images, shape.factor, shape.size)
        seen = normalise(decoded, shape.mean, shape.std)
        classes = max(1, len(images) // shape.ipc)  # or a piece of one
        return self._augmentation(theta, first, first + classes, seen)(seen)

    def _augmentation(self, theta: Theta, first: int, last: int, images: Tensor) -> Augmentation:
        """Of the classes' rows of θ. A pool's views come again and again: theirs are worked out once."""

        def work_out() -> tuple[Theta, Augmentation]:
            dense = images.device.type == "cuda" and torch.are_deterministic_algorithms_enabled()
            return theta, Augmentation.of(theta.rows(slice(first, last)), images, dense=dense)

        # Its id stands for θ: no other object has it as long as θ is kept.
        return self._augmentations.get((id(theta), first, last), work_out, lambda pair: 1)[1]

    def outputs(self, target: Target, seen: Tensor) -> dict[Output, Tensor]:
        """Features under the view's weights, and logits under every place that counts."""
        here = (target.view.teacher, target.view.point)
        # In pieces that fit the processor's cache, each with a graph of its own: twice as fast on a CPU.
        pieces = seen.split(images_at_once(seen))
        network = self.lens.at(*here)
        features = torch.cat([network.features(piece) for piece in pieces])
        outputs: dict[Output, Tensor] = {FEATURES: features}
        for place in self._judges(target):
            judge = self.lens.at(*place)
            same = place == here
            outputs[place] = judge.classifier(features) if same else torch.cat([judge(piece) for piece in pieces])
        return outputs

    def terms(
        self, outputs: dict[Output, Tensor], target: Target, step: int, first: int, last: int
    ) -> dict[str, Tensor]:
        """The named loss terms of classes ``first`` … ``last``-1 from what :meth:`outputs` gave of them."""
        judge = self.method.judge(target.view)
        logits = None if judge is None else outputs[judge]
        batch = self._batch(outputs[FEATURES], logits, target, first, last)
        terms = self.method.losses(batch, step)
        if self.calibration != 0:
            share = self.calibration / self.formation.per_class
            logits = outputs[target.view.teacher, "final"]
            terms["calibration"] = share * cross_entropy(logits, batch.labels, reduction="sum")
        return terms

    @torch.no_grad()
    def after_move(self, images: Tensor, target: Target, step: int) -> None:
        """Show the method the images again, after they moved."""
        for first in range(0, self.formation.classes, self.layout.classes):
            last = min(first + self.layout.classes, self.formation.classes)
            own = images[first * self.formation.ipc : last * self.formation.ipc]
            network = self.lens.at(target.view.teacher, target.view.point)
            seen = [self.see(piece, target.view.theta, first) for piece in self._pieces(own)]
            features = torch.cat(
                [network.features(part) for piece in seen for part in piece.split(images_at_once(piece))]
            )
            self.method.after_move(self._batch(features, None, target, first, last), step)

    def _pieces(self, images: Tensor) -> tuple[Tensor, ...]:
        """A chunk as it is, or what of one class fits the budget."""
        return images.split(self.layout.images) if self.layout.images < self.formation.ipc else (images,)

    def _batch(self, features: Tensor, logits: Tensor | None, target: Target, first: int, last: int) -> Batch:
        return Batch(
            first,
            last,
            self.formation.per_class,
            features,
            target.statistics.of(first, last),
            target.frequencies,
            logits=logits,
            channels=self.lens.channels,
            view=target.view,
        )

    def _judges(self, target: Target) -> list[TeacherStage]:
        """Whose logits the step needs: the calibrating teacher's and the method's own choice, each once."""
        final: TeacherStage = (target.view.teacher, "final")
        places = [final] if self.calibration != 0 else []
        judge = self.method.judge(target.view)
        return places if judge is None or judge in places else [*places, judge]

    def _backward_in_pieces(
        self, images: Tensor, target: Target, step: int, first: int, last: int
    ) -> dict[str, Tensor]:
        pieces = self._pieces(images)
        theta = target.view.theta
        with torch.no_grad():
            passes = [self.outputs(target, self.see(piece, theta, first)) for piece in pieces]
        rows = [len(one[FEATURES]) for one in passes]
        joined = {output: torch.cat([one[output] for one in passes]).requires_grad_(True) for output in passes[0]}
        terms = self.terms(joined, target, step, first, last)
        _sum(terms).backward()
        gradients = {output: value.grad.split(rows) for output, value in joined.items() if value.grad is not None}
        for i, piece in enumerate(pieces):
            again = self.outputs(target, self.see(piece, theta, first))
            torch.autograd.backward([again[output] for output in gradients], [g[i] for g in gradients.values()])
        return terms


def batched_iteration(pixels: Pixels, matching: Matching, real: RealSide, step: int) -> dict[str, Tensor]:
    """One optimiser step for all classes at once; returns the loss terms."""
    target = real.at(step)
    terms = matching.backward(pixels.images, target, step)
    pixels.step(step)
    if matching.method.needs_moved_images:
        matching.after_move(pixels.images, target, step)
    return terms


def _sum(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()
