"""A run's key follows all that decides its result; settings without effect are refused before anything is done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

import csdm_cli
from csdm_cli.data.store import LongTail, open_longtail
from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.methods.contract import Method
from csdm_cli.runs.choose import choose
from csdm_cli.runs.runtime import Runtime
from csdm_cli.runs.task import prepare
from csdm_cli.settings import sections
from tests.command_world import PARAMS, run

TINY: dict[str, Any] = YAML(typ="safe").load(PARAMS)


def key_of(method: str, longtail: LongTail, **pretrain: Any) -> str:
    told = TINY | {"distill": {"method": method, "ipc": 1}, "pretrain": TINY["pretrain"] | pretrain}
    chosen = choose(sections.Params.model_validate(told))
    assert isinstance(chosen.method, Method)
    return prepare(chosen, longtail, None, torch.device("cpu"), Runtime(quiet=True)).key


@pytest.mark.parametrize("method", ["dc", "cafe", "random"])
def test_the_network_is_part_of_a_run_that_has_no_teachers(method: str, workplace: Path) -> None:
    """It is what the method trains, and what students are to be."""
    longtail = open_longtail(Path("data"))
    plain = key_of(method, longtail)
    others = [key_of(method, longtail, width=6), key_of(method, longtail, norm="group")]
    assert len({plain, *others}) == 3 and key_of(method, longtail) == plain
    assert key_of(method, longtail, seed=9) == plain, "there are no teachers whose seed it were"


def test_the_normalisation_is_part_of_a_run_and_of_its_teachers(workplace: Path) -> None:
    longtail = open_longtail(Path("data"))
    other = LongTail(longtail.folder, replace(longtail.manifest, mean=(0.9,), std=(0.1,)))
    assert key_of("random", longtail) != key_of("random", other)
    with pytest.raises(CsdmError, match="normalised by other means and deviations"):
        prepare(choose(sections.Params.model_validate(TINY)), other, Path("teachers"), torch.device("cpu"), Runtime())


def test_teachers_that_are_named_tell_the_network_of_a_method_that_needs_none(workplace: Path) -> None:
    run("pretrain", "data", "--width", 6, "--out", "wider")
    named = csdm_cli.distill("data", method="random", ipc=1, teachers="wider", params=TINY, out="named")
    plain = csdm_cli.distill("data", method="random", ipc=1, params=TINY, out="plain")
    assert [made.evaluation["network"]["width"] for made in (named.distilled, plain.distilled)] == [6, 4]


def test_a_set_that_is_there_gets_the_students_recipe_of_now(workplace: Path) -> None:
    """No image depends on it, so none is made again; and the file is what a fresh run would write."""
    longer = TINY | {"evaluate": TINY["evaluate"] | {"steps": 7}}
    before = csdm_cli.distill("data", method="random", ipc=1, params=TINY, out="set").distilled
    after = csdm_cli.distill("data", method="random", ipc=1, params=longer, out="set").distilled
    csdm_cli.distill("data", method="random", ipc=1, params=longer, out="fresh")
    assert before.evaluation["steps"] != 7 and after.evaluation["steps"] == 7
    assert before.provenance.config["run"] == after.provenance.config["run"]
    assert Path("set/distilled.safetensors").read_bytes() == Path("fresh/distilled.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("option", "idle", "read"),
    [
        ("draws", {"method": "csdm", "real": "fresh"}, {"method": "csdm"}),
        ("draws", {"method": "m3d"}, {"method": "m3d", "kernel": "linear"}),
        ("draws", {"method": "dm", "engine": "textbook"}, {"method": "dm"}),
        ("real_batch", {"method": "csdm"}, {"method": "csdm", "real": "fresh"}),
        ("real_batch", {"method": "wmdd", "real": "bank"}, {"method": "dsdm"}),
    ],
)
def test_a_setting_of_the_other_real_side_is_refused(option, idle, read):
    def chosen(**settings):
        return choose(sections.Params(distill=sections.Distill(**settings)), frozenset({option}))

    with pytest.raises(UsageError, match=f"--{option.replace('_', '-')} has no effect: the real side of"):
        chosen(**idle)
    assert chosen(**read).settings.method == read["method"]
