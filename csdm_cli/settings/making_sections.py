"""Sections of the long-tailed set and of the teachers."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Self

from pydantic import Field, JsonValue, model_validator

from csdm_cli import names
from csdm_cli.errors import UsageError
from csdm_cli.settings.fields import (
    SAYS_HOW_TO_READ,
    Channels,
    ClassNames,
    Colour,
    Depth,
    Few,
    Folder,
    Fraction,
    Images,
    Imbalance,
    NonNegative,
    OpenFraction,
    Pattern,
    Positive,
    Rate,
    Seed,
    Side,
    Steps,
    Strategy,
    Views,
    Width,
    marks_of,
    shapes,
)
from csdm_cli.settings.section import Section

# The headings of the options of experts, and of training without labels.
EXPERTS: dict[str, JsonValue] = {"panel": "Experts"}
SELF_SUPERVISION: dict[str, JsonValue] = {"panel": "Training without labels"}
# Of experts, where nobody says.
EXPERTS_MADE, CLASSIFIER_SNAPSHOTS = 5, 10
# Of a teacher: 60 epochs of CIFAR-10-LT at β = 200. With a third of it teachers know 63 % of their own training images.
TEACHER_STEPS = 5300


class MakeLt(Section):
    """``make_lt``: from a dataset to a long-tailed training set, a development set and the test set."""

    dataset: names.Source = Field(
        names.Source.cifar10, description="dataset to start from", json_schema_extra={"positional": True}
    )
    data_dir: Folder | None = Field(
        None, description="where the data are: torchvision's files, parquet, or an image folder (default: download)"
    )
    profile: names.ImbalanceProfile = Field(
        names.ImbalanceProfile.exponential,
        description="how class sizes fall from head to tail; as-is keeps every image, which is what images of your own"
        " and classes that differ in size get unless --imbalance, --n-max or --counts is given",
    )
    imbalance: Imbalance = Field(200.0, description="head size / tail size (β)")
    n_max: Images | None = Field(None, description="images of the largest class (default: as many as every class has)")
    counts: list[Images] | None = Field(
        None, min_length=2, description="images per class, e.g. 50,20,5, which is --profile explicit"
    )
    class_order: names.ClassOrder = Field(
        names.ClassOrder.natural, description="which class is the head: label order, or shuffled by the seed"
    )
    split: names.Split = Field(
        names.Split.random, description="which images are kept: drawn by the seed, or the positions of LTDD"
    )
    test_share: OpenFraction | None = Field(
        None, description="share of each class held out as test set, for a source without one (default: none)"
    )
    test_per_class: Images | None = Field(
        None, description="images per class held out as test set, for a source without one (default: none)"
    )
    group_by: Pattern | None = Field(
        None,
        description="regular expression on file names: images with the same match are not split between training,"
        " development and test (default: each for itself)",
        json_schema_extra=SAYS_HOW_TO_READ,
    )
    dev: int = Field(0, ge=0, le=10**6, description="images per class reserved as a balanced development set")
    size: Side | None = Field(
        None, description="height and width after resize and centre crop (default: the dataset's own)"
    )
    classes: ClassNames | None = Field(
        None,
        min_length=2,
        description="names of the classes to keep, in label order (default: all)",
        json_schema_extra=SAYS_HOW_TO_READ,
    )
    channels: Channels | None = Field(
        None,
        description="1 reads all images as grey, 3 in colour (default: grey if all are)",
        json_schema_extra=SAYS_HOW_TO_READ,
    )
    background: Colour = Field(
        "white", description="colour behind what is transparent, a name or #rrggbb", json_schema_extra=SAYS_HOW_TO_READ
    )
    train_list: Folder | None = Field(
        None,
        description="list of training images: csv, lines of 'path label', or json as of COCO (default: class folders)",
        json_schema_extra=SAYS_HOW_TO_READ,
    )
    test_list: Folder | None = Field(
        None,
        description="list of test images, as --train-list (default: class folders)",
        json_schema_extra=SAYS_HOW_TO_READ,
    )
    image_column: str | None = Field(
        None,
        description="column of images in parquet, of paths in a csv list (default: the usual names)",
        json_schema_extra=SAYS_HOW_TO_READ,
    )
    label_column: str | None = Field(
        None,
        description="column of labels in parquet or a csv list (default: the usual names)",
        json_schema_extra=SAYS_HOW_TO_READ,
    )
    seed: Seed = Field(0, description="seed of class order and selection")

    @property
    def asks_for_a_tail(self) -> bool:
        """Whether anything says how class sizes fall; if not, the source's own sizes may stand."""
        drawn = self.class_order is not names.ClassOrder.natural or self.split is not names.Split.random
        decides = ("profile", "imbalance", "n_max", "counts")
        return drawn or any(name in self.model_fields_set and getattr(self, name) is not None for name in decides)

    @property
    def reading(self) -> dict[str, Any]:
        """The settings that say how the source is read and are not the defaults, as JSON values."""
        marked = {name for name, field in type(self).model_fields.items() if "says_how_to_read" in marks_of(field)}
        return self.model_dump(mode="json", include=marked, exclude_defaults=True)

    @property
    def read_as(self) -> dict[str, Any]:
        """:attr:`reading` and the test set's size, for whoever makes the set again: lists without the way to them."""
        sizes = self.model_dump(mode="json", include={"test_share", "test_per_class"}, exclude_defaults=True)
        named = {"train_list": self.train_list, "test_list": self.test_list}
        lists = {name: _below(file, self.data_dir) for name, file in named.items() if file is not None}
        return self.reading | sizes | lists

    @model_validator(mode="after")
    def _profile_where_none_is_named(self) -> Self:
        # Not among the fields that were set: an --imbalance that comes on top of a file draws a tail after all.
        if self.counts is not None and "profile" not in self.model_fields_set:
            object.__setattr__(self, "profile", names.ImbalanceProfile.explicit)
        elif self.dataset is names.Source.folder and not self.asks_for_a_tail:
            object.__setattr__(self, "profile", names.ImbalanceProfile.as_is)
        return self

    @model_validator(mode="after")
    def _settings_agree(self) -> Self:
        if self.profile is names.ImbalanceProfile.explicit and self.counts is None:
            raise ValueError("profile explicit needs counts, the images per class")
        if self.profile is not names.ImbalanceProfile.explicit and self.counts is not None:
            raise ValueError(f"counts need profile explicit, not {self.profile}")
        if self.counts is not None and self.n_max is not None:
            raise ValueError("counts already say the largest class: leave n_max out")
        if self.profile is names.ImbalanceProfile.as_is and self.n_max is not None:
            raise ValueError("profile as-is keeps every image: leave n_max out")
        if self.test_share is not None and self.test_per_class is not None:
            raise ValueError("test_share and test_per_class both say how large the test set is: choose one")
        if (self.train_list or self.test_list) and self.dataset is not names.Source.folder:
            raise ValueError("train_list and test_list name the images of a folder of your own: use dataset folder")
        if self.group_by is not None and self.test_share is None and self.test_per_class is None and not self.dev:
            raise ValueError("group_by keeps images together when some are held out: it needs test_share or dev")
        if self.split is names.Split.ltdd and self.class_order is not names.ClassOrder.natural:
            raise ValueError("split ltdd selects in natural class order: leave class_order at natural")
        if self.dataset is names.Source.folder and self.data_dir is None:
            raise ValueError("dataset folder needs data_dir, a folder with train/ and test/ (or val/), or of classes")
        return self


