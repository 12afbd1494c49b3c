"""CSDM: class-aware spectral distribution matching (arXiv 2603.01698)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from csdm_cli.errors import UsageError, asked_by
from csdm_cli.methods import shared_options
from csdm_cli.methods.contract import Context, MatchingMethod, option
from csdm_cli.methods.statistics import Batch, ClassStatistics, Request, Spectrum
from csdm_cli.names import AlphaSchedule, Distance, KernelName
from csdm_cli.networks.blocks import BlockNetwork
from csdm_cli.spectral.characteristic import ecf
from csdm_cli.spectral.distance import class_distance
from csdm_cli.spectral.estimates import borrowed, debiased
from csdm_cli.spectral.kernels import SHIFT_INVARIANT, check_rule, check_shape
from csdm_cli.spectral.mmd import biased_mmd2
from csdm_cli.spectral.weights import alphas
from csdm_cli.teachers.networks import TeacherNetworks, WrappedTeacherNetworks
from csdm_cli.teachers.pool import TeacherPool

MEANS_ONLY = frozenset({KernelName.linear, KernelName.cosine})
DEFAULT_SHAPE = {KernelName.matern: 1.5, KernelName.rational_quadratic: 1.0, KernelName.polynomial: 2.0}


@dataclass(frozen=True)
class CsdmParameters:
    """The parameters of csdm. ``kernel_shape`` None is the kernel's own default."""

    kernel: shared_options.Kernel
    kernel_shape: shared_options.KernelShape
    scale: shared_options.Scale
    frequencies: shared_options.Frequencies
    frequency_rule: shared_options.FrequencyRule
    resample: shared_options.Resample
    distance: shared_options.Distance
    alpha_schedule: shared_options.AlphaSchedule
    alpha_head: shared_options.AlphaHead
    alpha_tail: shared_options.AlphaTail
    debias: bool = option(False, "take from the real |φ|² of n images the 1/n that their number alone gives it")
    borrow: Annotated[float, Field(ge=0, le=1)] = option(
        0.0, "how far a small class's real log|φ| moves to the mean of all classes: the whole way at 1 and one image"
    )
    mixture: Annotated[int, Field(ge=1)] = option(1, "kernels an octave of length apart, whose mean is the kernel")
    adaptive: bool = option(False, "scale times the median distance within each class, not that of all images")
    even_phase: bool = option(
        False,
        "scale every class's loss so that its phase weighs 1/2: α then says only how much amplitude stands beside",
    )
    raw: bool = option(False, "match the features as they are, not normalised to unit length")
    block: Annotated[int, Field(ge=0)] = option(
        0, "match the maps after this block of a convnet, averaged down to the size of the last; 0: the last block's"
    )


