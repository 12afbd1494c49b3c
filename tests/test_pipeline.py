"""dvc.yaml, params.yaml and the package fit together, and DVC runs only what a change made stale."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from csdm_cli.settings.resolve import load_params
from csdm_cli.settings.sections import Params

ROOT = Path(__file__).parent.parent
STAGES = ("make-lt", "pretrain", "distill", "evaluate", "cross-arch", "sweep", "compare", "profile", "report")
CELLS = {f"sweep@{method}-1-{seed}" for method in ("dm", "herding") for seed in (0, 1)}
RUN = {*STAGES, *CELLS} - {"sweep"}
TINY = """
make_lt: {dataset: digits, imbalance: 4, n_max: 12, size: 16}
pretrain: {width: 4, depth: 2, teachers: 1, epochs: 1, augment: crop}
distill: {ipc: 1, kernel: rbf, frequencies: 16, iterations: 4, draws: 2, augment: crop}
evaluate: {students: 1, steps: 3, full_steps: 3, test_points: 1, augment: crop}
cross_arch: {networks: [convnet], students: 1, steps: 2}
compare: {methods: [dm, herding], ipc: [1], seeds: 2, preset: common}
profile: {ipcs: [1], iterations: 2, warmup: 1}
"""

# The stages that go stale with a file of a room; none does with a room where nothing is decided.
DECIDED_BY = {
    "data/longtail.py": {"make-lt"},
    "methods/selection/rules/greedy.py": {"distill", "evaluate", "compare", "profile", "report", *CELLS},
    "evaluation/scores.py": {"evaluate", "cross-arch", "compare", "profile", "report"},
    "storage/atomic.py": set(),
}


@pytest.fixture(scope="module")
def stages() -> dict:
    return YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]


def test_the_stages_are_the_commands_in_order(stages):
    assert tuple(stages) == STAGES
    for name, stage in stages.items():
        assert shlex.split(stage["cmd"])[:2] == ["csdm", "distill" if name == "sweep" else name]


def test_the_sweep_makes_the_sets_that_compare_wants(stages):
    assert stages["sweep"]["matrix"]["seed"] == list(range(load_params(ROOT / "params.yaml").compare.seeds))


def test_what_stages_depend_on_exists_or_is_made_by_another(stages):
    made = set()
    for stage in stages.values():
        for dep in stage["deps"]:
            assert dep in made or f"{dep}/${{key}}" in made or (ROOT / dep).exists(), dep
        for kind in ("outs", "metrics", "plots"):
            made |= {out if isinstance(out, str) else next(iter(out)) for out in stage.get(kind, [])}


def test_sections_are_declared_whole(stages):
    declared = {section for stage in stages.values() for section in stage.get("params", [])}
    assert declared == set(Params.model_fields)


def test_stages_name_the_sections_that_their_commands_read(stages):
    """``settings.params.SECTION`` in the functions of ``cli/``; distill, compare and profile take all of them."""
    read: dict[str, set[str]] = {}
    for file in (ROOT / "csdm_cli" / "cli").glob("*.py"):
        for function in ast.walk(ast.parse(file.read_text())):
            if isinstance(function, ast.FunctionDef):
                found = re.findall(r"settings\.params\.(\w+)", ast.unparse(function))
                read.setdefault(function.name.replace("_", "-"), set()).update(found)
    assert read["evaluate"] == {"pretrain"} and read["cross-arch"] == {"evaluate"}
    assert [name for name, stage in stages.items() if not read.get(name, set()) <= set(stage.get("params", []))] == []
    assert {"pretrain", "distill", "evaluate"} <= set(stages["compare"]["params"])


def test_nothing_depends_on_a_timing(stages):
    deps = {dep for stage in stages.values() for dep in stage["deps"]}
    assert not [dep for dep in deps if "timing" in dep or "run.json" in dep or dep.endswith("artifacts/distilled")]


def test_the_shipped_params_are_valid():
    assert load_params(ROOT / "params.yaml").make_lt.dataset == "digits"


@pytest.fixture(scope="module")
def project(warm, tmp_path_factory) -> Iterator[Path]:
    """A small repository with the pipeline, its stages not yet run."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "csdm_cli", folder / "csdm_cli", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("tmp", "cache", "*.local"))
    for name in (".dvcignore", "dvc.yaml", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "params.yaml").write_text(TINY)
    run(folder, "git", "init", "-q")
    run(folder, "git", "add", "-A")
    run(folder, "git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "start")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{warm}{os.pathsep}{os.environ['PATH']}")
        yield folder


def run(folder: Path, *command: str) -> str:
    env = {**os.environ, "CSDM_TRACKING": "none", "DVC_NO_ANALYTICS": "1", "OMP_NUM_THREADS": "1"}
    env.pop("CSDM_CACHE", None)
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def ran(output: str) -> set[str]:
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}


def changed_by(project: Path, files: Iterable[str]) -> dict[str, set[str]]:
    """By file, the stages that ``dvc status`` calls changed, by their deps alone, once a line more stands in each.

    The files are in rooms of their own, so that one look tells of all.
    """
    before = {project / "csdm_cli" / file: (project / "csdm_cli" / file).read_text() for file in files}
    for path, text in before.items():
        path.write_text(f"{text}# a line more\n")
    changed = json.loads(run(project, "dvc", "status", "--json"))
    for path, text in before.items():
        path.write_text(text)
    rooms = {file: f"csdm_cli/{file.split('/')[0]}" for file in files}
    return {
        file: {stage for stage, reasons in changed.items() if room in json.dumps(reasons)}
        for file, room in rooms.items()
    }


