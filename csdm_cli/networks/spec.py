"""The specification of a network: every choice that fixes its architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from csdm_cli import names
from csdm_cli.errors import UsageError


def default_depth(size: int) -> int:
    """Blocks of a ConvNet for images of ``size`` pixels: 3 at 32, 4 at 64, 5 at 128 (the last maps are 4x4).

    Smaller images keep three blocks while the last maps are at least 2x2 (16 pixels: 3 blocks, 8 pixels: 2).
    """
    doublings = size.bit_length() - 1
    return max(1, doublings - 2, min(3, doublings - 1))


@dataclass(frozen=True)
class Pretext:
    """The training of a backbone without labels.

    Attributes:
        objective: one of ``names.Objective``.
        epochs, steps: how long; one of both is None.
        batch: images per step, each of which is seen twice; never more than there are.
        lr, weight_decay: first learning rate and decay of AdamW.
        views: operations that tell two views apart, joined by ``_``.
        projector: width of the layers behind the encoder.
    """

    objective: str
    epochs: int | None
    steps: int | None
    batch: int
    lr: float
    weight_decay: float
    views: str
    projector: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "objective", str(self.objective))


@dataclass(frozen=True)
class Frozen:
    """The description of a network that is never trained: where its weights are from, and what it is shown.

    Attributes:
        origin: where the weights are from, in words.
        size: height and width that images are resized to, in pixels.
        mean, std: per channel, of pixels in [0, 1]: the normalisation of its input.
        feature: the features taken, in words.
        weights: hash of the weights it comes with; None where they are from the training images.
        centres: number of centres of patches, where they are fitted; else None.
        pretext: training on the images without their labels, where it is so trained; else None.
    """

    origin: str
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    feature: str
    weights: str | None = None
    centres: int | None = None
    pretext: Pretext | None = None

    def __post_init__(self) -> None:
        if isinstance(self.pretext, Mapping):  # as JSON tells it
            object.__setattr__(self, "pretext", Pretext(**self.pretext))
        for name in ("mean", "std"):
            object.__setattr__(self, name, tuple(getattr(self, name)))


@dataclass(frozen=True)
class NetworkSpec:
    """An architecture and the images it takes.

    ``width``, ``depth`` and ``pooling`` shape the convnet, ``norm`` the convnet, VGG-11 and ResNet-18; networks
    without that choice ignore it, so that one spec can be carried over to another architecture by its name.

    Attributes:
        name: one of ``names.NetworkName``, or a torchvision classifier; ``torchvision:NAME`` where both have it; or a
            network of the user's own, ``module:function``.
        width: channels of each convnet layer.
        depth: blocks of the convnet; None becomes :func:`default_depth` of the size.
        norm: one of ``names.Norm``.
        pooling: one of ``names.Pooling``.
        channels: 1 or 3.
        size: height and width of the images in pixels.
        classes: logits.
        source: hash of the file that defines a network of the user's own (see ``own``); None of the others.
        frozen: description of a network that is never trained (see ``frozen``); None of the others.
    """

    name: str
    width: int = 128
    depth: int | None = None
    norm: str = "instance"
    pooling: str = "avg"
    channels: int = 3
    size: int = 32
    classes: int = 10
    source: str | None = None
    frozen: Frozen | None = None

    def __post_init__(self) -> None:
        if isinstance(self.frozen, Mapping):  # as JSON tells it
            object.__setattr__(self, "frozen", Frozen(**self.frozen))
        if self.depth is None:
            object.__setattr__(self, "depth", default_depth(self.size))
        for field, value, allowed in (("norm", self.norm, names.Norm), ("pooling", self.pooling, names.Pooling)):
            if value not in list(allowed):
                raise UsageError(f"unknown {field} {str(value)!r}: choose one of {', '.join(allowed)}")
            object.__setattr__(self, field, str(value))
        object.__setattr__(self, "name", str(self.name))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``NetworkSpec(**spec.as_dict())`` equals ``spec``."""
        optional = ("source", "frozen")
        found = {name: value for name, value in asdict(self).items() if value or name not in optional}
        if self.frozen:  # lists, as JSON has them
            found["frozen"] |= {"mean": list(self.frozen.mean), "std": list(self.frozen.std)}
            if not self.frozen.pretext:
                del found["frozen"]["pretext"]
        return found