class Csdm(MatchingMethod):
    """Σ_c E_ω[α_c·amplitude + (1 − α_c)·phase] between characteristic functions of normalised features.

    Kernels without a spectral measure stand beside it for comparison and have no α: linear and cosine
    compare the means of the normalised features, polynomial and sigmoid are quadratic-time MMDs.

    ``debias`` and ``borrow`` (not in the paper) revise the real φ_c of classes with few images, in this order: see
    :mod:`csdm_cli.spectral.estimates`. With ``adaptive`` ω counts in units of each class's own length, so that what
    a class then borrows is spread relative to its own.

    Near the start amplitude is a small part of the loss, so that α is foremost a class weight 1 - α, which decides
    what calibration means to the class. ``even_phase`` takes it out: Σ_c E_ω[α_c/(1 - α_c)·amplitude + phase]/2, which
    at α = ½ is the loss itself.

    ``raw`` leaves the features and the median distance that the scale counts in as long as the networks make them.
    """

    Parameters = CsdmParameters
    default_calibration: ClassVar[float] = 0.01
    summary = "class-aware spectral distribution matching"
    source = "arXiv 2603.01698"
    cost = "one forward and backward of the synthetic images per step (bank)"
    parameters: CsdmParameters

    def __init__(self, parameters: CsdmParameters) -> None:
        """Raises: UsageError if the kernel cannot have this shape, or a kernel of a mixture has no frequency."""
        super().__init__(parameters)
        given = parameters.kernel_shape
        # the other kernels ignore it
        self.shape = DEFAULT_SHAPE.get(parameters.kernel, 1.5) if given is None else given
        with asked_by("--kernel-shape"):
            check_shape(parameters.kernel, self.shape)
        with asked_by("--frequency-rule"):
            check_rule(parameters.kernel, parameters.frequency_rule)
        if parameters.mixture > parameters.frequencies:
            asked = f"--option mixture={parameters.mixture}"
            raise UsageError(f"{asked} needs a frequency for each kernel: --frequencies is {parameters.frequencies}")
        self.pools_real = parameters.borrow > 0

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        """Settings of balanced runs, whose classes share one α; scale, frequencies and optimiser are not told."""
        alpha = {"alpha_head": 0.11, "alpha_tail": 0.11} if ipc == 1 else {"alpha_head": 0.7}
        return {"distill": {"iterations": 10_000, **alpha}}

    def request(self) -> Request:
        p = self.parameters
        if p.kernel in SHIFT_INVARIANT:
            measure = (p.kernel, self.shape, p.scale, p.frequencies, p.frequency_rule, p.resample)
            return Request(
                spectrum=Spectrum(*measure, mixture=p.mixture, adaptive=p.adaptive, raw=p.raw, block=p.block)
            )
        if p.kernel in MEANS_ONLY:
            return Request(unit_mean=True)
        return Request(features=True, length=True)

    def prepare(self, context: Context) -> None:
        """Raises: UsageError if the teachers have no such block."""
        p = self.parameters
        if context.pool and p.block:
            _require_block(context.pool, p.block)
        self._counts = context.counts
        self.alpha = alphas(context.counts, p.alpha_schedule, p.alpha_head, p.alpha_tail).to(
            context.device, context.dtype
        )

    def networks(self, shared: TeacherNetworks) -> TeacherNetworks:
        spectrum = self.request().spectrum
        if spectrum is None or spectrum.block == 0:
            return shared
        return WrappedTeacherNetworks(shared, partial(BlockNetwork, block=spectrum.block))

    def revise(self, statistics: ClassStatistics) -> ClassStatistics:
        p, transform = self.parameters, statistics.ecf
        if transform is None:
            return statistics
        if p.debias:
            transform = debiased(transform, statistics.counts or self._counts)
        if p.borrow:
            transform = borrowed(transform, self._counts, p.borrow)
        return replace(statistics, ecf=transform)

    @property
    def replayable(self) -> bool:
        return self.bankable

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        p = self.parameters
        spectrum = self.request().spectrum
        if spectrum is not None:
            assert batch.real.ecf is not None and batch.frequencies is not None
            sizes = [batch.per_class] * batch.classes
            seen = spectrum.seen(batch.features)  # (c·per_class, D)
            synthetic = ecf(batch.at_own_length(seen), batch.frequencies, sizes)  # (c, K)
            alpha = self.alpha[batch.first : batch.last]  # (c,), as the next
            distance = class_distance(batch.real.ecf, synthetic, alpha, root=p.distance is Distance.root)
            if p.even_phase:
                weight = 2 - 2 * alpha  # of the phase, beside ½
                distance = distance / (weight.sqrt() if p.distance is Distance.root else weight)
            return {"spectral": distance.sum()}
        features = normalize(batch.features)  # (c·per_class, D)
        if batch.real.unit_mean is not None:
            return {"mean": (batch.class_means(features) - batch.real.unit_mean).square().sum()}
        assert batch.real.features is not None
        real = [normalize(own) for own in batch.real.features]  # (n_c, D) each
        pairs = zip(real, features.split(batch.per_class), strict=True)
        distances = [biased_mmd2(one, own, p.kernel, p.scale * batch.real.length, self.shape) for one, own in pairs]
        return {"mmd": sum(distances[1:], start=distances[0])}

    def idle_options(self) -> frozenset[str]:
        p = self.parameters
        idle: set[str] = set()
        if p.kernel not in SHIFT_INVARIANT:
            idle |= {"frequencies", "frequency_rule", "resample", "distance"}
            idle |= {"alpha_schedule", "alpha_head", "alpha_tail"}
            idle |= {"debias", "borrow", "mixture", "adaptive", "even_phase", "raw", "block"}
        if p.kernel in MEANS_ONLY:
            idle |= {"scale"}
        if p.kernel not in DEFAULT_SHAPE:
            idle |= {"kernel_shape"}
        if p.alpha_schedule is AlphaSchedule.constant:
            idle |= {"alpha_tail"}
        return frozenset(idle)


def _require_block(pool: TeacherPool, block: int) -> None:
    """Raises: UsageError if the teachers have no such block."""
    blocks = pool.network(0).blocks
    if block > blocks:
        has = f"a {pool.spec.name} of {blocks} blocks" if blocks else f"{pool.spec.name}, which has no blocks"
        ask = f"ask for one up to {blocks}" if blocks else "look through a convnet"
        raise UsageError(f"--option block={block}: the teachers are {has}; {ask}, or leave the option out")
