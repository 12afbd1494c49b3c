"""``csdm cross-arch``: the evaluation protocol on several architectures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from csdm_cli.display import pictures
from csdm_cli.display.console import emit, note
from csdm_cli.evaluation.controls import ControlName, evaluate_selections
from csdm_cli.evaluation.results import Evaluation
from csdm_cli.evaluation.students import Examiner
from csdm_cli.images.image_set import ImageSet
from csdm_cli.names import EvaluationSplit
from csdm_cli.networks import build
from csdm_cli.runs.judge import (
    Case,
    bars,
    described_protocol,
    examiner_for,
    judge,
    metrics_of,
    open_case,
    protocol_of,
    score_table,
    tell_empty_classes,
    with_recipe_of,
)
from csdm_cli.runs.provenance import RECIPE
from csdm_cli.runs.runtime import Runtime
from csdm_cli.runs.tracked import made_with, run_key, run_name, scores_of, tell_of_set
from csdm_cli.safe_text import counted
from csdm_cli.settings import sections
from csdm_cli.storage import kinds, outputs
from csdm_cli.tracking.tracker import open_tracker

OUTPUTS = {
    "accuracy.png": kinds.PNG,
    "metrics.json": kinds.METRICS,
    "summary.json": kinds.SUMMARY,
    "protocol.json": kinds.containing('"recipe"', '"students"', '"test_points"', '"network"'),
}


def run(
    settings: sections.CrossArch,
    runtime: Runtime,
    *,
    recipe: sections.Evaluate,
    chosen: frozenset[str],
    file: Path | None,
    data: Path | None,
    out: Path | None,
) -> None:
    """Evaluate on each architecture, with the recipe of evaluate, and write metrics and a picture to ``out``.

    ``chosen`` are the fields of ``recipe`` that the user set; the artifact's own fill in the others.
    """
    device = runtime.apply()
    numerics = runtime.student_numerics(device)
    case = open_case(file, data, quiet=runtime.quiet)
    recipe = with_recipe_of(recipe, case.distilled, chosen)
    if settings.augment_mode:
        recipe = recipe.model_copy(update={"augment_mode": settings.augment_mode})
    labels = recipe.labels or case.distilled.default_labels
    protocol = replace(
        protocol_of(recipe), steps=settings.steps, students=settings.students, seed=settings.seed, test_points=1
    )
    specs = {name: case.spec(name) for name in settings.networks}
    for spec in specs.values():
        build(spec, seed=0)  # a network that these images do not fit is an error now, not in an hour
    folder = out or (case.path.parent / "cross_arch")
    outputs.claim_files(folder, OUTPUTS)
    tell_empty_classes(case.distilled, quiet=runtime.quiet)
    note(f"evaluating {case.path} on {', '.join(specs)}; {labels} labels", quiet=runtime.quiet)
    described = {
        "cross_arch": settings.model_dump(mode="json"),
        "evaluate": recipe.model_dump(mode="json", include=set(RECIPE) - {"steps"}),
    }
    title = run_name(made_with(case.distilled)["distill"], "cross-arch")
    with open_tracker(runtime.tracking, "cross-arch", params=described, name=title, quiet=runtime.quiet) as tracker:
        manifest, method = case.longtail.manifest, case.distilled.provenance.method
        untested = manifest.untested()
        tracker.tags({"labels": labels, "split": EvaluationSplit.test})
        tell_of_set(tracker, case.distilled, case.longtail, EvaluationSplit.test)
        test = case.images_of(EvaluationSplit.test).to(device)
        train = case.longtail.train().to(device) if settings.controls else None
        rows: dict[str, Evaluation] = {}
        result = {}
        for name, spec in specs.items():
            examiner = examiner_for(test, spec, protocol, numerics, runtime)
            own = rows[f"{name}: {method}"] = judge(case, labels, examiner)
            result[name] = metrics_of(own) | ({"untested": list(untested)} if untested else {})
            found = {f"{score}/{name}": value for score, value in scores_of(own).items()}
            tracker.headline(found, made_by=run_key(case.distilled))
            if train is not None:
                random = rows[f"{name}: random"] = _random(case, train, examiner)
                result[name]["random"] = metrics_of(random)
                tracker.metric(f"control/random/{name}", scores_of(random)["accuracy"])
        pictures.accuracies(bars(rows), folder / "accuracy.png")
        protocols = {name: described_protocol(protocol, spec, numerics) for name, spec in specs.items()}
        outputs.write_json(folder / "metrics.json", result, OUTPUTS["metrics.json"])
        outputs.write_json(folder / "protocol.json", protocols, OUTPUTS["protocol.json"])
        summary = {"accuracy_percent": {name: found["accuracy"]["mean"] for name, found in result.items()}}
        outputs.write_json(folder / "summary.json", summary, OUTPUTS["summary.json"])
        tracker.artifact(folder / "accuracy.png")
        tracker.artifact(folder / "metrics.json")
    shown = f"{manifest.dataset}, β {manifest.imbalance:g}, IPC {case.distilled.ipc_text}"
    title = f"{shown}: {counted(protocol.steps, 'step')}"
    emit(result, lambda: score_table(title, rows, "network: set", untested), as_json=runtime.json)
    note(f"wrote {folder}/\nnext: csdm report {folder}", quiet=runtime.quiet)


def _random(case: Case, train: ImageSet, examiner: Examiner) -> Evaluation:
    """Of as many random real images as the set stores."""
    return evaluate_selections(train, replace(case.selection, factor=1), examiner)[ControlName.random]
