"""The conditions on a header and its tensors that come from a file, before anything is decoded from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from csdm_cli.parameterisations.decomposition import AXES, Decomposition
from csdm_cli.parameterisations.frequency import Frequency
from csdm_cli.parameterisations.parameterisation import Leaves, Shape

MOST = 10**6  # of images, tensors and kernels
# A small file must not ask for all memory: so many decoded numbers are free, and so many for each stored one beyond.
FREE_NUMBERS, GAIN = 2**27, 64

Layout = dict[str, tuple[torch.dtype, tuple[int, ...]]]


def fault(header: Mapping[str, Any], shape: Shape, stored: Leaves) -> str | None:
    """The first thing that is wrong, as in "it has …"; None where ``stored.parameterisation_of`` may trust them.

    Pixels and multi-formation are stored as images and have no such header.
    """
    kind = header.get("kind")
    match kind:
        case Frequency.kind:
            problem, layout = _frequency(header, shape)
        case Decomposition.kind:
            problem, layout = _decomposition(header, shape)
        case _:
            known = f"{Frequency.kind} or {Decomposition.kind}"
            problem, layout = f"the parameterisation {str(kind)[:40]!r} (expected {known})", {}
    return problem or _misplaced(layout, stored) or _greedy(header, shape, stored) or _numbers(header, shape, stored)


def _frequency(header: Mapping[str, Any], shape: Shape) -> tuple[str | None, Layout]:
    if problem := _wrong(header, {"per_class": MOST, "kept": shape.size**2}):
        return problem, {}
    rows = shape.classes * header["per_class"]
    return None, {
        "coefficients": (torch.float16, (rows, shape.channels, header["kept"])),
        "masks": (torch.uint8, (shape.classes, -(-(shape.size**2) // 8))),
    }


def _decomposition(header: Mapping[str, Any], shape: Shape) -> tuple[str | None, Layout]:
    extents = (shape.channels, shape.size, shape.size)
    sizes: Any = header.get("sizes")
    plain = {name: value for name, value in header.items() if name != "sizes"}
    if problem := _wrong(plain, {"tensors": MOST, "kernels": MOST}):
        return problem, {}
    whole = isinstance(sizes, (list, tuple)) and len(sizes) == len(extents) and all(type(one) is int for one in sizes)
    if not whole or not all(1 <= size <= extent for size, extent in zip(sizes, extents, strict=True)):
        return f"tensors of sizes {str(sizes)[:60]} (expected three of 1 to {extents})", {}
    kernels = header["kernels"]
    matrices = {
        axis: (torch.float16, (kernels, size, extent)) for axis, size, extent in zip(AXES, sizes, extents, strict=True)
    }
    return None, {"spectra": (torch.float16, (shape.classes * header["tensors"], *sizes))} | matrices


def _wrong(header: Mapping[str, Any], most: Mapping[str, int]) -> str | None:
    if header.keys() != {"kind", *most}:
        return f"a parameterisation with {sorted(map(str, header))} (expected {sorted({'kind', *most})})"
    for name, top in most.items():
        if type(header[name]) is not int or not 1 <= header[name] <= top:
            return f"a parameterisation with {name} {str(header[name])[:40]} (expected 1 to {top})"
    return None


def _misplaced(layout: Layout, stored: Leaves) -> str | None:
    if stored.keys() != layout.keys():
        return f"the tensors {sorted(stored)} (expected {sorted(layout)})"
    for name, (dtype, shape) in layout.items():
        if stored[name].dtype != dtype or tuple(stored[name].shape) != shape:
            found = f"{stored[name].dtype} of shape {tuple(stored[name].shape)}"
            return f"{name} of {found} (expected {dtype} of shape {shape})"
    return None


def _greedy(header: Mapping[str, Any], shape: Shape, stored: Leaves) -> str | None:
    per_class = header["per_class"] if "per_class" in header else header["tensors"] * header["kernels"]
    decoded = shape.classes * per_class * shape.pixels
    if decoded > max(FREE_NUMBERS, GAIN * sum(tensor.numel() for tensor in stored.values())):
        return f"{per_class} images per class to decode from too few numbers (at most {GAIN} pixels for each)"
    return None


def _numbers(header: Mapping[str, Any], shape: Shape, stored: Leaves) -> str | None:
    if bad := [name for name, tensor in stored.items() if not bool(tensor.float().isfinite().all())]:
        return f"{bad[0]} that are not finite numbers"
    if "masks" not in stored:
        return None
    bits = np.unpackbits(stored["masks"].cpu().numpy(), axis=1)
    if (bits.sum(1) != header["kept"]).any() or bits[:, shape.size**2 :].any():
        return f"masks that do not keep {header['kept']} coefficients of each class"
    return None
