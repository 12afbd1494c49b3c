"""A folder that DD-Ranking 0.2.0 can score: tensors, a complete configuration, and a script.

DD-Ranking (Li et al. 2025) takes only its own datasets, images normalised with its own statistics (those
of CIFAR-10 also for CIFAR-100), and builds labels from one number of images per class.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from csdm_cli.artifacts.distilled import Decoding, Distilled
from csdm_cli.errors import CsdmError
from csdm_cli.images.normalisation import normalise
from csdm_cli.names import NetworkName, Norm, Source


@dataclass(frozen=True)
class KnownDataset:
    """A dataset as DD-Ranking knows it: its name and classes there, and the statistics it normalises with."""

    name: str
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


_CIFAR = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
KNOWN: Mapping[str, KnownDataset] = {
    Source.cifar10: KnownDataset("CIFAR10", 10, *_CIFAR),
    Source.cifar100: KnownDataset("CIFAR100", 100, *_CIFAR),
    Source.tinyimagenet: KnownDataset("TinyImageNet", 200, *_IMAGENET),
    # The other ImageNet subsets are left out: their class order there is not the sorted one.
    Source.imagenette: KnownDataset("ImageNette", 10, *_IMAGENET),
}
AUGMENTATION = {
    "flip": 0.5,
    "rotate": 15.0,
    "saturation": 2.0,
    "brightness": 1.0,
    "contrast": 0.5,
    "scale": 1.2,
    "crop": 0.125,
    "cutout": 0.5,
}
TEST_INTERVAL = 20  # epochs between DD-Ranking's tests: fewer epochs would never be tested

SCRIPT = '''"""Score the distilled set in this folder with DD-Ranking 0.2.0.

Install it into an environment of its own (it needs numpy < 2): pip install ddranking==0.2.0
{advice}"""

from pathlib import Path

import torch
from ddranking.config import Config
from ddranking.metrics import {scorer}

here = Path(__file__).resolve().parent
(here / "results").mkdir(exist_ok=True)
images = torch.load(here / "images.pt", weights_only=True)
labels = torch.load(here / "labels.pt", weights_only=True)
scorer = {scorer}(Config.from_file(str(here / "config.yaml")))
print(scorer.compute_metrics(image_tensor=images, {labels}=labels, syn_lr={lr!r}, lrs_lambda=0.5))
'''
HARD_ADVICE = """0.2.0 gives accuracies in percent where its formula wants fractions, and fails when it writes its table
at the very end: read the accuracies it logs.
"""
SOFT_ADVICE = """Soft labels need a teacher checkpoint at teachers/<dataset>/<model>/ckpt_best.pt beside this file, and
0.2.0 stops at `self.teacher_model`: replace it by `self.teacher_models[0]` in soft_label.py first.
"""


def torch_bytes(value: Any) -> bytes:
    """``value`` as a file of torch, which, given a file, tells of a full disk as of a fault of its own."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def write_ddranking(distilled: Distilled, folder: Path) -> tuple[str, ...]:
    """Write ``images.pt``, ``labels.pt``, ``config.yaml`` and ``run.py`` into an empty ``folder``.

    Images are decoded and normalised with DD-Ranking's statistics; hard labels are int64, soft ones
    logarithms of probabilities (its losses apply a softmax). ``ipc`` stays the number of *stored*
    images, so that its random baseline gets the same number of pixels.

    Returns:
        What the user should know, one line each.

    Raises:
        CsdmError: if DD-Ranking cannot take this set.
    """
    known = _known_dataset(distilled)
    soft = distilled.soft_labels
    labels: Tensor = distilled.decoded_labels()
    if soft is not None:
        labels = soft.probabilities.float().clamp_min(torch.finfo(torch.float32).tiny).log()
    images = normalise(distilled.decoded(), known.mean, known.std).contiguous()
    for name, tensor in (("images.pt", images), ("labels.pt", labels)):
        (folder / name).write_bytes(torch_bytes(tensor))
    settings = configuration(distilled, known)
    lines = [f"{key}: {json.dumps(value)}" for key, value in settings.items()]  # JSON values are YAML
    (folder / "config.yaml").write_text("\n".join(lines) + "\n")
    script = SCRIPT.format(
        advice=HARD_ADVICE if soft is None else SOFT_ADVICE,
        scorer="LabelRobustScoreHard" if soft is None else "LabelRobustScoreSoft",
        labels="hard_labels" if soft is None else "soft_labels",
        lr=settings["default_lr"],
    )
    (folder / "run.py").write_text(script)
    return (
        f"images are decoded and normalised with DD-Ranking's statistics of {known.name}",
        "run it with `python run.py` in that folder, in an environment of its own (see the script)",
    )


