"""The real-side bank: the statistics of every whole real class, computed once per view and kept.

After the bank is built a step touches no real image, so its cost does not depend on how many there are.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from csdm_cli.display.console import note, progress
from csdm_cli.distillation.real_side import (
    KernelLength,
    Revision,
    Target,
    ViewedNetwork,
    as_measured,
    class_statistics,
    draw_frequencies,
    measure_length,
)
from csdm_cli.errors import CsdmError
from csdm_cli.images.image_set import ImageSet
from csdm_cli.methods.statistics import ClassStatistics, Request
from csdm_cli.parallel.shared_work import do_unclaimed
from csdm_cli.spectral.characteristic import Ecf
from csdm_cli.storage import tensorfile
from csdm_cli.storage.keys import content_key, source_hash
from csdm_cli.storage.lru import LruCache
from csdm_cli.storage.rooms import BANK
from csdm_cli.teachers.networks import TeacherNetworks
from csdm_cli.teachers.views import PooledViews, View

# Bytes of statistics, and as many of frequencies, kept in memory; the least recently used are read or drawn again.
MEMORY = 2 * 2**30
SUMMARY = "summary."
CHECKED_ROWS = 64  # of frequencies at once, for their checksum's copies are wider than they are


@dataclass(frozen=True)
class BankPlan:
    """Everything the numbers in a bank depend on."""

    data: str
    normalisation: tuple[tuple[float, ...], tuple[float, ...]]
    teachers: str
    views: dict[str, Any]
    request: Request
    device: str
    dtype: str
    numerics: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Changes with any of it, and with the code."""
        described = asdict(self) | {"request": self.request.described()}
        return content_key(described | {"torch": torch.__version__, "source": source_hash(*BANK)})


class BankedRealSide:
    """Looks whose real statistics come from the bank, revised. Holds no real image."""

    def __init__(
        self,
        folder: Path,
        views: PooledViews,
        request: Request,
        networks: TeacherNetworks,
        dtype: torch.dtype,
        revise: Revision = as_measured,
    ) -> None:
        self._folder, self._views, self._request = folder, views, request
        self._networks, self._dtype, self._revise = networks, dtype, revise
        self._statistics = LruCache[ClassStatistics](MEMORY)
        self._frequencies = LruCache[Tensor](MEMORY)
        self._checksums: dict[int, int] = {}  # of the entries read so far
        self._drawn: set[int] = set()

    @property
    def views(self) -> int:
        """How many there are, which come in turn."""
        return len(self._views.views)

    def at(self, step: int) -> Target:
        """The view of ``step``, its statistics and its frequencies, drawn again from their seed."""
        view = self._views.at(step)
        statistics = self._statistics.get(view.index, lambda: self._read(view), _bytes_of)
        if self._request.spectrum is None:
            return Target(view, statistics, None)
        frequencies = self._frequencies.get(
            view.index, lambda: self._draw(view, statistics.length), lambda drawn: drawn.nbytes
        )
        return Target(view, statistics, frequencies)

    def _read(self, view: View) -> ClassStatistics:
        device = next(self._networks.at(view.teacher, view.stage).parameters()).device
        first = view.index not in self._checksums
        try:
            tensors, header = _load(entry_path(self._folder, view), verify=first)
        except CsdmError as error:
            raise CsdmError(f"{error}; run the same command again, which builds it anew") from error
        self._checksums.setdefault(view.index, header["checksum"])
        tensors = {name: tensor.to(device) for name, tensor in tensors.items()}
        ecf = Ecf(tensors["re"], tensors["im"]) if "re" in tensors else None
        own = {name.removeprefix(SUMMARY): value for name, value in tensors.items() if name.startswith(SUMMARY)}
        measured = ClassStatistics(
            tensors.get("mean"),
            tensors.get("unit_mean"),
            ecf,
            own,
            length=header["length"],
            stretch=tensors.get("stretch"),
        )
        return self._revise(measured)

    def _draw(self, view: View, length: float) -> Tensor:
        network = self._networks.at(view.teacher, view.stage)
        device = next(network.parameters()).device
        frequencies = draw_frequencies(self._request.spectrum, network, view, length, device, self._dtype)
        assert frequencies is not None
        if view.index not in self._drawn and checksum(frequencies) != self._checksums[view.index]:
            path = entry_path(self._folder, view)
            path.unlink(missing_ok=True)
            raise CsdmError(
                f"{path} was built with other frequencies than this machine draws, and is dropped: run the same command"
                " again, which builds it anew"
            )
        self._drawn.add(view.index)
        return frequencies


