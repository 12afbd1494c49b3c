"""From settings to the engine's objects: what distill, profile and the benchmarks set up alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from csdm_cli.distillation.balance import weight_of
from csdm_cli.distillation.bank import BankedRealSide, BankPlan, build_bank
from csdm_cli.distillation.decoded import Decoded, decoded_iteration
from csdm_cli.distillation.layout import Formation, activation_bytes, layout_of, share_for
from csdm_cli.distillation.loop import Iteration
from csdm_cli.distillation.real_side import FreshRealSide, RealSide
from csdm_cli.distillation.replay import backward_of
from csdm_cli.distillation.sharded import shared_backward
from csdm_cli.distillation.step import Backward, Matching, batched_iteration
from csdm_cli.distillation.textbook import textbook_iteration
from csdm_cli.images.augment import parse_strategy
from csdm_cli.images.image_set import ImageSet
from csdm_cli.methods.contract import Context, MatchingMethod
from csdm_cli.methods.regularisers.weighted import joined_request, refuse_other_features, weighted_terms
from csdm_cli.methods.statistics import Request
from csdm_cli.names import Engine, RealMode
from csdm_cli.networks.numerics import PLAIN, Numerics
from csdm_cli.parallel.class_shares import ClassShare
from csdm_cli.parallel.ranks import ALONE, Ranks
from csdm_cli.runs.choose import SettledMatching
from csdm_cli.runs.start import ReadyRun, factor_of, leaves_at_start, parameterisation_of, part_of
from csdm_cli.seeds import derive_seed
from csdm_cli.settings.fields import ratio
from csdm_cli.teachers.networks import PoolNetworks, TeacherNetworks, tuned, tuned_for_any_number
from csdm_cli.teachers.pool import TeacherPool
from csdm_cli.teachers.views import FreshViews, PooledViews, ViewPlan


@dataclass(frozen=True)
class Assembly(ReadyRun):
    """A run of a method that matches statistics.

    Attributes:
        formation: that of plain pixels as they are stored; of other parameterisations, of their decoded images.
    """

    method: MatchingMethod
    formation: Formation
    networks: TeacherNetworks
    real: RealSide
    matching: Matching

    @property
    def calibration(self) -> float:
        """The weight that was given, or that a ratio came to."""
        return self.matching.calibration


def assemble(
    settings: SettledMatching,
    method: MatchingMethod,
    data: ImageSet,
    pool: TeacherPool,
    cache: Path,
    *,
    quiet: bool = False,
    memory_budget: int | None = None,
    dtype: torch.dtype = torch.float32,
    numerics: Numerics = PLAIN,
    ranks: Ranks = ALONE,
    kept: Callable[[Callable[[], float]], float] = lambda measure: measure(),
) -> Assembly:
    """Set up a run on the device of ``data``, or this rank's share of it; builds what is missing of the bank.

    ``memory_budget`` bounds the bytes of activations alive at a time. The real side computes as the
    synthetic one does, in pieces of one shape.
    ``kept`` is asked for the weight that a ratio of calibration comes to, and given what measures it.
    """
    device = data.images.device
    parameterisation = parameterisation_of(settings, data)
    factor = factor_of(parameterisation)
    stored = (parameterisation.per_class, 1) if factor is None else (settings.ipc, factor)
    formation = Formation(data.classes, *stored, data.size, data.mean, data.std)
    seen = data if settings.real is RealMode.fresh else None
    context = Context(data.counts, device, dtype, formation.per_class, settings.seed, pool, seen)
    method.prepare(context)
    extra = weighted_terms(settings.regularizer)
    for term in extra:
        term.regulariser.prepare(context)
    shared = PoolNetworks(pool, device, dtype, numerics.memory_format)
    bare = method.networks(shared)
    refuse_other_features(extra, bare, shared)
    networks = tuned(bare, numerics)
    per_image = activation_bytes(
        tuned(bare, numerics.eager).final(0), (data.channels, data.size, data.size), device, dtype
    )
    layout = layout_of(formation, per_image, memory_budget, device, coupled=method.couples_classes)
    share = share_for(ranks, formation, layout, device)
    seeing = tuned_for_any_number(bare, numerics)
    request = joined_request(method, extra)
    real = _real_side(settings, method, request, data, pool, seeing, cache, dtype, numerics, quiet, share)
    matching = Matching(method, formation, networks, 0.0, layout, extra)
    leaves = leaves_at_start(settings, data, parameterisation, dtype, share=share)
    backward: Backward = matching.backward
    if share is not None:
        backward = partial(shared_backward, matching, share)
    elif factor is not None:
        backward = backward_of(matching, real, device)
    iterate: Iteration
    if factor is not None:
        matching.calibration = _calibration(settings, matching, real, lambda: leaves.images, kept)
        iterate = partial(batched_iteration, leaves, matching, real, backward=backward)
    else:
        own = part_of(parameterisation, share)
        matching.calibration = _calibration(settings, matching, real, lambda: Decoded.of(leaves, own).images, kept)
        iterate = partial(decoded_iteration, leaves, own, matching, real, backward=backward)
    if settings.engine is Engine.textbook:
        whole = (leaves, method, formation, networks, real, matching.calibration)
        iterate = partial(textbook_iteration, *whole, extra=extra)
    return Assembly(parameterisation, leaves, iterate, method, formation, networks, real, matching, share=share)


def _calibration(
    settings: SettledMatching,
    matching: Matching,
    real: RealSide,
    images: Callable[[], Tensor],
    kept: Callable[[Callable[[], float]], float],
) -> float:
    """The weight that was given, or that the ratio asked for comes to with these images."""
    asked = ratio(settings.calibration)
    if asked is None:
        return float(settings.calibration)
    return kept(lambda: weight_of(asked, matching, real, images(), settings.iterations))


def _real_side(
    settings: SettledMatching,
    method: MatchingMethod,
    request: Request,
    data: ImageSet,
    pool: TeacherPool,
    networks: TeacherNetworks,
    cache: Path,
    dtype: torch.dtype,
    numerics: Numerics,
    quiet: bool,
    share: ClassShare | None,
) -> RealSide:
    """Statistics of the real classes, banked or of fresh minibatches, as the settings say."""
    plan = ViewPlan(
        teachers=len(networks),
        classes=data.classes,
        augment=parse_strategy(settings.augment),
        augment_mode=settings.augment_mode,
        schedule=settings.teacher_schedule,
        epochs=pool.epochs,
        seed=derive_seed(settings.seed, "views"),
        resample=request.spectrum is None or request.spectrum.resample,
    )
    if settings.real is RealMode.fresh:
        own = None if share is None or method.pools_real else range(share.first, share.last)
        fresh, batch = FreshViews(plan), settings.real_batch
        return FreshRealSide(data, networks, fresh, request, batch, settings.seed, dtype, own, method.revise)
    views = PooledViews(plan, settings.draws)
    described: dict[str, Any] = asdict(plan) | {"draws": settings.draws}
    device = data.images.device.type
    shown = data.fingerprint(), (data.mean, data.std)
    bank = BankPlan(*shown, pool.key, described, request, device, str(dtype), numerics.as_dict())
    folder = cache / "bank" / bank.key
    build_bank(folder, data, views, settings.iterations, request, networks, dtype, quiet=quiet)
    return BankedRealSide(folder, views, request, networks, dtype, method.revise)
