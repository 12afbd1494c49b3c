"""Names of sets, and what make-lt says."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from csdm_cli.data.sources import vision
from csdm_cli.data.store import open_longtail
from csdm_cli.runs.long_tail import default_folder
from csdm_cli.settings.sections import MakeLt
from tests.command_world import fails, run
from tests.data.pictures import coded, image_folder, noise, parquet_file

VARIANTS = [
    {},
    {"dataset": "cifar100"},
    {"imbalance": 10},
    {"n_max": 500},
    {"dev": 5},
    {"size": 64},
    {"seed": 1},
    {"profile": "step"},
    {"profile": "pareto"},
    {"profile": "balanced"},
    {"profile": "explicit", "counts": [5, 4]},
    {"profile": "explicit", "counts": [5, 3]},
    {"split": "ltdd"},
    {"class_order": "shuffled"},
    {"profile": "as-is"},
    {"test_share": 0.2},
    {"test_share": 0.2, "group_by": "a"},
    {"test_per_class": 2},
    {"classes": ["a", "b"]},
    {"classes": ["b", "a"]},
    {"channels": 1},
    {"background": "black"},
    {"image_column": "a"},
    {"label_column": "a"},
    {"dataset": "folder", "data_dir": "a", "train_list": "a.txt"},
    {"dataset": "folder", "data_dir": "a", "test_list": "a.txt"},
]


def test_a_newcomers_set_has_a_short_name():
    assert default_folder(MakeLt()) == Path("data/cifar10-lt200")
    assert default_folder(MakeLt(dataset="folder", data_dir="/some/pets")) == Path("data/pets-as-is")
    drawn = MakeLt(dataset="folder", data_dir="/some/pets", imbalance=200)
    assert default_folder(drawn) == Path("data/pets-lt200")


def test_different_sets_have_different_names():
    named = [(settings, default_folder(MakeLt(**settings))) for settings in VARIANTS]
    alike = [(one, other) for (one, a), (other, b) in itertools.combinations(named, 2) if a == b]
    assert not alike


def test_replacing_other_images_is_said_so(workplace):
    first = run("make-lt", "--out", "own")
    assert "warning" not in first.stderr
    assert "warning" not in run("make-lt", "--out", "own").stderr  # the same images
    assert "warning: own held other images" in run("make-lt", "--out", "own", "--seed", 1, "--quiet").stderr


def test_a_set_is_found_where_distill_looks_for_it(workplace):
    result = run("make-lt", "--seed", 3)
    assert "next: csdm distill --ipc 10" in result.stderr
    assert "118" not in result.stderr and "53 training images, 20 in the development set, 596 test" in result.stderr


def test_classes_of_one_name_are_all_counted(workplace, monkeypatch):
    from csdm_cli.data.sources import digits

    real = digits.load
    monkeypatch.setattr(
        digits, "load", lambda *form: type(raw := real(*form))(**{**vars(raw), "class_names": ("crane",) * 10})
    )
    made = json.loads(run("make-lt", "--out", "own", "--json").stdout)
    assert made["class_names"] == ["crane"] * 10 and sum(made["counts"]) == made["images"]


def test_a_download_is_announced_once(tmp_path):
    assert vision.will_download("cifar10", None, tmp_path)
    assert not vision.will_download("cifar10", tmp_path, tmp_path) and not vision.will_download(
        "digits", None, tmp_path
    )


def test_a_path_is_a_folder_of_ones_own(workplace):
    image_folder(Path(), {"pets": {"cat": [noise(seed) for seed in range(9)], "dog": [noise(9), noise(10)]}})
    own = ["--params", "none.yaml"]
    Path("none.yaml").write_text("")
    fails(run("make-lt", "pets", *own, expect=None), 2, "pets has no test set", "csdm make-lt pets --test-share 0.2")
    made = json.loads(run("make-lt", "pets", "--test-share", 0.3, "--json", *own).stdout)
    assert made["counts"] == [6, 1] and made["test"] == 4 and made["folder"] == "data/pets-as-is-test0.3"
    fails(run("make-lt", "./pet", *own, expect=None), 2, "./pet is neither a folder nor the name of a dataset")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--channels", 2], "1 (grey) or 3 (colour)"),
        (["--background", "whitish"], "a colour such as white"),
        (["--group-by", "(", "--test-share", 0.2], "a regular expression"),
        (["--group-by", "a", "--dev", 0], "needs test_share or dev"),
        (["--test-share", 0.2, "--test-per-class", 3], "choose one"),
        (["--profile", "as-is"], "leave n_max out"),
        (["--classes", "3,12"], "no class is called 12"),
    ],
)
def test_wrong_options_are_told_in_one_line(workplace, options, says):
    fails(run("make-lt", "digits", "--out", "own", *options, expect=None), 2, says)


def test_commands_take_a_folder_of_images_and_make_the_set_on_the_way(workplace):
    pets = {"cat": [noise(seed, 16, 16) for seed in range(6)], "dog": [noise(9, 16, 16), noise(10, 16, 16)]}
    image_folder(Path("pets"), {"train": pets, "test": pets})
    teach = ["pretrain", "pets", "--out", "out/pool"]
    assert "making data/pets-as-is" in run(*teach).stderr
    assert open_longtail(Path("data/pets-as-is")).manifest.counts == (6, 2)
    assert "making" not in run(*teach).stderr  # nothing has changed
    (Path("pets/train/cat/00.png")).unlink()
    assert "making data/pets-as-is" in run(*teach).stderr
    assert open_longtail(Path("data/pets-as-is")).manifest.counts == (5, 2)


QUICK = [
    f"--set={name}"
    for name in ("evaluate.students=1", "evaluate.steps=2", "evaluate.test_points=1", "pretrain.width=4")
]


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "small", "--data", "pets", "--out", "out/found"],
        ["cross-arch", "small", "--data", "pets", "--networks", "convnet", "--out", "out/found"],
        ["compare", "--data", "pets", "--methods", "random", "--ipc", 1, "--seeds", 1, "--out", "out/found", *QUICK],
        ["import", "small.npz", "--data", "pets", "--out", "out/found"],
    ],
    ids=lambda command: command[0],
)
def test_every_command_makes_the_set_of_a_folder_on_the_way(workplace, command):
    pets = {"cat": [noise(seed, 16, 16) for seed in range(6)], "dog": [noise(9, 16, 16), noise(10, 16, 16)]}
    image_folder(Path("pets"), {"train": pets, "test": pets})
    run("distill", "pets", "--method", "random", "--ipc", 1, "--out", "small")
    np.savez("small.npz", images=np.zeros((2, 16, 16, 3), np.uint8), labels=[0, 1])
    shutil.rmtree("data/pets-as-is")
    found = run(*command)
    assert "making data/pets-as-is" in found.stderr and any(Path("out/found").iterdir())
    made = open_longtail(Path("data/pets-as-is")).manifest
    assert made.counts == (6, 2) and made.test_counts == (6, 2)


def test_a_folder_that_is_no_set_and_holds_no_images_is_told_so(workplace):
    Path("empty").mkdir()
    fails(run("evaluate", "set", "--data", "empty", expect=None), 1, "empty is not a long-tailed set")
    pets = {name: [noise(seed, 16, 16) for seed in range(2)] for name in ("cat", "dog")}
    image_folder(Path("pets"), {"train": pets, "test": pets})
    fails(run("evaluate", "set", "--data", "pets", expect=None), 1, "set/distilled.safetensors was distilled from")


def test_a_tail_of_ones_own_is_shown_from_head_to_tail(workplace):
    pets = {name: [noise(seed) for seed in range(count)] for name, count in (("ant", 2), ("bee", 5), ("cow, red", 1))}
    image_folder(Path("pets"), {"train": pets, "test": pets})
    Path("none.yaml").write_text("")
    made = run("make-lt", "pets", "--out", "own", "--params", "none.yaml")
    shown = [line.partition("█")[0].rstrip(" 0123456789") for line in made.stdout.splitlines()]
    assert shown == ["bee", "ant", "cow, red"]
    assert "5 images in the largest class, 1 in the smallest: β = 5" in made.stderr
    two = ["--classes", "cow, red,ant", "--params", "none.yaml", "--json"]
    assert json.loads(run("make-lt", "pets", "--out", "two", *two).stdout)["class_names"] == ["cow, red", "ant"]
    fails(
        run("make-lt", "pets", "--classes", "ant,eel", "--out", "x", expect=None), 2, "called eel; there are ant, bee"
    )


def known_set(root: Path, counts: tuple[int, ...]) -> Path:
    """Parquet of a dataset known by name, whose classes have these sizes; two test images each."""
    for split, sizes in (("train", counts), ("test", (2,) * len(counts))):
        labels = [label for label, count in enumerate(sizes) for _ in range(count)]
        images = [coded(noise(seed)) for seed in range(len(labels))]
        parquet_file(root / f"{split}-00000-of-00001.parquet", images, labels, ("ant", "bee", "cow"))
    return root


@pytest.mark.parametrize("source", ["svhn", "cifar10"])
def test_a_known_set_whose_classes_differ_in_size_is_kept_whole(workplace, source):
    own = ["--data-dir", known_set(Path("own"), (4, 9, 6)), "--params", "none.yaml", "--json"]
    Path("none.yaml").write_text("")
    kept = run("make-lt", source, *own)
    made = json.loads(kept.stdout)
    assert (made["counts"], made["folder"], made["imbalance"]) == ([4, 9, 6], f"data/{source}-as-is", 2.25)
    assert f"the classes of {source} differ in size (9 to 4 images): all are kept" in kept.stderr
    for options, counts in (
        (["--imbalance", 4], [4, 2, 1]),
        (["--n-max", 2, "--imbalance", 2], [2, 1, 1]),
        (["--profile", "balanced"], [4, 4, 4]),
        (["--class-order", "shuffled", "--imbalance", 4], None),
    ):
        drawn = run("make-lt", source, *own, *options)
        assert json.loads(drawn.stdout)["counts"] == counts or counts is None
        assert "all are kept" not in drawn.stderr


def test_a_known_set_of_about_equal_classes_still_has_its_tail_drawn(workplace):
    Path("none.yaml").write_text("")
    own = ["--params", "none.yaml", "--json", "--data-dir"]
    made = run("make-lt", "svhn", *own, known_set(Path("own"), (210, 290, 200)))
    assert json.loads(made.stdout)["counts"] == [200, 14, 1] and "all are kept" not in made.stderr
    digits = json.loads(run("make-lt", "digits", "--imbalance", 10, "--params", "none.yaml", "--json").stdout)
    assert digits["counts"] == [116, 89, 69, 53, 41, 32, 24, 19, 14, 11]
    assert digits["folder"] == "data/digits-lt10"


def test_a_tail_asked_for_on_top_of_a_file_is_drawn(workplace):
    pets = {name: [noise(seed) for seed in range(8)] for name in ("ant", "bee")}
    image_folder(Path("pets"), {"train": pets, "test": pets})
    Path("own.yaml").write_text("make_lt: {dataset: folder, data_dir: pets}")
    own = ["--params", "own.yaml", "--json"]
    assert json.loads(run("make-lt", *own).stdout)["counts"] == [8, 8]
    assert json.loads(run("make-lt", *own, "--imbalance", 4).stdout)["counts"] == [8, 2]