def _bytes_of(statistics: ClassStatistics) -> int:
    own = [statistics.mean, statistics.unit_mean, statistics.stretch, *statistics.summaries.values()]
    own += [statistics.ecf.re, statistics.ecf.im] if statistics.ecf else []
    return sum(tensor.nbytes for tensor in own if tensor is not None)


def build_bank(
    folder: Path,
    data: ImageSet,
    views: PooledViews,
    steps: int,
    request: Request,
    networks: TeacherNetworks,
    dtype: torch.dtype,
    *,
    quiet: bool = False,
) -> None:
    """Fill ``folder`` with the views that ``steps`` steps visit: one pass over the real set for each.

    Entries already there are kept, so an interrupted build goes on where it stopped; damaged ones are built
    again. Processes that build the same bank share the work.
    """
    needed = {view.index: view for view in (views.at(step) for step in range(min(steps, len(views.views))))}
    missing = [view for _, view in sorted(needed.items()) if not _whole(entry_path(folder, view))]
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    lengths: dict[object, KernelLength] = {}
    done = itertools.count(1)
    with progress("real-side bank", len(missing), quiet=quiet) as task:

        def build(view: View) -> None:
            if not _whole(entry_path(folder, view)):  # another process may have built it meanwhile
                network, stage = networks.at(view.teacher, view.stage), (view.teacher, view.stage)
                if stage not in lengths:
                    lengths[stage] = measure_length(network, data, request, dtype)
                viewed = ViewedNetwork(network, view, networks.channels, None, lengths[stage].stretch)
                _build_entry(folder, data, viewed, request, lengths[stage].pooled, dtype)
            task.update(next(done))

        do_unclaimed(missing, lambda view: [folder / f"lock-{view.index:04d}"], build)


def entry_path(folder: Path, view: View) -> Path:
    """The file that holds a view's statistics."""
    return folder / f"view-{view.index:04d}.safetensors"


def checksum(frequencies: Tensor) -> int:
    """A fast fingerprint of the frequencies' bits, compared when they are drawn again."""
    words = frequencies.contiguous().view(torch.int32)
    rows = torch.cat([part.sum(1, dtype=torch.int64) for part in words.split(CHECKED_ROWS)])
    return int((rows * (torch.arange(len(rows), device=rows.device) % 65521 + 1)).sum())


def _load(path: Path, *, verify: bool = True) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header of an entry.

    Raises:
        CsdmError: if it is missing or damaged, or its header is none of an entry's.
    """
    tensors, header = tensorfile.load(path, verify=verify)
    length = header.get("length")
    if type(header.get("checksum")) is not int or not isinstance(length, float | int) or not math.isfinite(length):
        raise CsdmError(f"{path} is damaged: it does not tell its length and checksum")
    return tensors, header


def _whole(path: Path) -> bool:
    """Whether an entry is there and undamaged."""
    try:
        _load(path)
    except CsdmError as error:
        if path.exists():
            note(f"warning: {error}; it is built again")
        return False
    return True


def _build_entry(
    folder: Path, data: ImageSet, viewed: ViewedNetwork, request: Request, length: float, dtype: torch.dtype
) -> None:
    frequencies = draw_frequencies(request.spectrum, viewed.network, viewed.view, length, data.images.device, dtype)
    whole = [data.of_class(label) for label in range(data.classes)]
    statistics = class_statistics(replace(viewed, frequencies=frequencies), data, whole, request, dtype)
    tensors = {"mean": statistics.mean, "unit_mean": statistics.unit_mean, "stretch": statistics.stretch}
    if statistics.ecf is not None:
        tensors |= {"re": statistics.ecf.re, "im": statistics.ecf.im}
    tensors |= {SUMMARY + name: value for name, value in statistics.summaries.items()}
    header = {"length": length, "checksum": 0 if frequencies is None else checksum(frequencies)}
    tensorfile.save(entry_path(folder, viewed.view), {k: v for k, v in tensors.items() if v is not None}, header)