def refuse_idle_imbalance(settings: MakeLt, given: Collection[str]) -> None:
    """Raises: UsageError if an imbalance is ``given`` and the profile has none."""
    if "imbalance" in given and not settings.profile.falls:
        raise UsageError(f"--imbalance has no effect on profile {settings.profile}: leave one of them out")


def _below(file: Path, folder: Path | None) -> str:
    """The path of a file in ``folder``, seen from there; else as it was given, or its name where that is absolute."""
    if folder is not None and file.resolve().is_relative_to(folder.resolve()):
        return str(file.resolve().relative_to(folder.resolve()))
    return file.name if file.is_absolute() else str(file)


class Pretrain(Section):
    """``pretrain``: the pool of teachers, or of experts, trained on the long-tailed set."""

    network: str = Field(
        "convnet",
        min_length=1,
        description="convnet, alexnet, vgg11, resnet18, a torchvision classifier, or your own as module:function; or a"
        f" frozen backbone: {', '.join(names.BackboneName)}, or any of the others with --weights or --objective",
        examples=[*names.NetworkName, *names.BackboneName],
    )
    weights: str | None = Field(
        None,
        min_length=1,
        description="freeze the network with the weights in this file, or with 'default' those it comes with (default:"
        " train it)",
    )
    input_size: Side | None = Field(
        None, description="side that images are resized to for a frozen backbone (default: the backbone's own)"
    )
    centres: Positive | None = Field(None, description="centres of patch-kmeans, four features each (default: 800)")
    width: Width = Field(128, description="channels of the convnet's layers", json_schema_extra=shapes("convnet"))
    depth: Depth | None = Field(
        None,
        description="blocks of the convnet (default: 3 at 32x32, 5 at 128x128)",
        json_schema_extra=shapes("convnet"),
    )
    norm: names.Norm = Field(
        names.Norm.instance,
        description="normalisation layers",
        json_schema_extra=shapes("convnet", "vgg11", "resnet18"),
    )
    pooling: names.Pooling = Field(
        names.Pooling.avg, description="pooling of the convnet's blocks", json_schema_extra=shapes("convnet")
    )
    teachers: Few = Field(5, description="networks in the pool")
    steps: Steps | None = Field(
        None, description=f"optimiser steps per teacher (default: {TEACHER_STEPS}, unless epochs are given)"
    )
    epochs: Positive | None = Field(
        None, description="epochs per teacher, in place of --steps; an epoch of a long-tailed set is short"
    )
    loss: names.TeacherLoss = Field(
        names.TeacherLoss.balanced_softmax,
        description="training loss; logit-adjustment is cross-entropy, then logits lowered by the log priors",
    )
    lr: Rate = Field(0.01, description="SGD learning rate; x0.2 at 2/3 and 5/6 of the steps")
    momentum: Fraction = Field(0.9, description="SGD momentum (Nesterov off)")
    weight_decay: NonNegative = Field(5e-4, description="SGD weight decay")
    batch: Positive = Field(128, description="images per step")
    augment: Strategy = Field("color_crop_cutout_flip_scale_rotate", description="augmentations joined by _, or none")
    augment_mode: names.AugmentMode = Field(
        names.AugmentMode.single, description="one operation per image (DSA), or several (DiffAug)"
    )
    cutmix: Fraction = Field(0.5, description="probability of cutmix per step")
    trajectory: bool = Field(False, description="keep the weights after every epoch, for --teacher-schedule trajectory")
    seed: Seed = Field(0, description="seed of the pool")
    objective: names.Objective | None = Field(
        None,
        description="train the network without labels by this objective, 100 epochs unless --steps or --epochs is"
        " given, and freeze it (default: with labels)",
        json_schema_extra=SELF_SUPERVISION,
    )
    objective_lr: Rate = Field(
        1e-3, description="learning rate of AdamW, cosine to 0", json_schema_extra=SELF_SUPERVISION
    )
    objective_weight_decay: NonNegative = Field(1e-4, description="weight decay", json_schema_extra=SELF_SUPERVISION)
    objective_batch: int = Field(
        256, ge=2, le=10**6, description="images per step, each seen twice", json_schema_extra=SELF_SUPERVISION
    )
    views: Views = Field(
        "crop_flip_color_grey",
        description="what tells two views of an image apart, joined by _",
        json_schema_extra=SELF_SUPERVISION,
    )
    projector: Width = Field(
        512,
        description="width of the layers that embed views, 2,048 to 8,192 in the papers",
        json_schema_extra=SELF_SUPERVISION,
    )
    # network, augmentation and seed are theirs too
    experts: Few | None = Field(
        None,
        description="train so many experts, whose way mtt, ftd, datm and lad match, in place of teachers"
        f" (default: none; distill trains {EXPERTS_MADE} if its method needs them)",
        json_schema_extra=EXPERTS,
    )
    expert_optimizer: names.ExpertOptimizer | None = Field(
        None,
        description="plain, or towards flat minima (default: sgd; of distill what the method asks for)",
        json_schema_extra=EXPERTS,
    )
    expert_lr: Rate = Field(0.01, description="learning rate, constant and without momentum", json_schema_extra=EXPERTS)
    expert_weight_decay: NonNegative = Field(0.0, description="weight decay", json_schema_extra=EXPERTS)
    expert_batch: Positive = Field(256, description="images per step", json_schema_extra=EXPERTS)
    expert_snapshots: Positive = Field(
        10,
        description="points of an expert's way, after its start, at which weights are kept",
        json_schema_extra=EXPERTS,
    )
    snapshot_every: Positive = Field(
        196,
        description="optimiser steps from point to point: an epoch of balanced CIFAR-10, four of one at β = 200",
        json_schema_extra=EXPERTS,
    )
    rho: NonNegative = Field(0.01, description="ρ of gsam: reach of its perturbation", json_schema_extra=EXPERTS)
    ascent: NonNegative = Field(0.3, description="a of gsam: weight of the surrogate gap", json_schema_extra=EXPERTS)
    classifier_snapshots: int | None = Field(
        None,
        ge=1,
        le=10**6,
        description="points of the way of classifier experts, which lad matches too: the experts' classifiers trained"
        " on, as often on each class, their encoders frozen"
        f" (default: none; distill trains {CLASSIFIER_SNAPSHOTS} for lad)",
        json_schema_extra=EXPERTS,
    )

    @model_validator(mode="after")
    def _settings_agree(self) -> Self:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("epochs and steps both say how long teachers are trained: give one of them")
        if self.objective is not None and self.weights is not None:
            raise ValueError("weights and objective both say where a backbone's weights are from: give one of them")
        if self.objective is not None and self.network in tuple(names.BackboneName):
            raise ValueError(f"objective trains a network without labels, and {self.network} is never trained")
        return self
