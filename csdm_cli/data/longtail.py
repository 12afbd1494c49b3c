"""The numbers of images that classes keep, and the choice of them.

The exponential profile is the field's ``n_c = int(n_max * β^(-c/(C-1)))`` (Cui et al. 2019, "Class-balanced
loss", as Cao et al. 2019 apply it to CIFAR): truncation toward zero, head first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from csdm_cli import seeds
from csdm_cli.errors import UsageError
from csdm_cli.names import ImbalanceProfile, Split

# Classes that differ by less count as equal: scikit-learn's digits (122 to 116 images), imagenette (993 to 858).
UNEQUAL = 1.5

# ichbill/LTDD draws every class's positions with a new NumPy generator of this seed.
LTDD_SEED = 42


def class_counts(
    profile: str, classes: int, n_max: int, imbalance: float, counts: Sequence[int] | None = None
) -> tuple[int, ...]:
    """Images per class, from head to tail (explicit counts: as given).

    Args:
        profile: a name of :class:`csdm_cli.names.ImbalanceProfile`. ``step``: the first ``C // 2`` classes have
            ``n_max`` images, the others ``n_max / β``. ``pareto``: the rank-size law of a Pareto distribution,
            ``n_max * (c + 1)^(-s)`` with s such that the last class has ``n_max / β``.
        classes: number of classes C, at least 2.
        n_max: images of the largest class; not used by ``explicit``.
        imbalance: β, the head's size over the tail's, at least 1; not used by ``explicit`` and ``balanced``.
        counts: the images per class of ``explicit``.

    Raises:
        UsageError: one class, β < 1, explicit counts of the wrong length, counts without ``explicit``, or a class
            that would be left without an image.
    """
    if classes < 2:
        raise UsageError(f"a long tail needs at least 2 classes, the dataset has {classes}")
    if profile != ImbalanceProfile.explicit and counts is not None:
        raise UsageError(f"counts belong to --profile explicit, but the profile is {profile}: drop one of them")
    if not (math.isfinite(imbalance) and imbalance >= 1):
        raise UsageError(f"imbalance is {imbalance:g}: it is head size / tail size, a number of at least 1")
    if n_max < 1:
        raise UsageError(f"n_max is {n_max}: the largest class needs at least 1 image")
    if profile == ImbalanceProfile.explicit:
        sizes = _explicit(classes, counts)
    elif profile == ImbalanceProfile.balanced:
        sizes = (n_max,) * classes
    else:
        sizes = tuple(_truncate(n_max * share) for share in _shares(profile, classes, imbalance))
    _refuse_empty(sizes, profile, n_max, imbalance)
    return sizes


def as_is(available: Sequence[int]) -> tuple[int, ...]:
    """Every image each class has.

    Raises:
        UsageError: if there is one class only.
    """
    if len(available) < 2:
        raise UsageError(f"a long tail needs at least 2 classes, the dataset has {len(available)}")
    return tuple(available)


def is_long_tailed(available: Sequence[int]) -> bool:
    """Whether the classes differ in size by themselves: the largest is :data:`UNEQUAL` times the smallest or more."""
    return max(available) >= UNEQUAL * min(available)


def shuffled(counts: Sequence[int], seed: int) -> tuple[int, ...]:
    """The same counts handed to the classes in an order drawn by ``seed``; labels stay what they are."""
    order = torch.randperm(len(counts), generator=seeds.generator(seed, "class-order"))
    return tuple(counts[rank] for rank in order.tolist())


def select(split: str, available: Sequence[int], wanted: Sequence[int], seed: int) -> list[Tensor]:
    """Which images each class keeps: positions within the class, in the order in which they were drawn.

    ``random`` draws each class by its own generator; ``ltdd`` repeats the draw of ichbill/LTDD, the same
    positions for all classes of a size. Both are nested: a smaller count keeps the first of a larger one's.

    Args:
        split: a name of :class:`csdm_cli.names.Split`.
        available: images each class has.
        wanted: images each class keeps.
        seed: seed of ``random``; ``ltdd`` has its own.

    Returns:
        One int64 tensor of ``wanted[c]`` positions per class.

    Raises:
        UsageError: if a class has fewer images than it should keep.
    """
    refuse_too_many(available, wanted)
    if split == Split.ltdd:
        return [_ltdd_positions(have, want) for have, want in zip(available, wanted, strict=True)]
    return [
        torch.randperm(have, generator=seeds.generator(seed, "selection", label))[:want]
        for label, (have, want) in enumerate(zip(available, wanted, strict=True))
    ]


def refuse_too_many(available: Sequence[int], wanted: Sequence[int], names: Sequence[str] | None = None) -> None:
    """Raise UsageError if a class should keep more images than it has."""
    for label, (have, want) in enumerate(zip(available, wanted, strict=True)):
        if want > have:
            name = names[label] if names else str(label)
            raise UsageError(
                f"class {name} should keep {want} images but has {have}: lower n_max, the counts or the dev reserve"
            )


def _explicit(classes: int, counts: Sequence[int] | None) -> tuple[int, ...]:
    if counts is None:
        raise UsageError(f"--profile explicit needs counts: {classes} numbers, one per class")
    if len(counts) != classes:
        raise UsageError(f"{len(counts)} counts given for {classes} classes: give one per class")
    return tuple(int(count) for count in counts)


def _shares(profile: str, classes: int, imbalance: float) -> list[float]:
    """Each class's size as a share of the head's."""
    if profile == ImbalanceProfile.exponential:
        return [imbalance ** (-label / (classes - 1)) for label in range(classes)]
    if profile == ImbalanceProfile.step:
        return [1.0 if label < classes // 2 else 1 / imbalance for label in range(classes)]
    if profile == ImbalanceProfile.pareto:
        exponent = math.log(imbalance) / math.log(classes)
        return [(label + 1) ** -exponent for label in range(classes)]
    raise UsageError(f"no profile is called {profile!r}; there are {', '.join(ImbalanceProfile)}")


def _truncate(value: float) -> int:
    """Toward zero, but a whole number stays whole when floating point falls just short of it."""
    nearest = round(value)
    return nearest if math.isclose(value, nearest, rel_tol=1e-12, abs_tol=1e-9) else int(value)


def _refuse_empty(sizes: Sequence[int], profile: str, n_max: int, imbalance: float) -> None:
    for label, size in enumerate(sizes):
        if size < 1:
            what = f"class {label} would keep {size} images, but every class needs at least 1"
            if profile == ImbalanceProfile.explicit:
                raise UsageError(what)
            raise UsageError(f"{what}: n_max is {n_max} and imbalance {imbalance:g}, raise the one or lower the other")


def _ltdd_positions(have: int, want: int) -> Tensor:
    import numpy as np

    # The legacy generator is the point: only it gives LTDD's positions.
    chosen = np.random.RandomState(LTDD_SEED).choice(have, want, replace=False)
    return torch.from_numpy(chosen.astype(np.int64))
