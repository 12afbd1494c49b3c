"""From settings to the engine's objects: what distill, profile and the benchmarks set up alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

import torch
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError
from torch import Tensor

from csdm_cli import config
from csdm_cli.augment import parse_strategy
from csdm_cli.data.imageset import ImageSet
from csdm_cli.engine.balance import weight_of
from csdm_cli.engine.bank import BankedRealSide, BankPlan, build_bank
from csdm_cli.engine.initial import initial_images
from csdm_cli.engine.lens import Lens
from csdm_cli.engine.numerics import PLAIN, Numerics, tuned, tuned_for_any_number
from csdm_cli.engine.pixels import PixelPlan, Pixels
from csdm_cli.engine.ranks import ALONE, Ranks
from csdm_cli.engine.real_side import FreshRealSide, RealSide
from csdm_cli.engine.shares import Share, share_of
from csdm_cli.engine.sharing import shared_iteration
from csdm_cli.engine.step import Chunking, Formation, Matching, activation_bytes, batched_iteration, chunking
from csdm_cli.engine.teachers import TeacherPool
from csdm_cli.engine.textbook import textbook_iteration
from csdm_cli.engine.views import FreshViews, PooledViews, ViewPlan
from csdm_cli.errors import UsageError
from csdm_cli.methods import load, method_names
from csdm_cli.methods.contract import Context, Method, MethodClass, OptimisedMethod, parameter_names
from csdm_cli.methods.csdm import CsdmParameters
from csdm_cli.names import Engine
from csdm_cli.names import RealSide as RealSideName
from csdm_cli.regularisers.composite import regularised
from csdm_cli.seeds import derive_seed
from csdm_cli.values import is_number, ratio, refuse_loose_number

# Bytes of activations per chunk. On a CPU chunks that fit the cache are the fastest.
MEMORY_BUDGET = {"cpu": 256 * 2**20, "cuda": 8 * 2**30}
# A CPU takes the classes in at least as many chunks, so that as many processes can share them and add the same numbers
# in the same order as one does. Measured on two cores, ConvNet-3, 10 classes of 32x32: nothing lost at IPC 10, nor at
# IPC 1 with K=1,024; a step of IPC 1 with K=4,096 takes 77 instead of 67 ms.
LEAST_CHUNKS = 4
MOST_OF_OWN = 1e9  # the size of a method's own parameters
# Settings that are parameters of some methods, csdm foremost, and mean nothing to the others.
SHARED_PARAMETERS = frozenset(field.name for field in fields(CsdmParameters)) & set(config.Distill.model_fields)
# Settings that only optimised methods read.
OPTIMISED_ONLY = frozenset(
    {
        *(
            "initial",
            "iterations",
            "optimizer",
            "lr",
            "schedule",
            "weight_decay",
            "average",
            "calibration",
            "teacher_schedule",
        ),
        *("regularizer", "augment", "augment_mode", "real", "draws", "real_batch", "engine"),
    }
)


@dataclass(frozen=True)
class Assembly:
    """A distillation run, ready to iterate.

    Attributes:
        share: whose classes the pixels are, where several ranks share them; None for all.
    """

    method: OptimisedMethod
    formation: Formation
    pixels: Pixels
    lens: Lens
    real: RealSide
    matching: Matching
    iterate: Callable[[int], dict[str, Tensor]]
    share: Share | None = None

    @property
    def calibration(self) -> float:
        """The weight, whether it was given as such or as a ratio."""
        return self.matching.calibration


def make_method(settings: config.Distill, given: frozenset[str] = frozenset()) -> Method:
    """The method of ``settings`` with its own parameters.

    Raises:
        UsageError: if an option ``given`` on the command line has no effect on this method, or one of its own
            parameters is wrong.
    """
    cls = load(settings.method)
    method = cls(method_parameters(cls, settings))
    for name in sorted(given):
        if name in SHARED_PARAMETERS and name not in parameter_names(cls):
            owner = next(other for other in method_names() if name in parameter_names(load(other)))
            raise UsageError(f"{_option(name)} belongs to --method {owner}; {settings.method} does not read it")
        if name in OPTIMISED_ONLY and not isinstance(method, OptimisedMethod):
            raise UsageError(f"{_option(name)} has no effect on {settings.method}, which optimises nothing")
    for name in sorted((given | set(settings.option)) & method.idle_options()):
        asked = f"--option {name}" if name in settings.option else _option(name)
        raise UsageError(f"{asked} has no effect with the other options of {settings.method}")
    return regularised(method, settings.regularizer) if isinstance(method, OptimisedMethod) else method


def method_parameters(cls: MethodClass, settings: config.Distill) -> Any:
    """An instance of the method's ``Parameters``: from the settings of that name, and from ``settings.option``.

    Raises:
        UsageError: if ``option`` names a parameter that the method does not have, or gives it a wrong value.
    """
    names, shared = parameter_names(cls), set(type(settings).model_fields)
    own = sorted(names - shared)
    for name in settings.option:
        if name in names & shared:
            raise UsageError(f"--option {name}: this parameter of {settings.method} is the option {_option(name)}")
        if name not in own:
            close = get_close_matches(name, own, n=1)
            hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(own) or 'none'}"
            raise UsageError(f"--option {name}: {settings.method} has no such parameter; {hint}")
    values = {name: getattr(settings, name) for name in names & shared} | settings.option
    _refuse_loose_numbers(cls, settings)
    try:
        parameters = TypeAdapter(cls.Parameters).validate_python(values)
    except ValidationError as error:
        wrong = error.errors()[0]
        name = str(wrong["loc"][0])
        raise UsageError(f"--option {name}={settings.option.get(name)}: {wrong['msg'].lower()}") from None
    for name, given in settings.option.items():
        value = getattr(parameters, name)
        if isinstance(value, (int, float)) and not -MOST_OF_OWN <= value <= MOST_OF_OWN:
            raise UsageError(f"--option {name}={given}: expected a finite number of at most {MOST_OF_OWN:g}")
    return parameters


def _refuse_loose_numbers(cls: MethodClass, settings: config.Distill) -> None:
    hints = get_type_hints(cls.Parameters, include_extras=True)
    for name, value in settings.option.items():
        try:
            if is_number(hints[name]):
                refuse_loose_number(value)
        except PydanticCustomError as error:
            raise UsageError(f"--option {name}={value}: expected {error.message()}") from None


def settled(settings: config.Distill, method: Method) -> config.Distill:
    """``settings`` with the method's own choice wherever the user left it open.

    Raises:
        UsageError: if a bank is asked for that cannot be.
    """
    chosen: dict[str, Any] = {"labels": settings.labels or method.default_labels}
    if isinstance(method, OptimisedMethod):
        chosen["real"] = _real_side_of(settings, method)
        chosen["teacher_schedule"] = settings.teacher_schedule or method.default_schedule
        if settings.calibration is None:
            chosen["calibration"] = method.default_calibration
    return settings.model_copy(update=chosen)


def _real_side_of(settings: config.Distill, method: OptimisedMethod) -> RealSideName:
    """The real side asked for, or the cheapest one the method allows."""
    if settings.engine is Engine.textbook:
        if settings.real is RealSideName.bank:
            raise UsageError("--engine textbook reads fresh real minibatches; drop --real bank")
        if method.answers:
            raise UsageError(f"--engine textbook steps class by class; {settings.method} as chosen moves all at once")
        return RealSideName.fresh
    if settings.real is RealSideName.bank and not method.bankable:
        raise UsageError(f"--real bank: {settings.method} as chosen needs real images every step; use --real fresh")
    return settings.real or (RealSideName.bank if method.bankable else RealSideName.fresh)


def assemble(
    settings: config.Distill,
    method: OptimisedMethod,
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
    device, settings = data.images.device, settled(settings, method)
    formation = Formation(data.classes, settings.ipc, settings.factor, data.size, data.mean, data.std)
    seen = data if settings.real is RealSideName.fresh else None
    method.prepare(Context(data.counts, device, dtype, formation.per_class, settings.seed, pool, seen))
    bare = method.lens(Lens(pool, device, dtype, numerics.memory_format))
    lens = tuned(bare, numerics)
    per_image = activation_bytes(
        tuned(bare, numerics.eager).final(0), (data.channels, data.size, data.size), device, dtype
    )
    layout = _layout(formation, per_image, memory_budget, device)
    share = _share(ranks, formation, layout, device)
    seeing = tuned_for_any_number(bare, numerics)
    real = _real_side(settings, method, data, pool, seeing, cache, dtype, numerics, quiet, share)
    assert settings.calibration is not None
    matching = Matching(method, formation, lens, 0.0, layout)
    start = initial_images(data, settings.ipc, settings.factor, settings.initial, settings.seed, dtype)
    plan = PixelPlan(
        *(settings.optimizer, settings.lr, settings.schedule, settings.iterations),
        *(settings.average, settings.weight_decay),
    )
    if share is not None:
        start = start[share.first * settings.ipc : share.last * settings.ipc]
    pixels = Pixels(start.to(device), plan)
    matching.calibration = _calibration(settings, matching, real, pixels, kept)
    iterate: Callable[[int], dict[str, Tensor]] = partial(batched_iteration, pixels, matching, real)
    if share is not None:
        iterate = partial(shared_iteration, pixels, share, matching, real)
    if settings.engine is Engine.textbook:
        iterate = partial(textbook_iteration, pixels, method, formation, lens, real, matching.calibration)
    return Assembly(method, formation, pixels, lens, real, matching, iterate, share)


def _calibration(
    settings: config.Distill,
    matching: Matching,
    real: RealSide,
    pixels: Pixels,
    kept: Callable[[Callable[[], float]], float],
) -> float:
    """The weight that was given, or that the ratio asked for comes to with these pixels."""
    assert settings.calibration is not None
    asked = ratio(settings.calibration)
    if asked is None:
        return float(settings.calibration)
    return kept(lambda: weight_of(asked, matching, real, pixels.images, settings.iterations))


def _layout(formation: Formation, per_image: int, memory_budget: int | None, device: torch.device) -> Chunking:
    """Whole classes at a time, whatever the number of ranks."""
    layout = chunking(formation, per_image, memory_budget or MEMORY_BUDGET[device.type])
    if device.type != "cpu":
        return layout
    return replace(layout, classes=min(layout.classes, -(-formation.classes // LEAST_CHUNKS)))


def _share(ranks: Ranks, formation: Formation, layout: Chunking, device: torch.device) -> Share | None:
    """This rank's classes: whole chunks on a CPU, whose bits must not depend on the number of ranks."""
    if ranks.world == 1:
        return None
    unit = layout.classes if device.type == "cpu" else 1
    return share_of(ranks.rank, ranks.world, formation.classes, layout.classes, unit)


