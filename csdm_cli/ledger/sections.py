"""The settings that repeat a run, by section of params.yaml, from what it tells of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from csdm_cli.names import ImbalanceProfile, ProbeFeatures, StoredLabels
from csdm_cli.networks.spec import Pretext, default_depth
from csdm_cli.runs.backbones import pretext_settings
from csdm_cli.runs.evaluating import start_of
from csdm_cli.runs.experts import expert_settings
from csdm_cli.settings import sections
from csdm_cli.settings.units import in_units
from csdm_cli.training.recipe import Duration


def make_lt_section(data: Mapping[str, Any]) -> dict[str, Any]:
    """``make_lt`` from the facts of a long-tailed set's manifest."""
    names = {"dataset", "profile", "class_order", "split", "size", "seed"}
    profile = data["profile"]
    if profile == ImbalanceProfile.explicit:
        sizes = {"counts": list(data["counts"]), "imbalance": data["imbalance"]}
    elif profile == ImbalanceProfile.as_is:
        sizes = {}
    else:
        sizes = {"n_max": data["n_max"], "imbalance": data["imbalance"]}
    settings = sections.MakeLt.model_validate(
        {name: data[name] for name in names}
        | {"dev": data["dev_per_class"]}
        | sizes
        | ({"data_dir": "."} if data["dataset"] == "folder" else {})
        | data.get("read_as", {})
    )
    return settings.model_dump(mode="json") | {"data_dir": None}


def pretrain_section(teachers: Mapping[str, Any] | None, network: Mapping[str, Any]) -> dict[str, Any]:
    """``pretrain`` from a pool's description; without one, from the students' ``network`` alone."""
    spec = teachers["spec"] if teachers else network
    depth = spec["depth"] if spec["depth"] != default_depth(spec["size"]) else None
    given = {name: spec[name] for name in ("width", "norm", "pooling")} | {"network": spec["name"], "depth": depth}
    frozen = spec.get("frozen")
    if frozen:  # which file the weights were in is not told, and need not be what it was
        given |= {
            "weights": "default" if frozen["weights"] else None,
            "input_size": None if frozen.get("pretext") else frozen["size"],
            "centres": frozen["centres"],
        }
    if teachers and "every" in teachers:
        given |= expert_settings(teachers) | {"depth": depth}
    elif teachers:
        given |= {name: teachers[name] for name in ("teachers", "loss", "trajectory", "seed")}
        given |= Duration.told(teachers).as_dict()
    if frozen and frozen.get("pretext"):
        given |= pretext_settings(Pretext(**frozen["pretext"]))
    if teachers and "every" not in teachers and not frozen:  # of whose probe the recipe is always the same
        recipe = ("lr", "momentum", "weight_decay", "batch", "augment", "augment_mode", "cutmix")
        given |= {name: teachers["recipe"][name] for name in recipe}
    return sections.Pretrain.model_validate(given).model_dump(mode="json")


def evaluate_section(
    protocol: Mapping[str, Any], network: Mapping[str, Any], tested_on: str, labels: str
) -> dict[str, Any]:
    """``evaluate`` from the protocol that students were taught by; ``network`` is the teachers'."""
    if told := protocol.get("probed"):
        given = {"protocol": "probe", "probe_features": told["features"], "test_points": 1}
        given |= {name: protocol[name] for name in ("students", "seed", "probe_epochs", "steps", "full_steps")}
        if told["features"] == ProbeFeatures.live:
            given |= {name: protocol["recipe"][name] for name in ("augment", "augment_mode")}
        given |= {"labels": labels, "split": tested_on, "controls": False}
        return sections.Evaluate.model_validate(given).model_dump(mode="json")
    other = protocol["network"]["name"] if protocol["network"]["name"] != network["name"] else None
    recipe = {
        name: protocol["recipe"][name] for name in ("lr", "weight_decay", "batch", "augment", "augment_mode", "cutmix")
    }
    given = {name: protocol[name] for name in ("students", "steps", "seed", "test_points")}
    given["full_steps"] = protocol.get("full_steps")
    settings = sections.Evaluate.model_validate(
        recipe | given | {"network": other, "labels": labels, "split": tested_on, "controls": False}
    )
    return settings.model_dump(mode="json")


def start_section(distill: Mapping[str, Any]) -> dict[str, Any]:
    """``distill`` for the control ``start`` of a set of coefficients or tensors."""
    return in_units(start_of(distill).model_dump(mode="json"))


def selection_section(method: str, ipc: int, factor: int) -> dict[str, Any]:
    """``distill`` for a control that was measured beside another set: a selection, for all real images the cheapest."""
    settings = sections.Distill(method=method, ipc=ipc, factor=factor, labels=StoredLabels.hard)
    return in_units(settings.model_dump(mode="json"))
