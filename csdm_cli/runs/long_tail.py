"""A long-tailed set found or made, from settings to a folder."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from csdm_cli.data.build import build_longtail, open_source, settled
from csdm_cli.data.sources import holds_images
from csdm_cli.data.sources.raw import RawDataset
from csdm_cli.data.sources.vision import will_download
from csdm_cli.data.store import (
    DATA_ROOT,
    FILES,
    MANIFEST_FILE,
    LongTail,
    newest_longtail,
    open_longtail,
)
from csdm_cli.display.console import note
from csdm_cli.errors import CsdmError
from csdm_cli.names import ClassOrder, ImbalanceProfile, Source, Split
from csdm_cli.safe_text import shown
from csdm_cli.settings import sections
from csdm_cli.storage import kinds, outputs, places
from csdm_cli.storage.keys import content_key

# The mark of ``artifacts/file.py``, on which no long-tailed set depends.
DISTILLED = kinds.tensors("csdm distilled set")


@dataclass(frozen=True)
class MadeLongTail:
    """A long-tailed set and what became of the folder.

    Attributes:
        replaced: whether it held other images, which are gone.
    """

    longtail: LongTail
    replaced: bool


@dataclass(frozen=True)
class Plan:
    """The set that is to be made: settings that nothing is left open in, and where it goes.

    Attributes:
        raw: the source, if it had to be opened to tell what its classes are like.
    """

    settings: sections.MakeLt
    folder: Path
    raw: RawDataset | None


def plan(settings: sections.MakeLt, out: Path | None = None, *, quiet: bool = False) -> Plan:
    """The plan that ``settings`` come to, for ``out`` or the folder in ``data/`` that is named for them.

    Raises:
        UsageError, CsdmError: if the source has to be opened and cannot, or ``out`` holds what csdm did not write.
    """
    if out is not None:
        outputs.claim_folder(out, FILES)
    raw = None
    if settings.dataset is not Source.folder and not settings.asks_for_a_tail:
        cache = places.cache_dir("datasets")
        _tell_of_download(settings, quiet=quiet)
        raw = open_source(settings, cache)
        before, settings = settings, settled(settings, raw)
        if settings is not before:
            counts = raw.train.counts(raw.classes)
            note(
                f"the classes of {settings.dataset} differ in size ({max(counts):,} to {min(counts):,} images): all"
                " are kept (--profile as-is); --imbalance or --n-max draws a tail",
                quiet=quiet,
            )
    return Plan(settings, out or default_folder(settings), raw)


def make(planned: Plan, *, quiet: bool = False) -> MadeLongTail:
    """Write the set that is planned.

    Raises:
        UsageError, CsdmError: if it cannot be made, or would replace what csdm did not write.
    """
    folder, settings = planned.folder, planned.settings
    outputs.claim_folder(folder, FILES)
    before = _fingerprints(folder)
    if planned.raw is None:
        _tell_of_download(settings, quiet=quiet)
    cache, tell = places.cache_dir("datasets"), partial(note, quiet=quiet)
    longtail = build_longtail(settings, folder, cache, tell, planned.raw)
    return MadeLongTail(longtail, before not in (None, longtail.manifest.fingerprints))


def find_or_make(settings: sections.MakeLt, *, quiet: bool = False) -> LongTail:
    """The set in ``data/`` that is named for ``settings``, made if it is missing.

    A folder of images that ``settings`` name is looked at again: another one, other files in it, or files changed since
    the set was made, make another set.

    Raises:
        UsageError, CsdmError: if it cannot be made.
    """
    for folder in _possible_folders(settings):
        with suppress(CsdmError):
            made = open_longtail(folder)
            if _is_of(made, settings):
                return made
    planned = plan(settings, quiet=quiet)
    note(f"making {planned.folder}", quiet=quiet)
    return make(planned, quiet=quiet).longtail


def _is_of(made: LongTail, settings: sections.MakeLt) -> bool:
    """Whether a set is of the images that ``settings`` name, as far as they are there: a known dataset's may be gone.

    Raises:
        CsdmError: if a folder of one's own cannot be read.
    """
    if settings.data_dir is None:
        return True
    try:
        source = open_source(settings, places.cache_dir("datasets"))
    except CsdmError:
        if settings.dataset is Source.folder:
            raise
        return True
    made_at = (made.folder / MANIFEST_FILE).stat().st_mtime
    return made.manifest.source_fingerprint == source.fingerprint and source.modified <= made_at


def given_or_newest(data: Path | None, *, quiet: bool = False) -> LongTail:
    """The long-tailed set in ``data``, or made on the way of the images in it; without ``data`` the newest there is.

    Raises:
        UsageError, CsdmError: if there is none, and none can be made.
    """
    return newest_longtail() if data is None else given(data, quiet=quiet)


def given(data: Path, *, quiet: bool = False) -> LongTail:
    """The long-tailed set in ``data``, or made on the way of the images in it.

    Raises:
        UsageError, CsdmError: if it is neither, such as a distilled set, or none can be made.
    """
    made = (data / MANIFEST_FILE).exists()
    if not made and any(map(DISTILLED.wrote, [data, *data.glob("*.safetensors")])):
        wanted = "name the folder that it was distilled from, made by csdm make-lt or of your own images"
        raise CsdmError(f"{shown(data)} is a distilled set: {wanted}")
    if holds_images(data) and not made:
        return find_or_make(sections.MakeLt(dataset=Source.folder, data_dir=data), quiet=quiet)
    return open_longtail(data)


def default_folder(settings: sections.MakeLt) -> Path:
    """``data/cifar10-lt200`` and the like; whatever is not the default is part of the name."""
    name = settings.dataset.value
    if settings.dataset is Source.folder and settings.data_dir is not None:
        name = settings.data_dir.resolve().stem if settings.data_dir.is_file() else settings.data_dir.resolve().name
    short = {ImbalanceProfile.exponential: "lt", ImbalanceProfile.explicit: f"counts{content_key(settings.counts)[:6]}"}
    tail = short.get(settings.profile, settings.profile.value)
    if settings.profile.falls:
        tail += f"{settings.imbalance:g}"
    parts = [name, tail]
    parts += [f"n{settings.n_max}"] if settings.n_max else []
    parts += [f"dev{settings.dev}"] if settings.dev else []
    parts += [f"size{settings.size}"] if settings.size else []
    parts += [settings.split.value] if settings.split is not Split.random else []
    parts += [settings.class_order.value] if settings.class_order is not ClassOrder.natural else []
    parts += [f"test{settings.test_share:g}"] if settings.test_share else []
    parts += [f"test{settings.test_per_class}each"] if settings.test_per_class else []
    parts += [f"read{content_key(settings.reading)[:6]}"] if settings.reading else []
    parts += [f"seed{settings.seed}"] if settings.seed else []
    return DATA_ROOT / "-".join(parts)


def _possible_folders(settings: sections.MakeLt) -> list[Path]:
    """Where the set may be already; which of two it is, only the source tells, which may not be here any more."""
    if settings.asks_for_a_tail or settings.dataset is Source.folder:
        return [default_folder(settings)]
    kept = settings.model_copy(update={"profile": ImbalanceProfile.as_is})
    return [default_folder(kept), default_folder(settings)]


def _tell_of_download(settings: sections.MakeLt, *, quiet: bool) -> None:
    cache = places.cache_dir("datasets")
    if will_download(settings.dataset, settings.data_dir, cache):
        note(f"downloading {settings.dataset} to {cache}, once", quiet=quiet)


def _fingerprints(folder: Path) -> dict[str, str] | None:
    """Hashes of the set that ``folder`` holds before it is written; None if it holds none."""
    try:
        return open_longtail(folder).manifest.fingerprints
    except CsdmError:
        return None
