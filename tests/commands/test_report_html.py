"""``csdm report --html``: one file with all that a run left, looked at in a real browser where there is one."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from csdm_cli.artifacts.file import load_distilled
from tests.browser import CHROMIUM, browser
from tests.command_world import fails, run


@pytest.fixture(scope="module")
def evaluated(world, tmp_path_factory):
    """A distilled set with what evaluate and cross-arch wrote into its folder; never written to."""
    place = tmp_path_factory.mktemp("evaluated")
    world.copy_to(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("CSDM_CACHE", str(place / "cache"))
        patch.setenv("CSDM_TRACKING", "none")
        run("evaluate", "set", "--data", "data")
        run("cross-arch", "set", "--data", "data")
    return place / "set"


@pytest.fixture
def results(evaluated, tmp_path, monkeypatch):
    """A copy of it, in the current folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(evaluated, "set")
    return Path("set")


def test_a_folder_gives_one_page_with_everything_in_it(results):
    told = json.loads(run("report", "--html", "set", "--json").stdout)
    assert told == {"page": "set/report.html", "title": "digits by csdm, 2 images per class"}
    html = Path("set/report.html").read_text()
    assert re.findall(r'<section id="(\w+)"', html) == [
        *("images", "accuracy", "classes", "confusion", "others", "loss", "facts", "commands")
    ]
    metrics = json.loads((results / "evaluate/metrics.json").read_text())
    for name in (
        "random",
        "tiled-random",
        "full, cross-entropy",
        "full, logit-adjustment",
        "full, balanced-softmax",
        "full, debiased",
    ):
        assert f"{name}</span>" in html and f"{metrics['controls'][name]['accuracy']['mean']:.1f} ±" in html
    assert html.count('class="sharp"') == len(load_distilled(results).images) == 20
    assert "alexnet: random images" in html and "csdm distill data" in html and "--seed 0 --out set-0" in html
    assert not re.search(r'(src|href)="(?!data:|#)', html)


@pytest.mark.parametrize("named", ["set/distilled.safetensors", "set/evaluate"])
def test_a_file_or_a_folder_of_results_brings_the_rest(results, named):
    run("report", named, "--out", "page.html")
    html = Path("page.html").read_text()
    assert 'id="images"' in html and 'id="accuracy"' in html and "2 stored" in html


def test_a_backbone_s_controls_and_inherited_classifier_are_on_the_page(results):
    score = {"accuracy": {"mean": 30.0, "std": None, "students": 1}}
    told = score | {"method": "csdm", "labels": "hard", "split": "test", "controls": {"nearest to centroid": score}}
    told |= {"inheritance": {"rows": {"csdm + inheritance": score}}}
    place = results / "cross_arch/metrics.json"
    place.write_text(json.dumps({"kmeans": told}))
    shown = page("set")
    for row in ("csdm (hard labels)", "nearest to centroid", "csdm + inheritance"):
        assert f"kmeans: {row}" in shown
    place.write_text(json.dumps({"kmeans": told | {"controls": {"random": {}}}}))
    fails(run("report", "--html", "set", expect=None), 1, "set/cross_arch/metrics.json is damaged")


def test_the_page_stands_beside_the_table(results):
    result = run("report", "set", "set/evaluate", "--out", "table.md", "--html")
    assert Path("table.md").read_text().startswith("### ") and 'id="images"' in Path("table.html").read_text()
    assert "table.html" in result.stderr


def test_scores_of_a_set_that_was_replaced_are_not_the_new_one_s(results, world):
    world.copy_to(Path("world"))
    shutil.copytree(Path("world", "data"), "data")
    shutil.copy(Path("world", "params.yaml"), "params.yaml")
    own = json.loads((results / "evaluate/metrics.json").read_text())["accuracy"]["mean"]
    assert f"{own:.1f} ±" in page("set") and "alexnet" in page("set")
    run("distill", "data", "--method", "random", "--ipc", "1", "--out", "set")
    assert f"{own:.1f} ±" not in page("set") and "alexnet" not in page("set")
    told = run("report", "--html", "set")
    for place in ("set/evaluate", "set/cross_arch"):
        assert f"{place} has the results of another set than lies beside it now: left out" in told.stderr
        assert "learnt from another set than lies beside this folder now" in run("report", place).stdout


