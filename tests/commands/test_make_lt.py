"""Names of sets, and what make-lt says."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from csdm_cli.data.sources import vision
from csdm_cli.data.store import open_longtail
from csdm_cli.runs.long_tail import default_folder
from csdm_cli.settings.sections import MakeLt
from tests.command_world import fails, run
from tests.data.pictures import image_folder, noise

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
        digits, "load", lambda size: type(raw := real(size))(**{**vars(raw), "class_names": ("crane",) * 10})
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
        (["--group-by", "a"], "needs test_share"),
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
