"""Parameterisations by the header of a file."""

from __future__ import annotations

import pytest
import torch

from csdm_cli.errors import CsdmError
from csdm_cli.parameterisations.multi_formation import MultiFormation
from csdm_cli.parameterisations.parameterisation import Shape
from csdm_cli.parameterisations.pixels import Pixels
from csdm_cli.parameterisations.stored import KINDS, MADE_OF, described, parameterisation_of

SHAPE = Shape(2, 3, 8)


@pytest.mark.parametrize("made", [Pixels(SHAPE, 5), MultiFormation(SHAPE, 2, 3)], ids=lambda made: made.kind)
def test_there_and_back(made):
    header = described(made)
    assert header["kind"] == made.kind in KINDS
    assert parameterisation_of(header, SHAPE, {"images": torch.zeros(1)}) == made


def test_headers_by_hand():
    assert described(MultiFormation(SHAPE, 2, 3)) == {"kind": "multi-formation", "ipc": 2, "factor": 3}
    assert set(MADE_OF) == {"frequency", "decomposition"}


@pytest.mark.parametrize("kind", ["fractal", None])
def test_a_later_csdm_s_kind_is_told(kind):
    with pytest.raises(CsdmError, match=r"unknown parameterisation .*: this csdm reads pixels, multi-formation"):
        parameterisation_of({"kind": kind}, SHAPE, {})
