"""The story of a distilled set in tracked runs: a name, the settings that made it, and accuracies in percent."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from csdm_cli.artifacts.accounting import storage_of
from csdm_cli.artifacts.distilled import Distilled, stored_sha256
from csdm_cli.data.store import LongTail, Manifest
from csdm_cli.evaluation.results import Evaluation
from csdm_cli.names import AugmentMode, EvaluationSplit
from csdm_cli.runs.evaluating import metrics_of
from csdm_cli.runs.experts import expert_settings
from csdm_cli.runs.method_options import unread
from csdm_cli.tracking.tracker import Tracker
from csdm_cli.training.recipe import Duration

Settings = Mapping[str, Any]


def run_name(settings: Settings, before: str = "") -> str:
    """``csdm rbf ipc50 seed0``, of the settings of distill, with the command ``before`` it where it is another."""
    kept = settings_read(settings)
    parts = [before, kept.get("method"), kept.get("kernel"), f"ipc{kept['ipc']}" if "ipc" in kept else ""]
    parts += [f"seed{kept['seed']}"] if "seed" in kept else []
    return " ".join(str(part) for part in parts if part)


def settings_read(settings: Settings) -> dict[str, Any]:
    """Without those that mean nothing to the method, so that no kernel is shown for a method that has none."""
    with suppress(Exception):  # a method of another tool, or of another version of csdm
        idle = unread(settings["method"])
        return {name: value for name, value in settings.items() if name not in idle}
    return dict(settings)


def pretrain_settings(description: Settings | None) -> dict[str, Any]:
    """The settings of pretrain that made a pool of teachers, from its description."""
    if not description:
        return {}
    if "every" in description:
        return expert_settings(description)
    spec, recipe = description.get("spec", {}), description.get("recipe", {})
    found = {"network": spec.get("name")} | {name: spec.get(name) for name in ("width", "depth", "norm", "pooling")}
    if frozen := spec.get("frozen"):
        found |= {"weights": frozen["weights"], "input_size": frozen["size"], "centres": frozen["centres"]}
    found |= {name: description.get(name) for name in ("teachers", "loss", "trajectory", "seed")}
    found |= Duration.told(description).as_dict() | {"augment_mode": recipe.get("augment_mode", AugmentMode.single)}
    return found | {name: recipe.get(name) for name in ("lr", "momentum", "weight_decay", "batch", "augment", "cutmix")}


def made_with(distilled: Distilled) -> dict[str, Any]:
    """The settings of distill and pretrain that made a set, by section; of another tool's set, what is known."""
    origin = distilled.provenance
    known = {"method": origin.method, "ipc": max(distilled.ipc), "seed": origin.seed}
    distill = settings_read(known | dict(origin.config.get("distill") or {}))
    pretrain = pretrain_settings(origin.config.get("teachers"))
    return {"distill": distill} | ({"pretrain": pretrain} if pretrain else {})


def run_key(distilled: Distilled) -> str | None:
    """By which the run that made the set is found."""
    return distilled.provenance.config.get("run")


def tell_of_data(tracker: Tracker, manifest: Manifest, split: str, context: str) -> None:
    """The images of ``split`` that the run reads, and the settings that made the long-tailed set."""
    names = ("dataset", "profile", "imbalance", "n_max", "split", "class_order", "seed")
    tracker.params({"make_lt": {name: getattr(manifest, name) for name in names}})
    tracker.tags({"dataset": manifest.dataset})
    counts = {"train": manifest.counts, "test": manifest.test_counts}.get(split)
    images = sum(counts) if counts else manifest.dev_per_class * manifest.classes
    profile = {"images": images, "classes": manifest.classes, "imbalance": manifest.imbalance}
    tracker.dataset(manifest.dataset, manifest.fingerprints[split], context, profile)


def tell_of_set(tracker: Tracker, distilled: Distilled, longtail: LongTail, split: str) -> None:
    """All that a run on a distilled set is found and compared by, before there is an accuracy."""
    origin, sha256, storage = distilled.provenance, stored_sha256(distilled), storage_of(distilled)
    tracker.params(made_with(distilled))
    tracker.tags({"method": origin.method, "seed": origin.seed, "distilled.sha256": sha256})
    if key := run_key(distilled):
        tracker.tags({"run_key": key})
    tell_of_data(tracker, longtail.manifest, split, split)
    if untested := longtail.manifest.untested(split):
        tracker.tags({"untested": ", ".join(untested)})
    profile = {"images": len(distilled.labels), "classes": distilled.dataset.classes} | asdict(storage)
    tracker.dataset(run_name(made_with(distilled)["distill"]), sha256, "distilled", profile)
    tell_of_teachers(tracker, origin.config.get("teachers"))


def tell_of_teachers(tracker: Tracker, description: Settings | None, *, made: bool = False) -> None:
    """The pool that a run looks through or, if ``made``, trains."""
    if description and "key" in description:
        settings = pretrain_settings(description)
        kind = "experts" if "experts" in settings else "teachers"
        name = f"{kind}-{settings['network']}-x{settings[kind]}"
        tracker.model(name, str(description["key"]), settings, made=made)


def tell_of_scores(tracker: Tracker, evaluation: Evaluation, distilled: Distilled, split: EvaluationSplit) -> None:
    """Tell of the students' scores; on the test set, also where the set was made, and to the pipeline."""
    tell_of_headline(tracker, scores_of(evaluation), distilled, split)
    info = distilled.dataset
    tracker.table("per_class", per_class(evaluation, info.class_names, info.counts))


def tell_of_headline(
    tracker: Tracker, scores: Mapping[str, float], distilled: Distilled, split: EvaluationSplit
) -> None:
    """Tell of ``scores``; of those on the test set, also where the set was made, and to the pipeline."""
    if split is EvaluationSplit.test:
        tracker.headline(scores, made_by=run_key(distilled))
    else:
        tracker.metrics(scores)


def tell_of_learned_rate(tracker: Tracker, evaluation: Evaluation) -> None:
    """Tell of the accuracy of students at the step size that their set was learned with."""
    tracker.metrics({"learned_rate/accuracy": scores_of(evaluation)["accuracy"]})


def scores_of(evaluation: Evaluation) -> dict[str, float]:
    """Means in percent, as tables print them, with their spread as ``NAME_std``."""
    found: dict[str, float] = {}
    for name, score in metrics_of(evaluation).items():
        found |= {name: score["mean"]} | ({f"{name}_std": score["std"]} if score["std"] is not None else {})
    return found


def summary_of(evaluation: Evaluation, share: float | None = None) -> dict[str, float | None]:
    """The few numbers that people compare, for DVC: accuracies in percent, and the share of the gap closed."""
    scores, names = metrics_of(evaluation), ("accuracy", "head", "medium", "tail", "worst_class")
    found = {name: scores[name]["mean"] for name in names if name in scores}
    return found | {"accuracy_std": scores["accuracy"]["std"], "gap": None if share is None else round(share, 4)}


def per_class(evaluation: Evaluation, names: tuple[str, ...], counts: tuple[int, ...]) -> dict[str, list[Any]]:
    """A table: each class with its size, group and accuracy in percent, in label order."""
    groups = {label: group for group, labels in asdict(evaluation.groups).items() for label in labels}
    found = evaluation.per_class

    def percent(values: list[float | None]) -> list[float | None]:
        return [None if value is None else round(100 * value, 4) for value in values]

    return {
        "class": list(names),
        "images": list(counts),
        "group": [groups.get(label, "") for label in range(len(names))],
        "accuracy": percent([score.mean if score else None for score in found]),
        "accuracy_std": percent([score.std if score else None for score in found]),
    }
