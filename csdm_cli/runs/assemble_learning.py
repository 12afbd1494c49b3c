"""From settings to a run of a method that learns through training."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch

from csdm_cli.device import keep_freed_memory
from csdm_cli.distillation.decoded import learning_iteration
from csdm_cli.errors import UsageError
from csdm_cli.images.image_set import ImageSet
from csdm_cli.methods.contract import Context
from csdm_cli.methods.learning import LearningMethod
from csdm_cli.networks import NetworkSpec
from csdm_cli.networks.numerics import PLAIN, Numerics
from csdm_cli.parallel.class_shares import share_of
from csdm_cli.parallel.ranks import ALONE, Ranks
from csdm_cli.runs.choose import SettledOptimised
from csdm_cli.runs.start import ReadyRun, leaves_at_start, parameterisation_of, part_of
from csdm_cli.teachers.pool import TeacherPool


@dataclass(frozen=True)
class LearningAssembly(ReadyRun):
    """A run of a method that learns through training."""

    method: LearningMethod


def assemble_learning(
    settings: SettledOptimised,
    method: LearningMethod,
    data: ImageSet,
    spec: NetworkSpec,
    pool: TeacherPool | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    numerics: Numerics = PLAIN,
    ranks: Ranks = ALONE,
) -> LearningAssembly:
    """Set up a run on the device of ``data``, of networks of the architecture ``spec``, or this rank's share of it.

    A share is of any classes: a method that nothing couples computes each by itself, to the same bits everywhere.

    Raises:
        UsageError: if these are never trained, and the method trains them.
    """
    if spec.frozen and not method.needs_teachers:
        raise UsageError(
            f"--method {settings.method} trains networks of its own, and {spec.name} is never trained: choose another"
            " network for pretrain"
        )
    parameterisation = parameterisation_of(settings, data)
    context = Context(
        data.counts, data.images.device, dtype, parameterisation.per_class, settings.seed, pool, data, spec, numerics
    )
    keep_freed_memory()
    method.prepare(context)
    share = None if ranks.world == 1 else share_of(ranks.rank, ranks.world, data.classes, chunk=1)
    source, learned = method.starts_from(data), method.learned
    leaves = leaves_at_start(settings, source, parameterisation, dtype, share=share, learned=learned)
    own = part_of(parameterisation, share)
    iterate = partial(learning_iteration, leaves, own, method, share=share)
    return LearningAssembly(parameterisation, leaves, iterate, method, share=share)
