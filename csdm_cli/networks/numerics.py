"""The numerics of networks while images are distilled: precision, order of memory, compilation.

Only the network is meant: its features come out in the type of its input, and spectra, losses, pixels and the
optimiser stay in that type. :mod:`csdm_cli.training.tuned` has students and teachers compute so.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from csdm_cli.errors import CsdmError
from csdm_cli.names import Precision
from csdm_cli.networks.network import Network

# Of torch.compile, which makes at most eight programs of a function: whole and last chunk, whole and last piece of
# it, with and without a graph.
BACKEND = "inductor"


@dataclass(frozen=True)
class Numerics:
    """The choices that change the rounding of a network's features, and their speed.

    Attributes:
        precision: fp32, as PyTorch does it (its convolutions on CUDA round their operands to TF32), or bf16 autocast.
        channels_last: whether images lie in memory pixel by pixel instead of channel by channel.
        compiled: whether torch.compile makes one program of the network per shape of its input.
    """

    precision: Precision = Precision.fp32
    channels_last: bool = False
    compiled: bool = False

    @property
    def eager(self) -> Numerics:
        """The same without compilation."""
        return replace(self, compiled=False)

    @property
    def memory_format(self) -> torch.memory_format:
        """The order of images and weights in memory."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def told(cls, described: Mapping[str, Any] | None) -> Numerics:
        """Those that :meth:`as_dict` gave; plain ones of nothing."""
        return cls(**{**described, "precision": Precision(described["precision"])}) if described else PLAIN

    def features(self, network: Network, images: Tensor) -> Tensor:
        """The network's features of images (N, C, H, W), in the images' type: (N, D)."""
        images = images.contiguous(memory_format=self.memory_format)
        half = self.precision is Precision.bf16
        with torch.autocast(images.device.type, dtype=torch.bfloat16) if half else nullcontext():
            features = network.features(images)
        return features.to(images.dtype)


PLAIN = Numerics()

# What each kind of device does by itself; `python benchmarks/numerics.py` measures the choices.
# CPU: on a core of an EPYC with AVX-512 bf16 an iteration (ConvNet-3 of width 128, IPC 2) takes, of plain's time, 0.66
# compiled, 0.67 in bf16, 0.46 with both; channels last takes 0.93, in bf16 1.7. Of students (width 64, batch 128, one
# thread of a busy machine) a step takes 0.77 of plain's 160 ms compiled, and 0.37 in bf16 too; a test takes 0.32
# compiled. No cost in accuracy was found (docs/study.md). But programs take a C++ compiler, and longer to make than a
# small run lasts, and on cores without bf16 arithmetic it is slower: a choice for long runs.
# CUDA: on an H100 nothing of it is faster while a host launches the kernels (0.8 to 1.25 of plain's time); steps that
# are recorded (see distillation/replay.py) take half in bf16 compiled.
AUTOMATIC = {"cpu": PLAIN, "cuda": PLAIN}


def chosen(
    device: torch.device, precision: Precision | None, channels_last: bool | None, compiled: bool | None
) -> Numerics:
    """The numerics asked for, and where nothing was, the device's own."""
    own = AUTOMATIC[device.type]
    return Numerics(
        own.precision if precision is None else precision,
        own.channels_last if channels_last is None else channels_last,
        own.compiled if compiled is None else compiled,
    )


CPU_INFO = Path("/proc/cpuinfo")
CPU_BF16 = re.compile(r"\b(avx512_bf16|amx_bf16)\b")


def faster(device: torch.device, numerics: Numerics, share: float = 0.46) -> str:
    """How a long loop could be faster, in words; nothing where that is unknown or chosen already.

    Args:
        device: where it runs.
        numerics: how it computes.
        share: time that bf16 and compilation leave of a plain step's, as measured (see above).
    """
    if device.type != "cpu" or numerics != PLAIN:
        return ""
    try:
        has_bf16 = CPU_BF16.search(CPU_INFO.read_text()) is not None
    except OSError:
        return ""
    saved = f"with --precision bf16 --compile such steps took {share:.2f} of that where they were measured"
    return f"{saved}, after minutes of compiling" if has_bf16 else ""


class TunedNetwork(Network):
    """A network whose features are computed as some :class:`Numerics` say; its weights are those of the other."""

    def __init__(self, network: Network, features: Callable[[Network, Tensor], Tensor]) -> None:
        super().__init__()
        self.network = network
        self._features = features

    def features(self, images: Tensor) -> Tensor:
        """(N, channels, size, size) -> (N, D), in the images' type."""
        return self._features(self.network, images)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, of the features in their type: (N, channels, size, size) -> (N, classes)."""
        logits: Tensor = self.network.classifier(self.features(images))
        return logits

    @property
    def encoder(self) -> nn.Module:  # type: ignore[override]
        """As it is, without the numerics."""
        return self.network.encoder

    @property
    def classifier(self) -> nn.Linear:  # type: ignore[override]
        """The classifier of features, in their type."""
        return self.network.classifier

    @property
    def feature_dim(self) -> int:
        """D, the length of a feature vector."""
        return self.network.feature_dim

    @property
    def at_least_on_cpu(self) -> int:  # type: ignore[override]
        """As of the network itself."""
        return self.network.at_least_on_cpu


def features_by(numerics: Numerics) -> Callable[[Network, Tensor], Tensor]:
    """:meth:`Numerics.features`, compiled where they say so."""
    return _compiled(numerics) if numerics.compiled else numerics.features


def _compiled(numerics: Numerics) -> Callable[[Network, Tensor], Tensor]:
    """:meth:`Numerics.features` as programs for fixed shapes, each made when it is first needed.

    Raises (when called):
        CsdmError: if this machine or this network cannot be compiled for.
    """

    def features(network: Network, images: Tensor) -> Tensor:
        return numerics.features(network, images)

    # Torch remarks, to whoever compiles for a CPU as well, that a machine with CUDA's files has no GPU.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    features.__code__ = features.__code__.replace()  # programs are counted per code object: each run has its own
    program = torch.compile(features, dynamic=False, fullgraph=True, backend=BACKEND)

    def run(network: Network, images: Tensor) -> Tensor:
        from torch._dynamo.exc import TorchDynamoException

        try:
            result: Tensor = program(network, images)
        except TorchDynamoException as error:
            reason = _first_said(str(error)) or type(error).__name__
            raise CsdmError(
                f"--compile: torch.compile fails on this machine or network ({reason}); use --no-compile"
            ) from error
        return result

    return run


def _first_said(text: str) -> str:
    """The first line that is no heading of the next ("backend='inductor' raised:", up to torch 2.9); may be empty."""
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if line and not line.endswith(":")), "")
