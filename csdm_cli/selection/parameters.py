"""Options that several selection methods share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from csdm_cli.methods.contract import option


@dataclass(frozen=True)
class Selecting:
    """Of every method that selects whole images."""

    tiled: bool = option(False, "factor² selected images, shrunk, in each stored one, as optimised methods start from")


@dataclass(frozen=True)
class Looking:
    """Of every method that looks through the teachers."""

    observers: Annotated[int, Field(ge=0)] = option(0, "how many of the pool's teachers to look through; 0: all")


@dataclass(frozen=True)
class SelectingByLooks(Looking, Selecting):
    """Of every method that selects whole images by what the teachers see."""
