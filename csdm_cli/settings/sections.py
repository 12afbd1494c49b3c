"""The one typed, validated picture of params.yaml: a section per pipeline stage.

The same fields are the commands' options (see ``commands/options.py``): their descriptions are the help
texts, their bounds the validation; ``settings.py`` reads the file. None means "chosen from the data", as each
description says.
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from csdm_cli import names
from csdm_cli.methods import method_names
from csdm_cli.methods.regularisers import regulariser_names
from csdm_cli.settings.fields import (
    DECIDED_BY_METHOD,
    SAYS_HOW_TO_READ,
    Channels,
    Colour,
    Depth,
    Few,
    Folder,
    Fraction,
    Images,
    Imbalance,
    MethodName,
    NonNegative,
    NumberOrAuto,
    NumberOrRatio,
    OpenFraction,
    Pattern,
    Positive,
    Rate,
    RateOrLearned,
    Reader,
    Regularizers,
    Seed,
    Side,
    Steps,
    Strategy,
    Width,
    is_number,
    marks_of,
    read_by,
    reader_of,
    refuse_loose_number,
    shapes,
)

# The heading of the options of experts.
EXPERTS: dict[str, JsonValue] = {"panel": "Experts"}
# Of experts, where nobody says.
EXPERTS_MADE, CLASSIFIER_SNAPSHOTS = 5, 10
# Of a teacher: 60 epochs of CIFAR-10-LT at β = 200. With a third of it teachers know 63 % of their own training images.
TEACHER_STEPS = 5300


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
        None, min_length=2, description="images per class for --profile explicit, e.g. 50,20,5"
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
        description="regular expression on file names: images with the same match are not split between training and"
        " test (default: each for itself)",
        json_schema_extra=SAYS_HOW_TO_READ,
    )
    dev: int = Field(0, ge=0, le=10**6, description="images per class reserved as a balanced development set")
    size: Side | None = Field(
        None, description="height and width after resize and centre crop (default: the dataset's own)"
    )
    classes: list[str] | None = Field(
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

    @model_validator(mode="after")
    def _own_images_as_they_are(self) -> Self:
        if self.dataset is names.Source.folder and not self.asks_for_a_tail:
            # Not among the fields that were set: an --imbalance that comes on top of a file draws a tail after all.
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
        if self.group_by is not None and self.test_share is None and self.test_per_class is None:
            raise ValueError("group_by keeps images together when a test set is held out: it needs test_share")
        if self.split is names.Split.ltdd and self.class_order is not names.ClassOrder.natural:
            raise ValueError("split ltdd selects in natural class order: leave class_order at natural")
        if self.dataset is names.Source.folder and self.data_dir is None:
            raise ValueError("dataset folder needs data_dir, a folder with train/ and test/ (or val/), or of classes")
        return self


class Pretrain(Section):
    """``pretrain``: the pool of teachers, or of experts, trained on the long-tailed set."""

    network: str = Field(
        "convnet",
        min_length=1,
        description="convnet, alexnet, vgg11, resnet18, a torchvision classifier, or your own as module:function; or a"
        f" frozen backbone: {', '.join(names.BackboneName)}, or any of the others with --weights",
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
        return self


# decided by compare's own options, or of no use to it
NOT_FOR_COMPARE: dict[str, JsonValue] = {"compare": False}
OPTIMISED, MATCHING, DECODING, OWNER, CHOOSER = map(
    read_by, (Reader.optimised, Reader.matching, Reader.decoding, Reader.owner, Reader.chooser)
)


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
        json_schema_extra=OPTIMISED,
    )
    shared_kernels: Few | None = Field(
        None,
        description="decomposition: sets of kernels, each of which makes an image of every tensor"
        " (default: 4, or as many as fit)",
        json_schema_extra=OPTIMISED,
    )
    tensor_side: Side | None = Field(
        None,
        description="decomposition: height and width of the small tensors (default: half of the image's, or what fits)",
        json_schema_extra=OPTIMISED,
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
    # what csdm matches
    kernel: names.KernelName = Field(
        names.KernelName.rbf,
        description="kernel that classes are compared by; its spectral measure gives the frequencies ω",
        json_schema_extra=OWNER,
    )
    kernel_shape: Rate | None = Field(
        None,
        description="ν of matern, a of rational-quadratic, degree of polynomial"
        " (default: 1.5, 1 and 2; other kernels have none)",
        json_schema_extra=OWNER,
    )
    scale: Rate = Field(
        1.0,
        description="kernel length ℓ, as a multiple of the median distance of real features",
        json_schema_extra=OWNER,
    )
    frequencies: Positive = Field(1024, description="frequencies ω per draw (K)", json_schema_extra=OWNER)
    frequency_rule: names.FrequencyRule = Field(
        names.FrequencyRule.monte_carlo,
        description="how a draw's frequencies are spread over the spectral measure",
        json_schema_extra=OWNER,
    )
    resample: bool = Field(
        True, description="new frequencies for every draw, or one set for all", json_schema_extra=OWNER
    )
    distance: names.Distance = Field(
        names.Distance.squared, description="squared distance, or its root per frequency", json_schema_extra=OWNER
    )
    alpha_schedule: names.AlphaSchedule = Field(
        names.AlphaSchedule.log_count,
        description="how α follows the class size",
        json_schema_extra=OWNER,
    )
    alpha_head: OpenFraction = Field(
        0.7, description="α of the largest class (weight of amplitude: diversity)", json_schema_extra=OWNER
    )
    alpha_tail: OpenFraction = Field(
        0.3, description="α of the smallest class (1 - α weighs phase: realism)", json_schema_extra=OWNER
    )
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
    labels: names.LabelKind | None = Field(
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
    def names_read_by(cls, reader: Reader | None) -> frozenset[str]:
        """The settings that ``reader`` alone reads; None: those that every method does."""
        return frozenset(name for name, field in cls.model_fields.items() if reader_of(field) is reader)


class Evaluate(Section):
    """``evaluate``: students trained on the distilled set alone, tested once."""

    protocol: names.EvaluationProtocol | None = Field(
        None,
        description="networks from scratch, or linear probes on a frozen backbone (default: probe if one made the set):"
        " students, probe",
        json_schema_extra=NOT_FOR_COMPARE,
    )
    probe_features: names.ProbeFeatures = Field(
        names.ProbeFeatures.cached,
        description="features that probes learn from: of images as they are, or of augmented ones",
        json_schema_extra=NOT_FOR_COMPARE,
    )
    probe_epochs: Positive = Field(
        1000, description="epochs of a probe; those on all real images get a tenth", json_schema_extra=NOT_FOR_COMPARE
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
    labels: names.LabelKind | None = Field(None, description="labels to train on (default: the artifact's)")
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
    controls: bool = Field(True, description="also measure random real images on each architecture")
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
