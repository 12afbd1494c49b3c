"""Settings taken back from what a run tells of itself."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from csdm_cli.data.build import build_longtail
from csdm_cli.data.store import open_longtail
from csdm_cli.ledger.sections import evaluate_section, make_lt_section, pretrain_section, selection_section
from csdm_cli.names import AugmentMode, TeacherLoss
from csdm_cli.networks import NetworkSpec
from csdm_cli.runs.provenance import facts_of
from csdm_cli.runs.student_protocol import protocol_of
from csdm_cli.settings import sections
from csdm_cli.settings.units import modern
from tests.data.pictures import image_folder, noise

FACTS = {
    "dataset": "cifar10",
    "counts": (50, 20, 5),
    "n_max": 50,
    "imbalance": 10.0,
    "profile": "exponential",
    "class_order": "shuffled",
    "split": "random",
    "seed": 3,
    "dev_per_class": 4,
    "size": 16,
}


def test_long_tails():
    found = sections.MakeLt.model_validate(make_lt_section(FACTS))
    assert found == sections.MakeLt(
        dataset="cifar10", imbalance=10, n_max=50, class_order="shuffled", dev=4, size=16, seed=3
    )
    explicit = sections.MakeLt.model_validate(make_lt_section(FACTS | {"profile": "explicit"}))
    assert explicit.counts == [50, 20, 5] and explicit.n_max is None


def test_a_folder_of_images_leaves_no_path():
    assert make_lt_section(FACTS | {"dataset": "folder"})["data_dir"] is None


def test_a_set_of_ones_own_can_be_made_again(tmp_path):
    pictures = {name: [noise(10 * start + index) for index in range(9 - start)] for start, name in enumerate("abc")}
    own = image_folder(tmp_path, {"own": pictures}) / "own"
    asked = {"test_per_class": 2, "group_by": r"(\d)\.png", "classes": ["c", "a"], "channels": 1, "dev": 1}
    wanted = sections.MakeLt(dataset="folder", data_dir=own, seed=3, **asked)
    first = build_longtail(wanted, tmp_path / "first", tmp_path / "cache")
    manifest = open_longtail(first.folder).manifest
    assert manifest.read_as == {name: asked[name] for name in ("test_per_class", "group_by", "classes", "channels")}
    told = make_lt_section(facts_of(manifest))
    again = build_longtail(
        sections.MakeLt.model_validate(told | {"data_dir": own}), tmp_path / "again", tmp_path / "cache"
    )
    assert again.manifest == manifest


@pytest.mark.parametrize("depth", [None, 2])
def test_teachers(depth):
    """As TeacherPool.description has them; a depth is left open where it is the images' own."""
    wanted = sections.Pretrain(width=7, depth=depth, teachers=2, epochs=3, loss="cross-entropy", lr=0.5, seed=4)
    wanted = wanted.model_copy(update={"augment_mode": AugmentMode.compose})
    spec = NetworkSpec("convnet", 7, depth, "instance", "avg", 3, 32, 10).as_dict()
    own = ("lr", "momentum", "weight_decay", "batch", "augment", "augment_mode", "cutmix")
    recipe = {name: getattr(wanted, name) for name in own}
    described = {"spec": spec, "teachers": 2, "epochs": 3, "loss": TeacherLoss.cross_entropy, "seed": 4}
    described |= {"trajectory": False, "recipe": recipe | {"optimizer": "sgd"}}
    assert sections.Pretrain.model_validate(pretrain_section(described, spec)) == wanted
    by_steps = sections.Pretrain.model_validate(pretrain_section(described | {"epochs": 60, "steps": 900}, spec))
    assert (by_steps.steps, by_steps.epochs) == (900, None)
    assert sections.Pretrain.model_validate(pretrain_section(None, spec)) == sections.Pretrain(width=7, depth=depth)


def test_students():
    wanted = sections.Evaluate(students=2, steps=9, lr=0.5, test_points=3, labels="soft", split="dev", controls=False)
    own = NetworkSpec("convnet").as_dict()
    protocol = asdict(protocol_of(wanted)) | {"network": own}
    assert sections.Evaluate.model_validate(evaluate_section(protocol, own, "dev", "soft")) == wanted
    other = evaluate_section(protocol | {"network": own | {"name": "vgg11"}}, own, "dev", "soft")
    assert other["network"] == "vgg11"


def test_selections():
    found = sections.Distill.model_validate(modern(selection_section("tiled-random", 5, 3), 10))
    assert (found.method, found.ipc, found.factor) == ("tiled-random", 5, 3)
