"""Sets as DD-Ranking takes them."""

from __future__ import annotations

import ast
import json

import pytest
import torch

from csdm_cli.artifacts.ddranking import KNOWN, model_name
from csdm_cli.artifacts.export import export
from csdm_cli.errors import CsdmError
from csdm_cli.names import ExportFormat, LabelKind
from tests.artifacts.sets import cifar_set, coded_set, dataset_info, make_set


def read_config(folder):
    lines = (folder / "config.yaml").read_text().splitlines()
    return {key: json.loads(value) for key, value in (line.split(": ", 1) for line in lines)}


def test_ddranking_tensors_are_the_normalised_images(tmp_path):
    distilled = cifar_set(factor=2)
    out = export(distilled, ExportFormat.ddranking, tmp_path / "dd").path
    images = torch.load(out / "images.pt", weights_only=True)
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (KNOWN["cifar10"].mean, KNOWN["cifar10"].std))
    torch.testing.assert_close(images * std + mean, distilled.decoded())
    labels = torch.load(out / "labels.pt", weights_only=True)
    assert labels.dtype == torch.int64 and torch.equal(labels, distilled.decoded_labels())
    config = read_config(out)
    assert (config["dataset"], config["ipc"], config["im_size"]) == ("CIFAR10", 2, [8, 8])
    assert config["model_name"] == "ConvNet-3" and config["num_epochs"] % 20 == 0 and config["num_epochs"] >= 100
    assert "hard_labels=labels" in (out / "run.py").read_text()


def test_ddranking_soft_labels_are_logits_of_the_same_probabilities(tmp_path):
    distilled = cifar_set(factor=1, soft=True)
    out = export(distilled, ExportFormat.ddranking, tmp_path / "dd").path
    labels = torch.load(out / "labels.pt", weights_only=True)
    torch.testing.assert_close(labels.softmax(1), distilled.targets(LabelKind.soft))
    assert read_config(out)["soft_label_mode"] == "S"
    assert "soft_labels=labels" in (out / "run.py").read_text()


@pytest.mark.parametrize("soft", [False, True])
def test_ddranking_files_parse(tmp_path, soft):
    from ruamel.yaml import YAML

    out = export(cifar_set(factor=1, soft=soft), ExportFormat.ddranking, tmp_path / "dd").path
    ast.parse((out / "run.py").read_text())
    assert YAML(typ="safe").load((out / "config.yaml").read_text()) == read_config(out)


@pytest.mark.parametrize(
    ("distilled", "match"),
    [
        (make_set(), "cannot take a set of 'toy'"),
        (make_set(dataset=dataset_info(name="cifar10")), "10 colour classes"),
        (cifar_set(soft=True, factor=2), "factor 2"),
        (coded_set(classes=10, soft=True, dataset=dataset_info(10, name="cifar10")), "cannot take a frequency"),
        (cifar_set(labels=torch.tensor([0] * 3 + [1] + [label for label in range(2, 10) for _ in "ab"])), "as many"),
        (cifar_set(images=torch.full((20, 3, 8, 8), 1.5), value_range=(0.0, 2.0)), r"pixels in \[0, 1\]"),
    ],
    ids=["dataset", "classes", "soft with factor", "soft coded", "unequal ipc", "range"],
)
def test_ddranking_refuses_what_it_cannot_take(tmp_path, distilled, match):
    with pytest.raises(CsdmError, match=match):
        export(distilled, ExportFormat.ddranking, tmp_path / "dd")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("network", "size", "expected"),
    [
        ({}, 32, "ConvNet-3"),
        ({}, 64, "ConvNet-4"),
        ({"name": "convnet", "depth": None}, 128, "ConvNet-5"),
        ({"name": "convnet", "depth": 4, "norm": "batch"}, 32, "ConvNet-4-BN"),
        ({"name": "resnet18", "norm": "batch"}, 32, "ResNet-18-BN"),
        ({"name": "vgg11", "norm": "instance"}, 32, "VGG-11"),
        ({"name": "alexnet"}, 32, "AlexNet"),
    ],
)
def test_ddranking_model_names(network, size, expected):
    assert model_name(network, size) == expected