def test_dvc_runs_everything_once_then_only_what_changed(project):
    assert ran(run(project, "dvc", "repro")) == RUN
    report = (project / "artifacts/report.md").read_text()
    assert report.startswith("### ") and "| herding |" in report
    made = {path.parent.name.split("-")[-3] for path in project.glob("artifacts/compare/*/distilled.safetensors")}
    assert made == {"random"}, "compare takes the sets of the sweep, and makes the controls"
    assert "up to date" in run(project, "dvc", "repro")
    assert changed_by(project, DECIDED_BY) == DECIDED_BY
    (project / "params.yaml").write_text(TINY.replace("students: 1, steps: 3", "students: 1, steps: 4"))
    assert "only the recipe of its students was renewed" in run(project, "dvc", "repro", "distill")
    (project / "params.yaml").write_text(TINY)
    run(project, "dvc", "repro", "distill")
    assert "up to date" in run(project, "dvc", "repro")
    run(project, "git", "add", "-A")
    run(project, "git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "results")
    # caches live in the repository the experiment was started from
    experiment = run(project, "dvc", "exp", "run", "--temp", "-S", "distill.kernel=laplace", "-n", "laplace")
    assert ran(experiment) == RUN - {"make-lt", "pretrain"}
    assert "laplace" in run(project, "dvc", "params", "diff", "HEAD", "laplace")
    compared = run(project, "dvc", "metrics", "diff", "--all", "--md", "HEAD", "laplace")
    assert "| artifacts/evaluate/summary.json" in compared and "| worst_class" in compared
    assert len(compared.splitlines()) < 40, "the numbers that people compare, and no more"
    assert (project / ".csdm" / "bank").is_dir()
    assert not (project / "artifacts" / "distilled" / ".csdm").exists()


@pytest.mark.slow
def test_what_ran_is_pushed_and_pulled_into_a_second_clone(project, tmp_path):
    """As docs/pipeline.md tells, of a pipeline that has run in part: nothing is made again, and nothing is missing."""
    identity = ("-c", "user.name=t", "-c", "user.email=t@t")
    first, second = tmp_path / "first", tmp_path / "second"
    run(tmp_path, "git", "clone", "-q", str(project), str(first))
    start = run(first, "git", "rev-list", "--max-parents=0", "HEAD").strip()
    run(first, "git", "checkout", "-q", "-b", "part", start)
    assert ran(run(first, "dvc", "repro", "evaluate")) == {"make-lt", "pretrain", "distill", "evaluate"}
    (tmp_path / "store").mkdir()
    run(first, "dvc", "remote", "add", "-d", "store", str(tmp_path / "store"))
    run(first, "git", "add", "-A")
    run(first, "git", *identity, "commit", "-qm", "results")
    assert "files pushed" in run(first, "dvc", "push")
    run(tmp_path, "git", "clone", "-q", str(first), str(second))
    run(second, "dvc", "pull", "--allow-missing")
    for name in ("artifacts/distilled/distilled.safetensors", "artifacts/evaluate/per_class.csv", "data/longtail"):
        assert contents(second / name) == contents(first / name), name
    assert ran(run(second, "dvc", "repro", "evaluate")) == set()

    run(second, "dvc", "exp", "run", "-q", "-S", "distill.kernel=laplace", "-n", "laplace", "evaluate")
    shown = run(second, "dvc", "exp", "show", "--only-changed", "--drop", "csdm_cli|artifacts/|data/", "--csv")
    header = next(line for line in shown.splitlines() if line.startswith("Experiment,")).split(",")
    assert {"accuracy", "head", "distill.kernel"} <= set(header) and len(header) <= 16, header
    run(second, "dvc", "plots", "diff", "HEAD", "laplace", "--out", "plots")
    page = (second / "plots" / "index.html").read_text()
    for name, points in (("artifacts/distilled/loss.csv", 4), ("artifacts/evaluate/per_class.csv", 10)):
        (spec,) = [one for one in vega_specs(page) if one["title"]["text"] == name]
        revisions = [value["rev"] for value in spec["data"]["values"]]
        assert sorted(revisions) == ["HEAD"] * points + ["laplace"] * points, "both in one plot"


@pytest.mark.slow
def test_a_backbone_takes_the_teachers_place(project, tmp_path):
    """As docs/backbones.md tells: fitted, or trained without labels where the extra is installed."""
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(project), str(clone))
    run(clone, "git", "checkout", "-q", "-b", "start", run(clone, "git", "rev-list", "--max-parents=0", "HEAD").strip())
    chosen = {"+distill.method": "sfm", "+pretrain.network": "patch-kmeans", "+pretrain.centres": 5}
    assert backbone_after(clone, chosen)["centres"] == 5
    if find_spec("lightly"):
        chosen = {"pretrain.network": "convnet", "~pretrain.centres": None, "+pretrain.objective": "vicreg"}
        assert backbone_after(clone, chosen)["pretext"]["objective"] == "vicreg"


def backbone_after(folder: Path, chosen: dict) -> dict:
    """The description of the backbone that is probed once the pipeline has run with the ``chosen`` settings."""
    words = [name if value is None else f"{name}={value}" for name, value in chosen.items()]
    run(folder, "dvc", "exp", "run", *[part for word in words for part in ("-S", word)], "evaluate")
    protocol = json.loads((folder / "artifacts/evaluate/details.json").read_text())["protocol"]
    return protocol["network"]["frozen"]


def contents(place: Path) -> dict[str, bytes]:
    files = [place] if place.is_file() else sorted(place.iterdir())
    return {file.name: file.read_bytes() for file in files}


def vega_specs(page: str) -> list[dict]:
    """The curves that the page of ``dvc plots`` draws."""
    return [json.loads(text) for text in re.findall(r"var spec = (\{.*?\});\s*vegaEmbed", page, re.DOTALL)]
