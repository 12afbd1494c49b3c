"""The section of distillation."""

from __future__ import annotations

from typing import Any

from pydantic import Field, JsonValue

from csdm_cli import names
from csdm_cli.methods import method_names, shared_options
from csdm_cli.methods.regularisers import regulariser_names
from csdm_cli.settings.fields import (
    DECIDED_BY_METHOD,
    NOT_FOR_COMPARE,
    Few,
    MethodName,
    NonNegative,
    NumberOrAuto,
    NumberOrRatio,
    Positive,
    Rate,
    Reader,
    Regularizers,
    Seed,
    Side,
    Strategy,
    marks_of,
    read_by,
    reader_of,
)
from csdm_cli.settings.section import Section

OPTIMISED, MATCHING, DECODING, OWNER, CHOOSER = map(
    read_by, (Reader.optimised, Reader.matching, Reader.decoding, Reader.owner, Reader.chooser)
)


def _of(kind: names.Parameterization) -> dict[str, JsonValue]:
    """The mark of a setting that one parameterization alone reads."""
    return OPTIMISED | {"parameterization": str(kind)}


class Distill(Section):
    """``distill``: from a long-tailed set and its teachers to a distilled set."""

    method: MethodName = Field(
        "csdm",
        description="distillation or selection method; csdm methods lists them, and what each of them reads",
        examples=list(method_names()),
        json_schema_extra=CHOOSER | NOT_FOR_COMPARE,
    )
    option: dict[str, Any] = Field(
        {},
        description="one of the method's own parameters (may be given several times); csdm methods NAME lists them",
        json_schema_extra=CHOOSER,
    )
    ipc: Positive = Field(
        10,
        description="stored images per class, or the budget of what is stored in their place",
        json_schema_extra=NOT_FOR_COMPARE,
    )
    factor: int = Field(
        2,
        ge=1,
        le=4,
        description="multi-formation: factor² images are decoded from each stored one",
        json_schema_extra=DECODING,
    )
    parameterization: names.Parameterization = Field(
        names.Parameterization.multi_formation,
        description="what is learned and stored, within the bytes of --ipc images of 8 bits a pixel",
        json_schema_extra=OPTIMISED,
    )
    coefficients: Positive | None = Field(
        None,
        description="frequency: cosine coefficients per image and channel"
        " (default: as many as fit for 4 images for each of --ipc)",
        json_schema_extra=_of(names.Parameterization.frequency),
    )
    shared_kernels: Few | None = Field(
        None,
        description="decomposition: sets of kernels, each of which makes an image of every tensor"
        " (default: 4, or as many as fit)",
        json_schema_extra=_of(names.Parameterization.decomposition),
    )
    tensor_side: Side | None = Field(
        None,
        description="decomposition: height and width of the small tensors (default: half of the image's, or what fits)",
        json_schema_extra=_of(names.Parameterization.decomposition),
    )
    initial: names.Initial = Field(
        names.Initial.mix, description="images before the first step", json_schema_extra=OPTIMISED
    )
    iterations: int = Field(1000, ge=0, le=10**7, description="optimiser steps", json_schema_extra=OPTIMISED)
    optimizer: names.PixelOptimizer = Field(
        names.PixelOptimizer.adam, description="optimiser of the pixels", json_schema_extra=OPTIMISED
    )
    lr: Rate = Field(
        0.01,
        description="learning rate of the pixels, which live in [0, 1]",
        json_schema_extra=OPTIMISED | DECIDED_BY_METHOD,
    )
    schedule: names.Schedule = Field(
        names.Schedule.cosine, description="learning-rate schedule", json_schema_extra=OPTIMISED
    )
    weight_decay: NonNegative = Field(
        0.0, description="weight decay of the pixels (adamw's is decoupled)", json_schema_extra=OPTIMISED
    )
    average: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="store a moving average of the pixels with this decay, in place of the last step's (0: do not)",
        json_schema_extra=OPTIMISED,
    )
    # what methods match with a parameter of the name; what it is and may be stands with the methods
    kernel: shared_options.Kernel = Field(names.KernelName.rbf, json_schema_extra=OWNER)
    kernel_shape: shared_options.KernelShape = Field(None, json_schema_extra=OWNER)
    scale: shared_options.Scale = Field(1.0, json_schema_extra=OWNER)
    frequencies: shared_options.Frequencies = Field(1024, json_schema_extra=OWNER)
    frequency_rule: shared_options.FrequencyRule = Field(names.FrequencyRule.monte_carlo, json_schema_extra=OWNER)
    resample: shared_options.Resample = Field(True, json_schema_extra=OWNER)
    distance: shared_options.Distance = Field(names.Distance.squared, json_schema_extra=OWNER)
    alpha_schedule: shared_options.AlphaSchedule = Field(names.AlphaSchedule.log_count, json_schema_extra=OWNER)
    alpha_head: shared_options.AlphaHead = Field(0.7, json_schema_extra=OWNER)
    alpha_tail: shared_options.AlphaTail = Field(0.3, json_schema_extra=OWNER)
    # what matching methods share
    calibration: NumberOrRatio | None = Field(
        None,
        description="weight of the teachers' cross-entropy on the synthetic images; with an x, such as 0.3x, the weight"
        " whose gradient is so many times as long as the matching's at the start (default: the method's)",
        json_schema_extra=MATCHING | DECIDED_BY_METHOD,
    )
    teacher_schedule: names.TeacherSchedule | None = Field(
        None,
        description="which of a teacher's weights a draw looks through (default: the method's, mostly final)",
        json_schema_extra=MATCHING | DECIDED_BY_METHOD,
    )
    regularizer: Regularizers = Field(
        [],
        description="further terms of the loss, as NAME or NAME=WEIGHT: " + ", ".join(regulariser_names()),
        examples=list(regulariser_names()),
        json_schema_extra=MATCHING,
    )
    augment: Strategy = Field(
        "color_crop_cutout_flip_scale_rotate",
        description="augmentations joined by _, or none",
        json_schema_extra=MATCHING,
    )
    augment_mode: names.AugmentMode = Field(
        names.AugmentMode.single,
        description="one operation per draw (DSA), or several (DiffAug)",
        json_schema_extra=MATCHING,
    )
    real: names.RealMode | None = Field(
        None,
        description="statistics of the real images: computed once per draw and kept, or of a fresh minibatch each step"
        " (default: bank if the method allows)",
        json_schema_extra=MATCHING,
    )
    draws: Positive = Field(
        8, description="draws of augmentation and ω per teacher in the bank", json_schema_extra=MATCHING
    )
    real_batch: Positive | None = Field(
        None,
        description="real images per class and step without a bank (default: the method's, mostly 1024)",
        json_schema_extra=MATCHING,
    )
    engine: names.Engine = Field(
        names.Engine.batched,
        description="all classes at once, or the field's class-by-class loop (for benchmarks)",
        json_schema_extra=MATCHING,
    )
    labels: names.StoredLabels | None = Field(
        None,
        description="labels stored with the images (default: the method's, mostly hard)",
        json_schema_extra=DECIDED_BY_METHOD,
    )
    temperature: Rate = Field(1.0, description="softmax temperature of soft labels")
    prior_calibration: NumberOrAuto = Field(
        0.0,
        description="how far soft labels are freed of the class priors: τ of softmax((f - τ log prior) / T), or auto,"
        " chosen without the test set",
    )
    seed: Seed = Field(0, description="seed of initialisation, draws and ω", json_schema_extra=NOT_FOR_COMPARE)

    @classmethod
    def names_decided_by_method(cls) -> tuple[str, ...]:
        """The settings that a preset or the method decides for itself, in their order."""
        return tuple(name for name, field in cls.model_fields.items() if "decided_by_method" in marks_of(field))

    @classmethod
    def names_of_parameterizations(cls) -> dict[str, names.Parameterization]:
        """The settings that one parameterization alone reads, and which it is."""
        marks = {name: marks_of(field).get("parameterization") for name, field in cls.model_fields.items()}
        return {name: names.Parameterization(str(mark)) for name, mark in marks.items() if mark}

    @classmethod
    def names_read_by(cls, reader: Reader | None) -> frozenset[str]:
        """The settings that ``reader`` alone reads; None: those that every method does."""
        return frozenset(name for name, field in cls.model_fields.items() if reader_of(field) is reader)
