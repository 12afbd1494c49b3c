"""Sections of what is measured: evaluation, other architectures, comparison and cost."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from csdm_cli import names
from csdm_cli.methods import method_names
from csdm_cli.settings.fields import (
    NOT_FOR_COMPARE,
    Few,
    Fraction,
    Imbalance,
    MethodName,
    NonNegative,
    Positive,
    RateOrLearned,
    Seed,
    Steps,
    Strategy,
)
from csdm_cli.settings.section import Section


class Evaluate(Section):
    """``evaluate``: students trained on the distilled set alone, tested once."""

    protocol: names.EvaluationProtocol | None = Field(
        None,
        description="networks from scratch, or linear probes on a frozen backbone (default: probe if one made the set)",
        json_schema_extra=NOT_FOR_COMPARE,
    )
    probe_features: names.ProbeFeatures = Field(
        names.ProbeFeatures.cached,
        description="features that probes learn from: of images as they are, or of augmented ones",
        json_schema_extra=NOT_FOR_COMPARE,
    )
    probe_epochs: Positive = Field(
        1000,
        description="epochs of a probe; on all real images a tenth, but no fewer steps",
        json_schema_extra=NOT_FOR_COMPARE,
    )
    inherit: bool = Field(
        False,
        description="with probes also measure what the probed backbone makes of the classifier, trained on all real"
        " images, of the backbone that made the set",
        json_schema_extra=NOT_FOR_COMPARE,
    )
    network: str | None = Field(
        None,
        min_length=1,
        description="architecture of the students (default: the artifact's)",
        examples=list(names.NetworkName),
    )
    students: Few = Field(5, description="students with different seeds")
    steps: Steps = Field(2000, description="optimiser steps per student, the same for every set compared")
    full_steps: Steps | None = Field(
        None, description="optimiser steps of the controls on all real images (default: 90 epochs, at least steps)"
    )
    lr: RateOrLearned = Field(
        1e-3,
        description="AdamW learning rate, cosine to 0; learned adds a row of students trained by plain SGD at the step"
        " size that was learned with the set",
    )
    weight_decay: NonNegative = Field(0.01, description="AdamW weight decay")
    batch: Positive = Field(128, description="images per step")
    augment: Strategy = Field("color_crop_flip_scale_rotate", description="augmentations joined by _, or none")
    augment_mode: names.AugmentMode = Field(
        names.AugmentMode.single, description="one operation per image (DSA), or several (DiffAug)"
    )
    cutmix: Fraction = Field(0.5, description="probability of cutmix per step")
    labels: names.LabelKind | None = Field(
        None,
        description="labels to train on: those stored, or what the set's teachers, whose bytes then count as the set's,"
        " say of every augmented batch (default: the artifact's)",
    )
    split: names.EvaluationSplit = Field(
        names.EvaluationSplit.test, description="images the students are tested on", json_schema_extra=NOT_FOR_COMPARE
    )
    test_points: Positive = Field(
        5, description="times a student is tested; only the last counts, the best is shown beside it"
    )
    controls: bool = Field(
        True,
        description="also measure random images, the set's own start and the full long-tailed set",
        json_schema_extra=NOT_FOR_COMPARE,
    )
    fairness: bool = Field(
        False,
        description="also measure label- and augmentation-robust scores (LRS, ARS)",
        json_schema_extra=NOT_FOR_COMPARE,
    )
    fairness_weight: Fraction = Field(
        0.5,
        description="weight in LRS and ARS of the improvement over random images",
        json_schema_extra=NOT_FOR_COMPARE,
    )
    seed: Seed = Field(0, description="seed of the students")

    @model_validator(mode="after")
    def _settings_agree(self) -> Self:
        if self.test_points > self.steps and "test_points" not in self.model_fields_set:
            object.__setattr__(self, "test_points", self.steps)
        if self.test_points > self.steps:
            raise ValueError(f"test_points {self.test_points} is more than steps {self.steps}")
        if self.fairness and self.protocol is names.EvaluationProtocol.probe:
            raise ValueError("fairness is measured by students: it has no effect on protocol probe")
        if self.fairness and not self.controls:
            raise ValueError("fairness compares with the controls: leave controls on")
        if self.fairness_weight != 0.5 and not self.fairness:
            raise ValueError("fairness_weight has no effect without fairness")
        return self


class CrossArch(Section):
    """``cross_arch``: the evaluation protocol on several architectures."""

    networks: list[str] = Field(
        ["convnet", "resnet18", "vgg11", "alexnet"],
        min_length=1,
        description="architectures, separated by commas",
        examples=list(names.NetworkName),
    )
    students: Few = Field(3, description="students per architecture")
    steps: Steps = Field(2000, description="optimiser steps per student")
    augment_mode: names.AugmentMode | None = Field(
        None, description="one operation per image (DSA), or several (DiffAug) (default: that of evaluate)"
    )
    controls: bool = Field(
        True,
        description="also measure random real images on each architecture; on backbones all that evaluate does",
    )
    split: names.EvaluationSplit | None = Field(
        None, description="images the students are tested on (default: that of evaluate)"
    )
    inherit: bool = Field(
        False, description="on backbones also measure the inherited classifier of the one that made the set"
    )
    probe_epochs: Positive | None = Field(
        None, description="epochs of a probe on backbones (default: that of evaluate)"
    )
    seed: Seed = Field(0, description="seed of the students")


class Compare(Section):
    """``compare``: several methods under one protocol, beside the controls."""

    methods: list[MethodName] = Field(
        ["dm", "csdm"],
        min_length=1,
        description="methods, separated by commas; random, tiled-random and the full set always stand beside them",
        examples=list(method_names()),
    )
    ipc: list[Positive] = Field(
        [10], min_length=1, description="stored images per class, separated by commas: a table each"
    )
    imbalance: list[Imbalance] | None = Field(
        None,
        min_length=1,
        description="imbalances, separated by commas, of the sets in data/, made there if missing"
        " (default: the newest set)",
    )
    dataset: names.Source | None = Field(None, description="dataset of these sets (default: that of make_lt)")
    seeds: Few = Field(3, description="distilled sets per method, with the seeds 0, 1, ...")
    preset: names.Preset = Field(
        names.Preset.common, description="one protocol and tuned weights for all, or each method's paper"
    )
    split: names.EvaluationSplit | None = Field(
        None, description="images the students are tested on (default: that of evaluate)"
    )
    tune: str | None = Field(
        None,
        min_length=1,
        description="a grid of distill's settings, tried with every method on --split dev, such as"
        " 'calibration=0x,0.3x,1x,3x;lr=0.003,0.01' (default: none)",
    )
    executor: names.ExecutorName = Field(
        names.ExecutorName.serial,
        description="one cell after another here, or as tasks of a Ray cluster ($RAY_ADDRESS; none: one on this"
        " machine), each with the cores of --threads or a GPU",
    )

    @field_validator("methods", "ipc", "imbalance")
    @classmethod
    def _each_once(cls, value: list[Any] | None) -> list[Any] | None:
        if value is not None and len(set(value)) < len(value):
            raise ValueError("each value once")
        return value


class ProfileRun(Section):
    """``profile``: what a distillation step costs."""

    ipcs: list[Positive] = Field(
        [10, 20, 50], min_length=1, description="images per class to profile, separated by commas"
    )
    iterations: Positive = Field(20, description="timed steps per setting")
    warmup: Positive = Field(3, description="steps before the clock starts")
