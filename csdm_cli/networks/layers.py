"""Layers that networks share: normalisation by name, the check of the image size, a classifier of wider features."""

from __future__ import annotations

from torch import Tensor, nn

from csdm_cli.errors import UsageError
from csdm_cli.networks.spec import NetworkSpec

GROUPS = 4  # of the group norm, as in DC


def norm_layers(norm: str, channels: int) -> list[nn.Module]:
    """The normalisation called ``norm`` on ``channels`` maps, with one scale and shift per channel.

    Instance norm is a group norm of one channel per group: it keeps no running statistics, so training and
    evaluation mode agree. Layer norm is over all channels and pixels of an image.

    Raises:
        UsageError: the channels do not divide into the groups of the group norm.
    """
    if norm == "none":
        return []
    if norm == "batch":
        return [nn.BatchNorm2d(channels)]
    groups = {"instance": channels, "layer": 1, "group": GROUPS}[norm]
    if channels % groups:
        raise UsageError(f"width {channels} does not divide into the {groups} groups of group norm: choose a multiple")
    return [nn.GroupNorm(groups, channels)]


class LeadingLinear(nn.Linear):
    """A linear layer, with the weights of another, on the leading columns of its input."""

    def __init__(self, linear: nn.Linear) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias

    def forward(self, features: Tensor) -> Tensor:
        """(N, at least ``in_features``) -> (N, ``out_features``)."""
        return super().forward(features[:, : self.in_features])


def require_size(spec: NetworkSpec, smallest: int, hint: str = "larger images or another network") -> None:
    """Refuse images smaller than ``smallest`` pixels a side.

    Raises:
        UsageError: the spec's images are smaller.
    """
    if spec.size < smallest:
        raise UsageError(
            f"{spec.size}x{spec.size} images are too small for {spec.name}, "
            f"which needs at least {smallest}x{smallest}: use {hint}"
        )
