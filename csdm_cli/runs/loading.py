"""A distilled set from its file, as tensors or as a torch ``Dataset``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from csdm_cli.artifacts.dataset import DistilledDataset
from csdm_cli.artifacts.distilled import Distilled
from csdm_cli.artifacts.file import find_artifact, load_distilled
from csdm_cli.names import StoredLabels


@dataclass(frozen=True, eq=False)
class LoadedSet:
    """A distilled set from its file.

    Attributes:
        path: the file.
        distilled: all that is in it.
    """

    path: Path
    distilled: Distilled

    def dataset(self, labels: str | None = None, *, normalised: bool = True) -> DistilledDataset:
        """A torch ``Dataset`` of the images that networks are trained on: decoded, and normalised unless told.

        Args:
            labels: ``hard`` or ``soft``; None is soft, if the set has soft labels.
            normalised: by the mean and deviation of the real images; else pixels are in [0, 1].

        Raises:
            CsdmError: if soft labels are asked for and the set has none.
        """
        return DistilledDataset(self.distilled, StoredLabels(labels) if labels else None, normalised=normalised)

    def tensors(self, labels: str | None = None, *, normalised: bool = True) -> tuple[Tensor, Tensor]:
        """Images (N·factor², channels, size, size) and targets, as in :meth:`dataset`."""
        found = self.dataset(labels, normalised=normalised)
        return found.images, found.targets


def load(path: str | Path) -> LoadedSet:
    """The distilled set in a file or folder, checked against its hashes.

    Example:
        >>> import csdm_cli
        >>> data = csdm_cli.make_long_tail("digits", imbalance=10, n_max=20, out="data")
        >>> made = csdm_cli.distill(data, method="random", ipc=1, out="random")
        >>> images, labels = csdm_cli.load("random").tensors()
        >>> images.shape, labels[:3]
        (torch.Size([10, 1, 16, 16]), tensor([0, 1, 2]))

    Raises:
        CsdmError: if there is none, or it is damaged.
    """
    file = find_artifact(Path(path))
    return LoadedSet(file, load_distilled(file))