def _real_side(
    settings: config.Distill,
    method: OptimisedMethod,
    data: ImageSet,
    pool: TeacherPool,
    lens: Lens,
    cache: Path,
    dtype: torch.dtype,
    numerics: Numerics,
    quiet: bool,
    share: Share | None,
) -> RealSide:
    request = method.request()
    assert settings.teacher_schedule is not None
    plan = ViewPlan(
        teachers=len(lens),
        classes=data.classes,
        augment=parse_strategy(settings.augment),
        augment_mode=settings.augment_mode,
        schedule=settings.teacher_schedule,
        epochs=pool.epochs,
        seed=derive_seed(settings.seed, "views"),
        resample=request.spectrum is None or request.spectrum.resample,
    )
    if settings.real is RealSideName.fresh:
        own = None if share is None or method.pools_real else range(share.first, share.last)
        fresh, batch = FreshViews(plan), settings.real_batch
        return FreshRealSide(data, lens, fresh, request, batch, settings.seed, dtype, own, method.revise)
    views = PooledViews(plan, settings.draws)
    described: dict[str, Any] = asdict(plan) | {"draws": settings.draws}
    device = data.images.device.type
    bank = BankPlan(data.fingerprint(), pool.key, described, request, device, str(dtype), numerics.as_dict())
    folder = cache / "bank" / bank.key
    build_bank(folder, data, views, settings.iterations, request, lens, dtype, quiet=quiet)
    return BankedRealSide(folder, views, request, lens, dtype, method.revise)


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
