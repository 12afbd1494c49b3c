"""The whole of ``csdm make-lt``: from a source to a long-tailed set on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from csdm_cli import __version__
from csdm_cli.data import longtail, sources
from csdm_cli.data.reserve import reserve
from csdm_cli.data.sources.raw import RawDataset, RawSplit
from csdm_cli.data.sources.reading import Reading
from csdm_cli.data.sources.room import refuse_without_room
from csdm_cli.data.split_off import Share, split_off
from csdm_cli.data.store import FILES, LongTail, Manifest, write_longtail
from csdm_cli.errors import UsageError
from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.normalisation import Statistics, statistics_for
from csdm_cli.names import ClassOrder, ImbalanceProfile, Source, Split
from csdm_cli.safe_text import counted, shown, typed
from csdm_cli.settings.fields import colour
from csdm_cli.storage import outputs

if TYPE_CHECKING:
    from csdm_cli.settings.sections import MakeLt

# Where torchvision's file order is the one LTDD selected from.
LTDD_DATASETS = (Source.cifar10, Source.cifar100)
DARK = 64  # of 255: a set without a brighter pixel is likely a mistake


@dataclass(frozen=True)
class Choice:
    """Which images of the source's training set are used, and how.

    Attributes:
        n_max: images of the largest class.
        counts: training images per class.
        selected, reserved: per class, positions in the source's training set, for training and development.
        unused: images that stay out of both because others of their group are in the development set.
    """

    n_max: int
    counts: tuple[int, ...]
    selected: tuple[Tensor, ...]
    reserved: tuple[Tensor, ...]
    unused: int


def build_longtail(
    settings: MakeLt,
    out: Path,
    cache: Path,
    tell: Callable[[str], None] = lambda remark: None,
    raw: RawDataset | None = None,
) -> LongTail:
    """Make the long-tailed set that ``settings`` describe in the folder ``out``, whole or not at all.

    Args:
        settings: the ``make_lt`` section.
        out: folder of the set; an older set there is replaced, anything else is left and refused.
        cache: folder for downloads.
        tell: is handed remarks on how the source was read, a line each.
        raw: the source, where it is open already.

    Raises:
        UsageError: if the settings ask for what the dataset cannot give.
        CsdmError: if the source cannot be read or the folder not be written.
    """
    _refuse_reserve_under_ltdd(settings)
    outputs.claim_folder(out, FILES)
    raw = raw or open_source(settings, cache)
    settings = settled(settings, raw)
    for remark in raw.remarks:
        tell(remark)
    assert raw.test is not None
    choice = choose(settings, raw)
    if choice.unused:
        tell(f"{counted(choice.unused, 'image')} of the development set's groups stay out of both sets")
    kept = sum(map(len, (*choice.selected, *choice.reserved))) + sum(raw.test.counts(raw.classes))
    refuse_without_room((kept, raw.channels, raw.size, raw.size))
    images = raw.train.read(torch.cat(choice.selected).tolist())
    if (brightest := int(images.max())) < DARK:
        tell(
            f"warning: the brightest pixel of all training images is {brightest} of 255; if they have 16 bits a pixel,"
            " of which the upper 8 are read, scale them to 0 to 65,535"
        )
    statistics = statistics_for(settings.dataset, images)
    train = _image_set(raw, images, choice.counts, statistics)
    dev = None
    if settings.dev:
        reserved = raw.train.read(torch.cat(choice.reserved).tolist())
        dev = _image_set(raw, reserved, (settings.dev,) * raw.classes, statistics)
    test = _whole(raw, raw.test, statistics)
    manifest = _manifest(settings, raw, choice, train, dev, test)
    return write_longtail(out, manifest, train, dev, test)


def open_source(settings: MakeLt, cache: Path) -> RawDataset:
    """The source that ``settings`` name, read as they say, with a test set: its own, or one split off.

    Raises:
        UsageError, CsdmError: as :mod:`csdm_cli.data.sources` and :mod:`csdm_cli.data.split_off` say.
    """
    raw = sources.load(settings.dataset, settings.data_dir, reading_of(settings), cache)
    asked = settings.test_share is not None or settings.test_per_class is not None
    if raw.test is not None:
        if asked:
            raise UsageError("the source has a test set of its own: leave --test-share and --test-per-class out")
        return raw
    if not asked:
        place = shown(settings.data_dir)
        raise UsageError(
            f"{place} has no test set: hold one out, with csdm make-lt {typed(place)} "
            "--test-share 0.2 or --test-per-class K, or name a list of its images with --test-list"
        )
    share = Share(settings.test_share, settings.test_per_class, settings.group_by, settings.seed)
    return split_off(raw, share)


def settled(settings: MakeLt, raw: RawDataset) -> MakeLt:
    """``settings`` that keep every image, where they ask for no tail and the source's classes differ in size."""
    counts = raw.train.counts(raw.classes)
    if settings.asks_for_a_tail or not longtail.is_long_tailed(counts):
        return settings
    return settings.model_copy(update={"profile": ImbalanceProfile.as_is})


