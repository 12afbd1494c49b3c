"""Kinds of numbers that methods' own parameters are, with bounds far above what anybody needs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Several = Annotated[int, Field(ge=1, le=10**6)]
Some = Annotated[int, Field(ge=0, le=10**6)]
Rate = Annotated[float, Field(gt=0, le=1e6)]
NonNegative = Annotated[float, Field(ge=0, le=1e6)]
Momentum = Annotated[float, Field(ge=0, lt=1)]
