"""The one typed, validated picture of params.yaml: a section per pipeline stage.

The same fields are the commands' options (see ``cli/options.py``): their descriptions are the help
texts, their bounds the validation; ``resolve`` reads the file. None means "chosen from the data", as each
description says.
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import field_validator, model_validator

from csdm_cli import names
from csdm_cli.settings.distill_section import Distill
from csdm_cli.settings.making_sections import (
    CLASSIFIER_SNAPSHOTS,
    EXPERTS,
    EXPERTS_MADE,
    SELF_SUPERVISION,
    TEACHER_STEPS,
    MakeLt,
    Pretrain,
)
from csdm_cli.settings.measuring_sections import Compare, CrossArch, Evaluate, ProfileRun
from csdm_cli.settings.section import Section

__all__ = [
    "CLASSIFIER_SNAPSHOTS",
    "EXPERTS",
    "EXPERTS_MADE",
    "SELF_SUPERVISION",
    "TEACHER_STEPS",
    "Compare",
    "CrossArch",
    "Distill",
    "Evaluate",
    "MakeLt",
    "Params",
    "Pretrain",
    "ProfileRun",
    "Section",
    "not_for_compare",
]


class Params(Section):
    """All of params.yaml."""

    make_lt: MakeLt = MakeLt()
    pretrain: Pretrain = Pretrain()
    distill: Distill = Distill()
    evaluate: Evaluate = Evaluate()
    cross_arch: CrossArch = CrossArch()
    compare: Compare = Compare()
    profile: ProfileRun = ProfileRun()

    @field_validator("*", mode="before")
    @classmethod
    def _an_empty_section_is_all_defaults(cls, value: Any) -> Any:
        return {} if value is None else value

    @model_validator(mode="after")
    def _teachers_keep_what_distillation_reads(self) -> Self:
        if self.distill.teacher_schedule is names.TeacherSchedule.trajectory and not self.pretrain.trajectory:
            raise ValueError("distill.teacher_schedule trajectory needs pretrain.trajectory true")
        return self


def not_for_compare() -> frozenset[str]:
    """The settings, as ``section.name``, that compare's own options decide or that are of no use to it."""
    return frozenset(
        f"{section}.{name}"
        for section in Params.model_fields
        for name, field in type(getattr(Params(), section)).model_fields.items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("compare") is False
    )
