"""The names a user may type. No torch here: help, validation and completion need only these."""

from collections.abc import Sequence
from enum import StrEnum

LEARNED = "learned"  # the value of --lr that stands for a set's own step size
AT_LEARNED_RATE = "SGD at learned lr"  # in the name of the row of students who follow it


def whole_names(parts: Sequence[str], known: Sequence[str]) -> list[str]:
    """Names out of a text that was split at its commas, where ``known`` names may hold commas themselves.

    The longest known name wins; a part that belongs to none stays as it is.
    """
    spelt = {",".join(part.strip() for part in name.split(",")): name for name in known}
    names: list[str] = []
    while parts:
        ends = range(len(parts), 0, -1)
        end = next((end for end in ends if ",".join(parts[:end]) in spelt), 1)
        names.append(spelt.get(",".join(parts[:end]), parts[0]))
        parts = parts[end:]
    return names


class Source(StrEnum):
    """Datasets known by name."""

    digits = "digits"
    cifar10 = "cifar10"
    cifar100 = "cifar100"
    svhn = "svhn"
    fashion_mnist = "fashion-mnist"
    tinyimagenet = "tinyimagenet"
    imagenette = "imagenette"
    imagewoof = "imagewoof"
    imagemeow = "imagemeow"
    imagesquawk = "imagesquawk"
    imagefruit = "imagefruit"
    imageyellow = "imageyellow"
    folder = "folder"


class ImbalanceProfile(StrEnum):
    """How many images each class keeps."""

    exponential = "exponential"
    step = "step"
    pareto = "pareto"
    explicit = "explicit"
    as_is = "as-is"
    balanced = "balanced"

    @property
    def falls(self) -> bool:
        """Whether the imbalance says how many images the smallest class keeps."""
        return self in (ImbalanceProfile.exponential, ImbalanceProfile.step, ImbalanceProfile.pareto)


class Split(StrEnum):
    """Which images of a class are kept."""

    random = "random"
    ltdd = "ltdd"


class ClassOrder(StrEnum):
    """Which class becomes the head."""

    natural = "natural"
    shuffled = "shuffled"


class NetworkName(StrEnum):
    """Networks in the field's 32x32 forms; other names mean torchvision classifiers."""

    convnet = "convnet"
    alexnet = "alexnet"
    vgg11 = "vgg11"
    resnet18 = "resnet18"


class BackboneName(StrEnum):
    """Networks that are never trained: fitted to the training images, or with weights of their own."""

    patch_kmeans = "patch-kmeans"
    efficientnet_lite0 = "efficientnet-lite0"


class Objective(StrEnum):
    """The objective of training without labels, after which a network is a frozen backbone."""

    vicreg = "vicreg"
    barlow_twins = "barlow-twins"
    simclr = "simclr"


class ViewOperation(StrEnum):
    """Operations that tell the two views of an image apart in such training; ``views`` joins some of them by ``_``."""

    crop = "crop"
    flip = "flip"
    color = "color"
    grey = "grey"


class Norm(StrEnum):
    instance = "instance"
    batch = "batch"
    group = "group"
    layer = "layer"
    none = "none"


class Pooling(StrEnum):
    avg = "avg"
    max = "max"
    none = "none"


class TeacherLoss(StrEnum):
    """The loss of teachers (and full-data controls) on the long-tailed set.

    logit-adjustment is cross-entropy whose trained logits are then lowered by the log of the class priors.
    """

    cross_entropy = "cross-entropy"
    logit_adjustment = "logit-adjustment"
    balanced_softmax = "balanced-softmax"


class ExpertOptimizer(StrEnum):
    """How experts of trajectory matching are trained; gsam is what FTD, DATM and LAD ask for."""

    sgd = "sgd"
    gsam = "gsam"


class TeacherSchedule(StrEnum):
    """Which weights of a teacher a draw looks through."""

    final = "final"
    interpolate = "interpolate"
    trajectory = "trajectory"


