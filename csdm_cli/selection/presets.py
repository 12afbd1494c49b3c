"""Settings under which the selection methods are usually compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Of the library DeepCore (Guo et al. 2022, arXiv 2204.08499), as far as csdm has them: Nesterov's momentum,
# its augmentation and its training on what was selected are left out.
DEEPCORE: Mapping[str, Mapping[str, Any]] = {
    "pretrain": {
        "network": "resnet18",
        "norm": "batch",
        "teachers": 1,
        "epochs": 40,
        "loss": "cross-entropy",
        "lr": 0.1,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "cutmix": 0.0,
    }
}
