"""Distilled sets in the formats of other tools.

Every format but our own gets the *decoded* images (factor² per stored one, at the networks' input size), since other
tools know nothing of multi-formation.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from csdm_cli.artifacts.ddranking import torch_bytes, write_ddranking
from csdm_cli.artifacts.distilled import Distilled
from csdm_cli.artifacts.file import FILE_NAME, save_distilled
from csdm_cli.artifacts.huggingface import write_huggingface
from csdm_cli.artifacts.stored_evaluation import StoredEvaluation
from csdm_cli.display.png import png
from csdm_cli.errors import UsageError
from csdm_cli.images.initial import to_uint8
from csdm_cli.names import ExportFormat
from csdm_cli.safe_text import file_name
from csdm_cli.storage import kinds, outputs

FOLDER_FORMATS = frozenset(
    {ExportFormat.imagefolder, ExportFormat.ddranking, ExportFormat.huggingface, ExportFormat.csdm}
)
FILE_FORMATS = {ExportFormat.npz: kinds.NPZ, ExportFormat.pt: kinds.PT}


@dataclass(frozen=True)
class Exported:
    """The place of an export, and what its user should know (one line each)."""

    path: Path
    notes: tuple[str, ...]


def export(distilled: Distilled, to: ExportFormat, out: Path, evaluation: StoredEvaluation | None = None) -> Exported:
    """Write a set for another tool.

    Args:
        distilled: the set.
        to: ``imagefolder`` (a folder of PNGs per class), ``npz`` or ``pt`` (float32 images in [0, 1],
            labels, soft labels, mean, std, class names), ``ddranking`` (see ``ddranking.py``), ``huggingface``
            (see ``huggingface.py``), ``csdm`` (the set as it is, of use after a selection of classes).
        out: the file, or the new folder. A folder given for a file format receives ``distilled.npz`` or
            ``distilled.pt``.
        evaluation: the students' scores on this very set, for the card of ``huggingface``; None if they are unknown.

    Raises:
        UsageError, CsdmError: if ``out`` is not free, see :func:`claim_export`, or the format cannot take this set.
    """
    if to in FOLDER_FORMATS:
        claim_export(to, out)
        with outputs.replaced_folder(out, {}) as folder:
            return Exported(out, _write_folder(distilled, to, folder, evaluation))
    out = _file_in(out, to)
    claim_export(to, out)
    data = _npz(distilled) if to is ExportFormat.npz else _pt(distilled)
    outputs.write_bytes(out, kinds.signed_zip(data), FILE_FORMATS[to])
    return Exported(out, (f"images are decoded float32 in [0, 1]; {_value_note(distilled)}",))


def _write_folder(
    distilled: Distilled, to: ExportFormat, folder: Path, evaluation: StoredEvaluation | None
) -> tuple[str, ...]:
    """Fill ``folder``; returns what is to be said of it."""
    if to is ExportFormat.imagefolder:
        return _write_imagefolder(distilled, folder)
    if to is ExportFormat.huggingface:
        return write_huggingface(distilled, folder, evaluation)
    if to is ExportFormat.csdm:
        save_distilled(folder / FILE_NAME, distilled)
        return ("a set of csdm: show, evaluate and merge take it",)
    return write_ddranking(distilled, folder)


def claim_export(to: ExportFormat, out: Path) -> None:
    """Check that an export can go to ``out``.

    Raises:
        UsageError: if ``out`` is a folder that holds something and would be replaced, or a file of another suffix.
        CsdmError: if a file is there that is no older export in the same format, or ``out`` cannot be written.
    """
    if to in FOLDER_FORMATS:
        if out.exists() and not (out.is_dir() and not any(out.iterdir())):
            raise UsageError(f"{out} exists: name a new folder for --to {to}, so that nothing is overwritten")
        outputs.claim_folder(out, {})
    else:
        outputs.claim_file(_file_in(out, to), FILE_FORMATS[to])


def _file_in(out: Path, to: ExportFormat) -> Path:
    return out / f"distilled.{to}" if out.is_dir() else out


def folder_names(class_names: tuple[str, ...]) -> tuple[str, ...]:
    """One folder per class, such that alphabetical order (which tools number classes by) is label order.

    The class names themselves where they allow it, else with the label in front: ``03_cat``.
    """
    plain = tuple(map(file_name, class_names))
    folded = [name.casefold() for name in plain]  # some file systems do not tell capitals apart
    usable = all(name.strip("_") for name in plain) and len(set(folded)) == len(plain)
    if usable and list(plain) == sorted(plain):
        return plain
    digits = len(str(len(plain) - 1))
    return tuple(f"{label:0{digits}}_{name}" for label, name in enumerate(plain))


def _write_imagefolder(distilled: Distilled, folder: Path) -> tuple[str, ...]:
    names = folder_names(distilled.dataset.class_names)
    for name in names:
        (folder / name).mkdir()
    images = to_uint8(distilled.decoded())
    if images.shape[1] not in (1, 3):
        raise UsageError(f"--to imagefolder takes 1 or 3 channels, the set has {images.shape[1]}: use --to npz")
    digits = len(str(len(images) - 1))
    for index, (image, label) in enumerate(zip(images, distilled.decoded_labels().tolist(), strict=True)):
        (folder / names[label] / f"{index:0{digits}}.png").write_bytes(png(image))
    notes = ["images are decoded and rounded to 8 bits"]
    if names != distilled.dataset.class_names:
        notes.append("folders are numbered, so that their alphabetical order is the label order")
    if distilled.soft_labels is not None:
        notes.append("soft labels do not fit into an image folder and were left out: use --to npz or pt")
    return tuple(notes)


def _arrays(distilled: Distilled) -> dict[str, Tensor]:
    arrays = {
        "images": distilled.decoded().contiguous(),
        "labels": distilled.decoded_labels(),
        "mean": torch.tensor(distilled.dataset.mean, dtype=torch.float64),
        "std": torch.tensor(distilled.dataset.std, dtype=torch.float64),
    }
    if distilled.soft_labels is not None:
        arrays["soft_labels"] = distilled.soft_labels.probabilities.float()
    return arrays


def _npz(distilled: Distilled) -> bytes:
    arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in _arrays(distilled).items()}
    arrays["class_names"] = np.array(distilled.dataset.class_names)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _pt(distilled: Distilled) -> bytes:
    return torch_bytes({**_arrays(distilled), "class_names": list(distilled.dataset.class_names)})


def _value_note(distilled: Distilled) -> str:
    low, high = distilled.value_range
    if (low, high) != (0, 1):
        return f"this set's pixels range from {low:.3g} to {high:.3g}"
    return "normalise them with the mean and std inside"
