"""Defaults, file and command line, one over the other."""

from __future__ import annotations

import re

import pytest

from csdm_cli import names
from csdm_cli.errors import UsageError
from csdm_cli.settings import sections
from csdm_cli.settings.resolve import load_params, read_yaml, resolve


def test_precedence_and_its_origin(params):
    path = params("distill: {ipc: 3, lr: 0.5}\nevaluate: {steps: 7}")
    resolved = resolve(sections.Distill, path, {"ipc": "4", "kernel": names.KernelName.matern})
    assert resolved.section == sections.Distill(ipc=4, lr=0.5, kernel="matern")
    assert resolved.params == sections.Params(distill=resolved.section, evaluate=sections.Evaluate(steps=7))
    assert resolved.given == {"ipc", "kernel"}
    assert resolved.origin == f"settings: defaults < {path} < command line (ipc, kernel)"
    assert resolve(sections.Distill, None, {}).origin == "settings: defaults"


def test_wrong_overrides_are_named_as_options():
    with pytest.raises(UsageError) as caught:
        resolve(sections.MakeLt, None, {"n_max": "0", "counts": ["3", "x"]})
    assert '--n-max: got "0", expected an integer >= 1 and <= 100000000\n' in str(caught.value)
    assert '--counts (item 2): got "x", expected an integer >= 1' in str(caught.value)
    with pytest.raises(UsageError, match="counts need profile explicit"):
        resolve(sections.MakeLt, None, {"counts": ["3", "2"], "profile": "step"})


def test_counts_alone_are_the_profile():
    assert resolve(sections.MakeLt, None, {"counts": ["3", "2"]}).section.profile is names.ImbalanceProfile.explicit


def test_the_command_line_can_complete_the_file(params):
    path = params("make_lt: {imbalance: 7}")
    section = resolve(sections.MakeLt, path, {"profile": names.ImbalanceProfile.explicit, "counts": ["3", "2"]}).section
    assert section.counts == [3, 2] and section.imbalance == 7


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UsageError, match=r"none\.yaml: No such file"):
        load_params(tmp_path / "none.yaml")
    with pytest.raises(UsageError, match="directory"):
        load_params(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not YAML"):
        read_yaml(tmp_path / "binary.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2026-11-45", "line 2: not YAML (2026-11-45 cannot be read as a date)"),
        ("b: !!int abc", "line 1: not YAML (abc cannot be read as a whole number)"),
        ("b: [1, !!float x]", "line 1: not YAML (x cannot be read as a number)"),
        ("b: {c: !!bool maybe}", "line 1: not YAML (maybe cannot be read as true or false)"),
        ("b: " + "1" * 5000, f"line 1: not YAML ({'1' * 39}… cannot be read as a whole number)"),
        ("[1]", "holds a list; expected sections"),
        ("5", "holds a single value; expected sections"),
    ],
)
def test_a_value_that_is_not_what_it_is_written_as_is_told_in_words(tmp_path, text, words):
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(UsageError, match=re.escape(words)):
        read_yaml(tmp_path / "bad.yaml")
