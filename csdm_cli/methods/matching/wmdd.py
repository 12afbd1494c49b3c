"""WMDD: dataset distillation via the Wasserstein metric (Liu et al., ICCV 2025, arXiv 2311.18531)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from csdm_cli.errors import UsageError
from csdm_cli.methods.contract import Context, MatchingMethod, option
from csdm_cli.methods.matching.transport.barycentre import barycentre
from csdm_cli.methods.statistics import Batch, ClassSummary, Request
from csdm_cli.networks.layers import LeadingLinear
from csdm_cli.networks.network import Network
from csdm_cli.teachers.networks import TeacherNetworks, WrappedTeacherNetworks

# Weight of the batch-norm statistics in the paper's runs on ImageNette.
PAPER_BATCH_NORM = 10.0


@dataclass(frozen=True)
class WmddParameters:
    """Options of WMDD; the weight of its cross-entropy is ``--calibration``."""

    batch_norm: Annotated[float, Field(ge=0)] | None = option(
        None, "weight of the batch-norm statistics (default: 10, or 0 for teachers without batch norm)"
    )
    classes: Literal["sum", "mean"] = option(
        "sum", "whether the classes' distances are added up, as their cross-entropies are, or averaged"
    )


@dataclass(frozen=True)
class Support(ClassSummary):
    """The Wasserstein barycentre of a class's features.

    Attributes:
        points: k, the support points.
        dim: how many leading columns of the features to look at.
        seed: seed of the images whose features the support starts at, the same in every view: so that support point i
            means the same part of the class in all of them, and the synthetic image tied to it can follow.
    """

    points: int
    dim: int | None
    seed: int
    name: ClassVar[str] = "support"

    def of(self, features: Tensor, channels: int, seed: int) -> Tensor:
        """(n, D) -> (points, dim)."""
        return barycentre(features[:, : self.dim], self.points, self.seed)


class Wmdd(MatchingMethod):
    """Σ_c ‖F_c - b_c‖_F + r_bn·Σ_l (‖μ_l - μ_lc‖ + ‖σ²_l - σ²_lc‖), with r_wb·cross-entropy by the engine.

    F_c are the features of the class's m decoded synthetic images, and b_c the m support points of the Wasserstein-2
    barycentre of its real features (free support, uniform weights), point i tied to image i; the norm is not
    squared. μ and σ² are the means and variances per channel of what reaches batch-norm layer l, of the class's
    synthetic images and of its real ones. All are sums over classes, as the cross-entropy is, so that it keeps its
    weight beside them whatever the number of classes.
    """

    Parameters = WmddParameters
    default_calibration: ClassVar[float] = 1.0
    summary = "Wasserstein barycentres of the features"
    source = "Liu et al., ICCV 2025, arXiv 2311.18531"
    cost = "one forward and backward of the synthetic images per step (bank; its barycentres take a while to find)"
    departures = (
        "a barycentre per view, in the convnet's flattened maps instead of one in a ResNet-18's pooled features;"
        " a norm per class and their sum instead of one norm over a batch of several; hard labels; no batch-norm"
        " statistics with teachers without batch norm; Adam's betas are (0.9, 0.999), not (0.5, 0.9); crops are shifts"
        " by an eighth, not RandomResizedCrop(0.08, 1) and a roll"
    )
    parameters: WmddParameters

    def __init__(self, parameters: WmddParameters) -> None:
        super().__init__(parameters)
        self._support = Support(1, None, 0)  # until :meth:`prepare`
        self._weight, self._divisor = 0.0, 1
        self._layers: tuple[int, ...] = ()

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        """On ImageNette. Its learning rate, Adam's 0.25 on normalised pixels, is 0.25·σ = 0.06 on pixels in [0, 1]."""
        network = {"network": "resnet18", "norm": "batch", "teachers": 1, "epochs": 50, "lr": 0.025}
        pixels = {"iterations": 2000, "optimizer": "adam", "lr": 0.06, "schedule": "cosine", "initial": "noise"}
        return {
            "pretrain": network | {"weight_decay": 1e-4, "batch": 32, "loss": "cross-entropy"},
            "distill": pixels | {"factor": 1, "augment": "crop_flip", "labels": "soft", "temperature": 20.0},
        }

    def request(self) -> Request:
        return Request(mean=self._weight > 0, summaries=(self._support,))

    def prepare(self, context: Context) -> None:
        """Raises: UsageError without a bank, or with a weight for batch-norm layers that are not there."""
        if context.data is not None:
            raise UsageError("--real fresh: wmdd ties every image to one point of a whole class's barycentre; use bank")
        self._divisor = len(context.counts) if self.parameters.classes == "mean" else 1
        network = context.pool.network(0) if context.pool else None
        self._layers = tuple(layer.num_features for layer in norm_layers(network)) if network else ()
        asked = self.parameters.batch_norm
        if asked and not self._layers:
            raise UsageError(
                f"--option batch_norm={asked:g}: the teachers have no batch norm to take statistics from; train others "
                "with csdm pretrain --norm batch, or leave the option out"
            )
        self._weight = (PAPER_BATCH_NORM if asked is None else asked) if self._layers else 0.0
        self._support = Support(context.per_class, network.feature_dim if network else None, context.seed)

    def networks(self, shared: TeacherNetworks) -> TeacherNetworks:
        return WrappedTeacherNetworks(shared, WatchingNetwork) if self._weight > 0 else shared

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        features = batch.by_class(batch.features)[:, :, : self._support.dim]  # (c, per_class, D), as the next
        support = batch.real.summaries[Support.name]
        distances = torch.linalg.vector_norm(features - support, dim=(1, 2))  # (c,)
        terms = {"barycentre": distances.sum() / self._divisor}
        if self._weight > 0:
            assert batch.real.mean is not None and self._support.dim is not None
            extra = slice(self._support.dim, None)
            # (c, 2·channels of all layers) each
            own, real = batch.class_means(batch.features)[:, extra], batch.real.mean[:, extra]
            distance = statistics_distance(own, real, self._layers)  # (c,)
            terms["batch_norm"] = self._weight * distance.sum() / self._divisor
        return terms