def configuration(distilled: Distilled, known: KnownDataset) -> dict[str, Any]:
    """Every key that DD-Ranking 0.2.0 reads: a missing one would silently become None."""
    recipe = distilled.evaluation
    batch = int(recipe.get("batch", 128))
    steps_per_epoch = -(-len(distilled.decoded_labels()) // batch)
    epochs = -(-int(recipe.get("steps", 2000)) // steps_per_epoch)
    model = model_name(recipe.get("network") or {}, distilled.decoding.size)
    settings: dict[str, Any] = {
        "dataset": known.name,
        "real_data_path": "./dataset/",
        "ipc": distilled.ipc[0],
        "im_size": [distilled.decoding.size] * 2,
        "model_name": model,
        "use_torchvision": False,
        "data_aug_func": "dsa",
        "aug_params": AUGMENTATION,
        "use_zca": False,
        "custom_train_trans": None,
        "custom_val_trans": None,
        "optimizer": "adamw",
        "lr_scheduler": "cosine",
        "step_size": 500,
        "weight_decay": float(recipe.get("weight_decay", 0.01)),
        "momentum": 0.9,
        "num_eval": 5,
        "num_epochs": -(-epochs // TEST_INTERVAL) * TEST_INTERVAL,
        "syn_batch_size": batch,
        "real_batch_size": 256,
        "default_lr": float(recipe.get("lr", 0.001)),
        "num_workers": 4,
        "device": "cuda",
        "dist": False,
        "eval_full_data": True,
        "random_data_path": "./results/random_data.pt",
        "random_data_format": "tensor",
        "save_path": "./results/scores.csv",
    }
    if distilled.soft_labels is not None:
        del settings["use_torchvision"]
        settings |= {
            "soft_label_mode": "S",
            "soft_label_criterion": "kl",
            "loss_fn_kwargs": {"temperature": 1.0, "scale_loss": False},
            "use_aug_for_hard": False,
            "stu_use_torchvision": False,
            "tea_use_torchvision": False,
            "teacher_dir": "./teachers",
            "teacher_model_names": [model],
        }
    return settings


def model_name(network: Mapping[str, Any], size: int) -> str:
    """DD-Ranking's name of the recipe's network; ConvNet of the field's depth for others."""
    batch_norm = "-BN" if network.get("norm") == Norm.batch else ""
    match network.get("name"):
        case NetworkName.resnet18:
            return f"ResNet-18{batch_norm}"
        case NetworkName.vgg11:
            return f"VGG-11{batch_norm}"
        case NetworkName.alexnet:
            return "AlexNet"
        case NetworkName.convnet:
            depth = network.get("depth")
        case _:
            depth = None
    return f"ConvNet-{depth or max(3, size.bit_length() - 3)}{batch_norm}"


def _known_dataset(distilled: Distilled) -> KnownDataset:
    data, decoding = distilled.dataset, distilled.decoding
    known = KNOWN.get(data.name)
    if known is None:
        allowed = ", ".join(sorted(KNOWN))
        raise CsdmError(f"DD-Ranking cannot take a set of {data.name!r} (only {allowed}): use --to npz or pt")
    if data.classes != known.classes or len(data.mean) != len(known.mean):
        raise CsdmError(
            f"DD-Ranking's {known.name} has {known.classes} colour classes, this set has {data.classes} classes of "
            f"{len(data.mean)} channels: use --to npz or pt"
        )
    if len(set(distilled.ipc)) > 1:
        raise CsdmError("DD-Ranking wants as many images in every class, this set has not: use --to npz or pt")
    if distilled.soft_labels is not None and len(distilled.decoded_labels()) != sum(distilled.ipc):
        how = f"factor {decoding.factor}" if isinstance(decoding, Decoding) else f"a {distilled.kind}"
        raise CsdmError(
            f"DD-Ranking builds soft-label sets from the images per class and cannot take {how}: "
            "distil pixels with --factor 1 or with --labels hard, or use --to npz or pt"
        )
    if distilled.value_range != (0.0, 1.0):
        raise CsdmError("DD-Ranking's images must come from pixels in [0, 1], this set's do not: use --to npz or pt")
    return known