def test_classes_are_the_set_s_whatever_its_method_is_called(workplace):
    """The rows of details.json stand in the order of their names, the control ``full`` before ``random``."""
    run("distill", "data", "--method", "random", "--ipc", "1", "--out", "set")
    run("evaluate", "set", "--data", "data")
    rows = json.loads(Path("set/evaluate/details.json").read_text())["rows"]
    per_class = [None if one is None else one["mean"] for one in rows["random (hard labels)"]["per_class"]]
    assert next(iter(rows)).startswith("full")
    shown = re.search(r'<section id="classes".*?</section>', page("set"), re.DOTALL).group()
    found = [float(text) for text in re.findall(r">([\d.]+)(?: ±[^<]*)?<", shown) if "." in text]
    assert sorted(found[:10]) == sorted(round(100 * one, 1) for one in per_class)


def page(*places: str) -> str:
    run("report", "--html", *places)
    return Path("set/report.html").read_text()


def test_a_set_s_folder_has_its_results_within_it(results):
    fails(run("report", "set", expect=None), 1, "such as set/cross_arch")


def test_a_store_of_runs_is_named_where_there_is_one(results):
    assert "MLflow runs" not in run("report", "set/evaluate").stderr


def test_the_same_results_give_the_same_page(results):
    for name in ("one.html", "two.html"):
        run("report", "set", "--out", name)
    assert Path("one.html").read_bytes() == Path("two.html").read_bytes()


def test_an_imported_set_with_names_of_strangers(workplace):
    torch.save([torch.rand(3, 1, 16, 16), torch.tensor([0, 0, 4])], "<b>&.pt")
    run("import", "<b>&.pt", "--data", "data", "--method", "<script>alert(1)</script>", "--out", "mine")
    run("report", "--html", "mine")
    html = Path("mine/report.html").read_text()
    assert "<script>alert" not in html and "&lt;script&gt;alert(1)" in html
    assert "The set has no image of 1, 2, 3" in html and "csdm import" in html


def test_nothing_to_show(workplace):
    fails(run("report", "--html", "nowhere", expect=None), 1, "no file or folder nowhere")
    fails(run("report", "--html", "data", expect=None), 1, "no results in data")
    Path("evaluate").mkdir()
    for text in ("", "[]", '{"accuracy": 3}', "[" * 100_000):
        for name in ("evaluate", "compare"):
            Path(name).mkdir(exist_ok=True)
            Path(f"{name}/metrics.json").write_text(text)
        Path("evaluate/details.json").write_text("{}")
        fails(run("report", "--html", "evaluate", expect=None), 1, "evaluate")
        if text != "[]":
            fails(run("report", "--html", "compare", expect=None), 1, "compare")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_browser_shows_every_picture_without_a_complaint(results, tmp_path):
    (results / "loss.csv").write_text("step,loss\n0,2.0\n1,1.0\n2,0.5\n")
    run("report", "--html", "set")
    with browser(tmp_path / "profile") as page:
        for width in (1280, 390):
            for dark in (False, True):
                page.open(Path("set/report.html"), width=width, dark=dark)
                shown = page.ask("[...document.images].map(image => image.naturalWidth)")
                assert len(shown) == 20 and all(shown)
                assert page.ask("document.documentElement.scrollWidth") <= width, "nothing is wider than the screen"
        papers = []
        for dark in (False, True):
            page.open(Path("set/report.html"), dark=dark)
            papers.append(page.ask("getComputedStyle(document.body).backgroundColor"))
        assert papers[0] != papers[1]
        page.ask("document.querySelectorAll('.tiles button')[3].click()")
        assert page.ask("document.querySelector('dialog').open")
        assert page.ask("document.querySelector('dialog img').naturalWidth") == 16
        assert page.ask("document.querySelector('dialog p').textContent") == "1, image 2 of 2"
        assert page.problems == []