def statistics_distance(own: Tensor, real: Tensor, layers: tuple[int, ...]) -> Tensor:
    """Σ_l ‖μ_l - μ'_l‖ + ‖σ²_l - σ²'_l‖ of every class, (c,).

    Args:
        own, real: (c, 2·Σ layers), for every layer the means of its channels and then of their squares.
        layers: channels of each layer.
    """
    total = own.new_zeros(len(own))
    sizes = [2 * channels for channels in layers]
    for one, other in zip(own.split(sizes, 1), real.split(sizes, 1), strict=True):
        (mean, square), (mean_, square_) = one.chunk(2, 1), other.chunk(2, 1)
        variances = (square - mean.square()) - (square_ - mean_.square())
        total = total + torch.linalg.vector_norm(mean - mean_, dim=1) + torch.linalg.vector_norm(variances, dim=1)
    return total


def norm_layers(network: nn.Module) -> list[_BatchNorm]:
    """The network's batch-norm layers, in the order of its modules."""
    return [module for module in network.modules() if isinstance(module, _BatchNorm)]


class WatchingNetwork(Network):
    """A network whose features go on with what reaches its batch-norm layers.

    To an image's features it appends, layer after layer, the means over positions of every channel and of its
    square. Means of these over images are the layer's statistics of any set of images, however it is cut in pieces.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.encoder = network.encoder
        self.classifier = LeadingLinear(network.classifier)
        self._dim, self._norms = network.feature_dim, norm_layers(network)
        self.train(network.training)

    def features(self, images: Tensor) -> Tensor:
        """(N, channels, size, size) -> (N, D + 2·channels of all layers)."""
        rows: dict[int, Tensor] = {}

        def watch(place: int, seen: Tensor) -> None:
            maps = seen.flatten(2) if seen.ndim > 2 else seen[:, :, None]
            rows[place] = torch.cat([maps.mean(2), maps.square().mean(2)], 1)

        handles = [
            norm.register_forward_pre_hook(lambda _, inputs, place=place: watch(place, inputs[0]))
            for place, norm in enumerate(self._norms)
        ]
        try:
            features = super().features(images)
        finally:
            for handle in handles:
                handle.remove()
        return torch.cat([features, *(rows[place] for place in range(len(handles)))], 1)

    @property
    def feature_dim(self) -> int:
        return self._dim + 2 * sum(norm.num_features for norm in self._norms)
