"""The commands that make a set again, as far as its file tells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from csdm_cli.artifacts.distilled import stored_sha256
from csdm_cli.artifacts.stored_evaluation import StoredEvaluation
from csdm_cli.report.commands import commands_of
from tests.artifacts.sets import make_set

FILE = Path("a folder/distilled.safetensors")


def told(**config):
    made = make_set()
    return replace(made, provenance=replace(made.provenance, method="imported", config=config))


def test_an_import_with_its_options():
    own = told(images="syn.pt", images_sha256="ab", labels="y.pt", normalised=True, factor=2, experiment=0)
    line = "csdm import syn.pt --data DATA --labels-file y.pt --normalised --factor 2 --out 'a folder'"
    assert commands_of({FILE: own}, {}) == [(line,)]


def test_joined_sets_and_what_nobody_can_tell():
    assert commands_of({FILE: told(sets=["x"])}, {}) == [("csdm merge FILES --out 'a folder'",)]
    assert commands_of({FILE: told()}, {}) == []


def test_an_evaluation_that_tells_too_little_gives_no_block():
    own = told(distill={"method": "dm"})
    found = StoredEvaluation({}, {"measured": {"images_sha256": stored_sha256(own)}})
    assert commands_of({FILE: own}, {Path("evaluate"): found}) == []
