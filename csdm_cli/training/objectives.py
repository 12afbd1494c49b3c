"""Losses of self-supervised learning, of the embeddings of two views of each image.

They are lightly's (the extra ``csdm-cli[selfsup]``), with its defaults, which are the papers': VICReg (Bardes et al.
2022, arXiv 2105.04906; weights 25, 25 and 1), Barlow Twins (Zbontar et al. 2021, arXiv 2103.03230; λ = 0.005) and
SimCLR's NT-Xent (Chen et al. 2020, arXiv 2002.05709; at a temperature of 0.5, its authors' for CIFAR-10). Other
constants come from the same papers: how colours change, and the projector's depth.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from torch import Tensor

from csdm_cli.errors import UsageError
from csdm_cli.images.two_views import Jitter
from csdm_cli.names import Objective

# Embeddings of the first and the second views, (n, D) each, to the loss of the batch, ().
PairLoss = Callable[[Tensor, Tensor], Tensor]

TEMPERATURE = 0.5
# Colours as strongly as SimCLR changes those of CIFAR-10, and as Barlow Twins and VICReg do.
JITTER = {
    Objective.simclr: Jitter(0.4, 0.4, 0.4, 0.1),
    Objective.barlow_twins: Jitter(0.4, 0.4, 0.2, 0.1),
    Objective.vicreg: Jitter(0.4, 0.4, 0.2, 0.1),
}
# Layers of the projector, and its outputs where they are fewer than its width.
LAYERS = {Objective.simclr: 2, Objective.barlow_twins: 3, Objective.vicreg: 3}
OUTPUTS = {Objective.simclr: 128}


def pair_loss(objective: Objective) -> PairLoss:
    """The loss of ``objective``.

    Raises:
        UsageError: if lightly is not installed.
    """
    try:
        from lightly.loss import BarlowTwinsLoss, NTXentLoss, VICRegLoss
    except ImportError:
        raise _missing() from None
    if objective is Objective.simclr:
        loss: PairLoss = NTXentLoss(temperature=TEMPERATURE)
    else:
        loss = BarlowTwinsLoss() if objective is Objective.barlow_twins else VICRegLoss()
    return loss


def library() -> str:
    """The library that the losses are from, with its version: part of the key of what is trained by them.

    Raises:
        UsageError: if it is not installed.
    """
    try:
        return f"lightly {version('lightly')}"
    except PackageNotFoundError:
        raise _missing() from None


def _missing() -> UsageError:
    return UsageError("--objective needs an extra: pip install 'csdm-cli[selfsup]'")
