"""The parameterisation that a file's header names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from csdm_cli.errors import CsdmError
from csdm_cli.parameterisations.decomposition import Decomposition
from csdm_cli.parameterisations.frequency import Frequency, unpacked
from csdm_cli.parameterisations.multi_formation import MultiFormation
from csdm_cli.parameterisations.parameterisation import Leaves, Parameterisation, Shape
from csdm_cli.parameterisations.pixels import Pixels
from csdm_cli.parameterisations.pyramid import Pyramid

# The numbers that are stored in place of images, in words.
MADE_OF = {Frequency.kind: "frequency coefficients", Decomposition.kind: "tensors and kernels"}
KINDS = tuple(kind.kind for kind in (Pixels, MultiFormation, Frequency, Decomposition, Pyramid))


def described(parameterisation: Parameterisation) -> dict[str, Any]:
    """Its kind and header: JSON values for a file."""
    return {"kind": parameterisation.kind, **parameterisation.header()}


def parameterisation_of(header: Mapping[str, Any], shape: Shape, stored: Leaves) -> Parameterisation:
    """The parameterisation that :func:`described` gave as ``header``, from the tensors that were stored.

    Raises:
        CsdmError: if the kind is not known to this version.
    """
    match header.get("kind"):
        case Pixels.kind:
            return Pixels(shape, header["per_class"])
        case MultiFormation.kind:
            return MultiFormation(shape, header["ipc"], header["factor"])
        case Frequency.kind:
            return Frequency(shape, header["per_class"], unpacked(stored["masks"], shape))
        case Decomposition.kind:
            channels, rows, columns = header["sizes"]
            return Decomposition(shape, header["tensors"], header["kernels"], (channels, rows, columns))
        case Pyramid.kind:
            return Pyramid(shape, header["per_class"])
        case other:
            raise CsdmError(f"unknown parameterisation {other!r}: this csdm reads {', '.join(KINDS)}")
