"""The base of all sections of params.yaml."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from csdm_cli.settings.fields import (
    is_number,
    refuse_loose_number,
)


class Section(BaseModel):
    """Base of all sections: immutable, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _a_number_is_written_as_one(cls, value: Any, info: ValidationInfo) -> Any:
        """``true`` is 1 to Python, and ``1_000`` is 1000: in a number's place they are mistakes."""
        kind = cls.model_fields[info.field_name].annotation if info.field_name else None
        parts = value if isinstance(value, list) else [value]
        if kind is not bool and any(isinstance(part, bool) for part in parts):
            raise PydanticCustomError("switch", "a switch where a value belongs")
        if is_number(kind):
            for part in parts:
                refuse_loose_number(part)
        return value
