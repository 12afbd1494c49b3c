"""The field's loop, kept as the yardstick of the benchmarks.

Fresh real minibatches, class by class; an optimiser step per class after its matching pass, and another
after its calibration pass. The batched engine replaces all of it; nothing else should use this.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from csdm_cli.distillation.layout import Formation
from csdm_cli.distillation.leaves import Leaves
from csdm_cli.distillation.real_side import RealSide
from csdm_cli.images.augment import augment
from csdm_cli.images.multi_formation import decode
from csdm_cli.images.normalisation import normalise
from csdm_cli.methods.contract import MatchingMethod
from csdm_cli.methods.regularisers.weighted import WeightedTerm, loss_terms
from csdm_cli.methods.statistics import Batch
from csdm_cli.teachers.networks import TeacherNetworks, TeacherStage
from csdm_cli.teachers.views import View


def textbook_iteration(
    leaves: Leaves,
    method: MatchingMethod,
    formation: Formation,
    networks: TeacherNetworks,
    real: RealSide,
    calibration: float,
    step: int,
    extra: Sequence[WeightedTerm] = (),
) -> dict[str, Tensor]:
    """One iteration over all classes, of ``leaves.images`` (C·ipc, channels, h, w).

    Returns:
        the named loss terms, each summed over classes: scalars.
    """
    totals: dict[str, Tensor] = {}
    target = real.at(step)
    for label in range(formation.classes):
        rows = slice(label * formation.ipc, (label + 1) * formation.ipc)
        seen = _see(leaves.images[rows], target.view, formation, label)  # (per_class, channels, H, W)
        batch = Batch(
            label,
            label + 1,
            formation.per_class,
            networks.at(target.view.teacher, target.view.stage).features(seen),
            target.statistics.of(label, label + 1),
            target.frequencies,
            channels=networks.channels,
            view=target.view,
        )

        def logits_of(stage: TeacherStage, seen: Tensor = seen) -> Tensor:
            return networks.at(*stage)(seen)  # type: ignore[no-any-return]

        terms = loss_terms(method, extra, batch, step, logits_of)
        total = torch.stack(list(terms.values())).sum()
        total.backward()
        leaves.step(step)
        if calibration > 0:
            logits = networks.final(target.view.teacher)(_see(leaves.images[rows], target.view, formation, label))
            labels = torch.full((len(logits),), label, device=logits.device)
            terms["calibration"] = calibration * cross_entropy(logits, labels)
            terms["calibration"].backward()
            leaves.step(step)
        for name, value in terms.items():
            totals[name] = totals.get(name, 0) + value.detach()
    return totals


def _see(images: Tensor, view: View, formation: Formation, label: int) -> Tensor:
    decoded = decode(images, formation.factor, formation.size)
    return augment(normalise(decoded, formation.mean, formation.std), view.theta.rows([label]))
