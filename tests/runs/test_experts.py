"""From settings to experts: whose options have an effect, and which experts a method gets."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from csdm_cli.data.build import build_longtail
from csdm_cli.display.console import aloud
from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.ledger.sections import pretrain_section
from csdm_cli.methods.learning import Experts
from csdm_cli.names import ExpertOptimizer
from csdm_cli.runs.choose import choose
from csdm_cli.runs.experts import OF_EXPERTS, OF_TEACHERS, find_experts, make_experts, refuse_idle
from csdm_cli.runs.labels import teachers_again
from csdm_cli.runs.runtime import Runtime
from csdm_cli.runs.task import prepare
from csdm_cli.runs.teachers import find_teachers, train_teachers
from csdm_cli.runs.tracked import pretrain_settings
from csdm_cli.settings import sections
from csdm_cli.storage import places
from csdm_cli.teachers.pool import TeacherPool

CPU, QUIET = torch.device("cpu"), Runtime(quiet=True)
SMALL = {"width": 4, "depth": 2, "experts": 2, "expert_snapshots": 2, "snapshot_every": 3, "expert_batch": 16}


@pytest.fixture(scope="module")
def longtail(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    return build_longtail(sections.MakeLt(dataset="digits", size=8, imbalance=4, n_max=12), folder / "data", folder)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CSDM_CACHE", str(tmp_path / "cache"))


def found(longtail, given=None, classifiers=False, optimizer=ExpertOptimizer.sgd, **settings):
    params = sections.Params(pretrain=sections.Pretrain(**SMALL | settings), distill=sections.Distill())
    method = following(Experts(optimizer, classifiers))
    return find_experts(given, params, method, longtail, longtail.train(), CPU, QUIET)


def following(experts):
    """A method that follows ``experts``, whatever they are."""
    return SimpleNamespace(experts=experts, require_points=lambda points, classifier_points: None)


def test_every_option_is_of_teachers_of_experts_or_of_both():
    both = {"network", "width", "depth", "norm", "pooling", "augment", "augment_mode", "seed"}
    assert both | set(OF_TEACHERS) | set(OF_EXPERTS) == set(sections.Pretrain.model_fields)
    assert not set(OF_TEACHERS) & set(OF_EXPERTS)


def test_options_without_effect_are_refused():
    teachers, sgd = sections.Pretrain(), sections.Pretrain(experts=2)
    gsam = sections.Pretrain(experts=2, expert_optimizer="gsam")
    for settings, name, words in (
        (teachers, "snapshot_every", "--snapshot-every has no effect on teachers"),
        (sgd, "lr", "--lr has no effect on experts"),
        (sgd, "rho", "--rho has no effect on sgd"),
    ):
        with pytest.raises(UsageError, match=words):
            refuse_idle(settings, frozenset({name}))
    refuse_idle(gsam, frozenset({"experts", "rho", "ascent", "seed"}))
    refuse_idle(teachers, frozenset({"lr", "seed"}))


def test_a_method_gets_the_experts_it_asks_for_unless_settings_say_otherwise(longtail):
    plain, flat = found(longtail), found(longtail, optimizer=ExpertOptimizer.gsam)
    assert len(plain) == 2 and plain.classifiers is None and plain.every == 3 and plain.epochs == 2
    assert plain.headers[0]["recipe"]["optimizer"] == "sgd" and flat.headers[0]["recipe"]["optimizer"] == "gsam"
    chosen = found(longtail, optimizer=ExpertOptimizer.gsam, expert_optimizer="sgd")
    assert chosen.paths == plain.paths
    both = found(longtail, classifiers=True, classifier_snapshots=1)
    assert both.paths == plain.paths and both.classifiers.epochs == 1
    assert both.classifiers.headers[0]["start"] == plain.key
    assert found(longtail, classifiers=True).classifiers.epochs == sections.CLASSIFIER_SNAPSHOTS


@pytest.mark.parametrize(
    ("method", "option", "words"),
    [
        ("mtt", {}, "experts of 2 points cannot be matched 1 points ahead of point 7: give --option latest=2"),
        ("lad", {"latest": 1, "classifier_ahead": 3}, "classifier experts of 2 points cannot be matched 3 points"),
    ],
)
def test_experts_that_are_too_short_are_refused_before_they_are_trained(longtail, tmp_path, method, option, words):
    params = sections.Params(
        pretrain=sections.Pretrain(**SMALL, classifier_snapshots=2),
        distill=sections.Distill(method=method, ipc=1, iterations=2, option=option),
    )
    with pytest.raises(UsageError, match=words):
        prepare(choose(params), longtail, None, CPU, QUIET)
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
    pool = found(longtail)
    with pytest.raises(UsageError, match=words):
        prepare(choose(params), longtail, pool, CPU, QUIET)


def test_experts_from_a_folder_get_classifiers_of_their_own(longtail, tmp_path):
    pool = found(longtail, seed=7)
    pool.export(tmp_path / "experts")
    opened = found(longtail, given=tmp_path / "experts", classifiers=True, classifier_snapshots=1, snapshot_every=7)
    assert opened.classifiers.every == 3  # as the experts themselves
    opened.export(tmp_path / "experts")
    again = TeacherPool.open(tmp_path / "experts")
    assert again.key == opened.key and {path.parent for path in again.classifiers.paths} == {tmp_path / "experts"}
    assert opened.key != pool.key and replace(opened, classifiers=None).key == pool.key
    assert opened.classifiers.headers[0]["start"] == pool.key
    small = sections.Pretrain(width=4, depth=2, teachers=1, steps=2, batch=8)
    teachers = train_teachers(small, longtail.train(), CPU, QUIET)
    with pytest.raises(CsdmError, match=r"holds teachers, and csdm follows experts.*--experts"):
        found(longtail, given=teachers)


def test_classifiers_of_a_folder_are_taken_from_there(longtail, tmp_path, monkeypatch):
    made = found(longtail, classifiers=True, classifier_snapshots=1)
    made.export(tmp_path / "experts")
    monkeypatch.setenv("CSDM_CACHE", str(tmp_path / "empty"))
    for snapshots in ({}, {"classifier_snapshots": 1}):
        taken = found(longtail, given=tmp_path / "experts", classifiers=True, **snapshots)
        assert taken.key == made.key and not list((tmp_path / "empty").rglob("*.safetensors"))
    longer = found(longtail, given=tmp_path / "experts", classifiers=True, classifier_snapshots=2)
    assert longer.classifiers.epochs == 2 and tmp_path / "empty" in longer.classifiers.paths[0].parents
    assert found(longtail, given=tmp_path / "experts").key == replace(made, classifiers=None).key


def test_classifiers_that_do_not_belong_to_a_folder_are_refused(longtail, tmp_path):
    made, folder = found(longtail, classifiers=True, classifier_snapshots=1), tmp_path / "experts"
    other = found(longtail, classifiers=True, classifier_snapshots=1, seed=1)
    replace(made, classifiers=other.classifiers).export(folder)
    with pytest.raises(CsdmError, match="is of other experts"):
        TeacherPool.open(folder)
    made.export(folder)
    (folder / "classifier-01.safetensors").write_bytes((folder / "classifier-00.safetensors").read_bytes())
    with pytest.raises(CsdmError, match=r"classifier-01.* is not the file that classifiers\.json names"):
        TeacherPool.open(folder)
    made.export(folder)
    (folder / "classifiers.json").unlink()
    with pytest.raises(CsdmError, match=r"no classifiers\.json"):
        TeacherPool.open(folder)


def test_a_pool_tells_the_settings_that_made_it(longtail):
    asked = sections.Pretrain(**SMALL, expert_optimizer="gsam", rho=0.02)
    told = pretrain_settings(make_experts(asked, longtail.train(), CPU, QUIET).description)
    assert {name: told[name] for name in SMALL if name != "depth"} == {n: v for n, v in SMALL.items() if n != "depth"}
    assert (told["expert_optimizer"], told["rho"], told["ascent"]) == ("gsam", 0.02, 0.3)
    assert set(told) <= set(sections.Pretrain.model_fields)
    both = make_experts(asked.model_copy(update={"classifier_snapshots": 1}), longtail.train(), CPU, QUIET)
    section = pretrain_section(both.description, {})
    expected = asked.model_dump() | {"classifier_snapshots": 1, "depth": None}  # which is the default's at this size
    assert sections.Pretrain(**section).model_dump() == expected


@pytest.mark.parametrize("further", [{}, {"classifier_snapshots": 1}])
def test_experts_that_a_set_tells_of_are_found_again(longtail, further, capsys):
    """As where they give labels: by their description, with classifiers or without, and to the bit."""
    pool = found(longtail, classifiers=bool(further), seed=4, **further)
    with aloud():
        again = teachers_again(pool.description, longtail.train(), places.cache_dir(), CPU, quiet=True)
    assert again.paths == pool.paths and again.key == pool.key
    assert "not to the bit" not in capsys.readouterr().err


def test_experts_are_no_teachers(longtail, tmp_path):
    pool = found(longtail)
    pool.export(tmp_path / "experts")
    with pytest.raises(CsdmError, match=r"holds experts, and dm looks through teachers"):
        find_teachers(
            tmp_path / "experts",
            sections.Params(distill=sections.Distill(method="dm")),
            *(longtail, longtail.train(), CPU, QUIET),
        )


def test_experts_of_another_optimiser_are_taken_with_a_warning(longtail, capsys):
    pool = found(longtail)
    assert found(longtail, given=pool, optimizer=ExpertOptimizer.gsam).paths == pool.paths
    params = sections.Params(pretrain=sections.Pretrain(**SMALL), distill=sections.Distill())
    with aloud():
        find_experts(pool, params, following(Experts(ExpertOptimizer.gsam)), longtail, longtail.train(), CPU, Runtime())
    assert "trained with sgd, and csdm is made for those of gsam" in capsys.readouterr().err