class KernelName(StrEnum):
    rbf = "rbf"
    laplace = "laplace"
    matern = "matern"
    rational_quadratic = "rational-quadratic"
    linear = "linear"
    cosine = "cosine"
    polynomial = "polynomial"
    sigmoid = "sigmoid"


class AlphaSchedule(StrEnum):
    """How a class's weight between amplitude and phase follows its image count."""

    constant = "constant"
    log_count = "log-count"
    reversed = "reversed"


class Distance(StrEnum):
    squared = "squared"
    root = "root"


class Initial(StrEnum):
    """The synthetic images before the first step."""

    mix = "mix"
    real = "real"
    noise = "noise"


class Parameterization(StrEnum):
    """The numbers learned and stored of a distilled set."""

    pixels = "pixels"
    multi_formation = "multi-formation"
    frequency = "frequency"
    decomposition = "decomposition"
    pyramid = "pyramid"


class PixelOptimizer(StrEnum):
    adam = "adam"
    adamw = "adamw"
    sgd = "sgd"


class Schedule(StrEnum):
    constant = "constant"
    cosine = "cosine"


class AugmentMode(StrEnum):
    """single: one operation of the strategy per draw (DSA); compose: flip, colour, one warp, cutout (DiffAug)."""

    single = "single"
    compose = "compose"


class Operation(StrEnum):
    """Augmentations; a strategy joins some of them by ``_``."""

    color = "color"
    crop = "crop"
    cutout = "cutout"
    flip = "flip"
    scale = "scale"
    rotate = "rotate"


class RealMode(StrEnum):
    """Where the real side of the matching loss comes from."""

    bank = "bank"
    fresh = "fresh"


class Engine(StrEnum):
    batched = "batched"
    textbook = "textbook"


class StoredLabels(StrEnum):
    hard = "hard"
    soft = "soft"


class LabelKind(StrEnum):
    """hard, soft: those stored with a set; teacher: what its teachers say of every image as a student sees it."""

    hard = "hard"
    soft = "soft"
    teacher = "teacher"


class EvaluationSplit(StrEnum):
    test = "test"
    dev = "dev"


class EvaluationProtocol(StrEnum):
    """students: networks trained on the set from scratch; probe: linear classifiers on a frozen backbone's features."""

    students = "students"
    probe = "probe"


class ProbeFeatures(StrEnum):
    """cached: of the images as they are, computed once; live: of images augmented anew at every step."""

    cached = "cached"
    live = "live"


class ExportFormat(StrEnum):
    imagefolder = "imagefolder"
    npz = "npz"
    pt = "pt"
    ddranking = "ddranking"
    huggingface = "huggingface"
    csdm = "csdm"


class Parallel(StrEnum):
    """Students of a set, and teachers of a pool: one after another, or at once as one wide network."""

    auto = "auto"
    together = "together"
    in_turn = "in-turn"


class Precision(StrEnum):
    """The precision of the networks that distillation looks through."""

    fp32 = "fp32"
    bf16 = "bf16"


class Preset(StrEnum):
    """Settings for a method, below those of the user.

    common: the defaults, which all methods share; weights of its own are chosen on a development set.
    paper: each method with its own paper's settings.
    """

    common = "common"
    paper = "paper"


class ExecutorName(StrEnum):
    """Where the cells of a comparison are computed; ray needs the extra ``cluster``."""

    serial = "serial"
    ray = "ray"


class Tracking(StrEnum):
    """Where runs are logged; csv needs nothing installed, tensorboard and wandb the extras of these names."""

    mlflow = "mlflow"
    csv = "csv"
    tensorboard = "tensorboard"
    wandb = "wandb"
    none = "none"


class FrequencyRule(StrEnum):
    """How the frequencies of one draw are spread over the spectral measure."""

    monte_carlo = "monte-carlo"
    orthogonal = "orthogonal"
    sobol = "sobol"