def reading_of(settings: MakeLt) -> Reading:
    """How the source is read: people's own photographs upright, named datasets as the field reads them."""
    return Reading(
        size=settings.size,
        channels=settings.channels,
        background=colour(settings.background),
        upright=settings.dataset == Source.folder,
        classes=tuple(settings.classes or ()),
        image_column=settings.image_column,
        label_column=settings.label_column,
        train_list=settings.train_list,
        test_list=settings.test_list,
    )


def choose(settings: MakeLt, raw: RawDataset) -> Choice:
    """Reserve the development set, then draw the long tail from what remains.

    Raises:
        UsageError: as :mod:`csdm_cli.data.longtail` says, or if a class has too few images for both.
    """
    _refuse_reserve_under_ltdd(settings)
    apart = reserve(raw, settings.dev, settings.group_by, settings.seed)
    available = [len(positions) for positions in apart.remaining]
    counts = _counts(settings, available, raw.class_names)
    if settings.class_order == ClassOrder.shuffled:
        counts = longtail.shuffled(counts, settings.seed)
    longtail.refuse_too_many(available, counts, raw.class_names)
    within = longtail.select(settings.split, available, counts, settings.seed)
    selected = tuple(positions[chosen] for positions, chosen in zip(apart.remaining, within, strict=True))
    return Choice(max(counts), counts, selected, apart.reserved, apart.unused)


def _counts(settings: MakeLt, available: Sequence[int], names: Sequence[str]) -> tuple[int, ...]:
    """Images each class keeps, in label order before shuffling."""
    if settings.profile == ImbalanceProfile.as_is:
        return longtail.as_is(available)
    smallest = min(range(len(available)), key=available.__getitem__)
    n_max = settings.n_max or available[smallest]
    try:
        return longtail.class_counts(settings.profile, len(names), n_max, settings.imbalance, settings.counts)
    except UsageError as error:
        if settings.n_max or settings.counts:
            raise
        raise UsageError(
            f"{error} (n_max is what the smallest class has, {shown(names[smallest])!r}); "
            "--profile as-is keeps every image"
        ) from None


def _refuse_reserve_under_ltdd(settings: MakeLt) -> None:
    if settings.split != Split.ltdd:
        return
    if settings.dev:
        raise UsageError("--split ltdd selects from the whole training set: leave --dev out (0), or use --split random")
    if settings.class_order != ClassOrder.natural:
        raise UsageError("--split ltdd selects in natural class order: leave --class-order at natural")


def _image_set(raw: RawDataset, images: Tensor, counts: Sequence[int], statistics: Statistics) -> ImageSet:
    return ImageSet(images, tuple(counts), raw.class_names, statistics.mean, statistics.std)


def _whole(raw: RawDataset, split: RawSplit, statistics: Statistics) -> ImageSet:
    positions = torch.cat(split.by_class(raw.classes))
    return _image_set(raw, split.read(positions.tolist()), split.counts(raw.classes), statistics)


def _manifest(
    settings: MakeLt, raw: RawDataset, choice: Choice, train: ImageSet, dev: ImageSet | None, test: ImageSet
) -> Manifest:
    drawn_by_ratio = settings.profile in (ImbalanceProfile.exponential, ImbalanceProfile.step, ImbalanceProfile.pareto)
    split_off_here = settings.test_share is not None or settings.test_per_class is not None
    assert raw.test is not None
    sets = {"train": train, "test": test} | ({"dev": dev} if dev else {})
    return Manifest(
        dataset=str(settings.dataset),
        classes=raw.classes,
        class_names=raw.class_names,
        counts=choice.counts,
        test_counts=test.counts,
        dev_per_class=settings.dev,
        channels=raw.channels,
        size=raw.size,
        mean=train.mean,
        std=train.std,
        profile=str(settings.profile),
        imbalance=settings.imbalance if drawn_by_ratio else max(choice.counts) / min(choice.counts),
        n_max=choice.n_max,
        class_order=str(settings.class_order),
        split=str(settings.split),
        seed=settings.seed,
        jpeg=raw.jpeg,
        origin=raw.origin,
        source_fingerprint=raw.fingerprint,
        ltdd_images=_ltdd_images(settings, raw),
        fingerprints={name: images.fingerprint() for name, images in sets.items()},
        selected=_positions(choice.selected),
        reserved=_positions(choice.reserved),
        versions=_versions(),
        held_out=_positions(raw.test.by_class(raw.classes)) if split_off_here else (),
        read_as=settings.read_as,
    )


def _positions(per_class: Sequence[Tensor]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(positions.tolist()) for positions in per_class)


def _ltdd_images(settings: MakeLt, raw: RawDataset) -> bool | None:
    if settings.split != Split.ltdd:
        return None
    return raw.origin == "torchvision" and settings.dataset in LTDD_DATASETS


def _versions() -> dict[str, str]:
    """Versions of the libraries that decide the bytes: torch and NumPy (draws), Pillow (decoding and resizing)."""
    import numpy
    import PIL

    found = {"csdm": __version__, "torch": torch.__version__, "numpy": numpy.__version__, "pillow": PIL.__version__}
    return {name: str(version).partition("+")[0] for name, version in found.items()}  # "+cu130" decides nothing here
