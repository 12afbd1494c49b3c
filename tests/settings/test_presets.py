"""Presets stand between the defaults and the params file."""

from __future__ import annotations

import pytest

from csdm_cli.errors import UsageError
from csdm_cli.names import Preset
from csdm_cli.settings import presets, sections
from csdm_cli.settings.presets import overlaid, preset_values, tuned_options
from csdm_cli.settings.resolve import resolve, with_preset, with_values

TUNED = {
    "dm": {"distill": {"lr": 0.3, "iterations": 7, "draws": 3}, "evaluate": {"steps": 50}},
    "idm": {"distill": {"weight_decay": 0.1, "option": {"ce_weight": 0.05}}},
}


@pytest.fixture(autouse=True)
def tuned(monkeypatch):
    monkeypatch.setattr(presets, "COMMON", TUNED)


def test_defaults_then_preset_then_file_then_command_line(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("distill: {method: dm, iterations: 8, lr: 0.5}")
    found = resolve(sections.Distill, file, {"lr": "0.7"}, Preset.common)
    assert (found.section.lr, found.section.iterations, found.section.draws) == (0.7, 8, 3)
    assert found.section.frequencies == sections.Distill().frequencies
    assert found.params.evaluate.steps == 50 and found.params.distill is found.section
    assert found.given == {"lr"}, "what a preset sets was not asked for on the command line"
    expected = f"settings: defaults < preset common (distill.draws, evaluate.steps) < {file} < command line (lr)"
    assert found.origin == expected


def test_without_a_preset_nothing_is_tuned():
    found = resolve(sections.Distill, None, {"method": "dm"})
    assert found.section == sections.Distill(method="dm") and "preset" not in found.origin


def test_the_preset_is_that_of_the_method_and_ipc_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr("csdm_cli.settings.resolve.preset_values", lambda *given: asked.append(given) or {})
    resolve(sections.Distill, None, {"method": "herding", "ipc": "50"}, Preset.paper)
    assert asked == [(Preset.paper, "herding", 50)]


def test_a_method_without_tuned_values_keeps_the_defaults():
    assert preset_values(Preset.common, "csdm", 10) == {}
    assert "preset common (nothing left to set)" in resolve(sections.Distill, None, {}, Preset.common).origin


def test_paper_settings_come_from_the_method():
    from csdm_cli.methods import load

    assert preset_values(Preset.paper, "ncfm", 10) == load("ncfm").paper(10) != {}


def test_a_preset_that_contradicts_what_was_set_is_a_usage_error(monkeypatch):
    monkeypatch.setattr(presets, "COMMON", {"dm": {"evaluate": {"test_points": 9}}})
    params = sections.Params(distill=sections.Distill(method="dm"), evaluate=sections.Evaluate(steps=3, test_points=2))
    assert with_preset(params, Preset.common).evaluate.test_points == 2
    params = sections.Params(distill=sections.Distill(method="dm"), evaluate=sections.Evaluate(steps=6))
    with pytest.raises(UsageError, match="preset common of dm: evaluate: test_points 9 is more than steps 6"):
        with_preset(params, Preset.common)


def test_values_of_several_sections():
    params = with_values(
        sections.Params(), {"distill": {"lr": "0.2", "option": {"a": 1}}, "evaluate": {"steps": 9}}, "x"
    )
    assert (params.distill.lr, params.evaluate.steps, params.distill.option) == (0.2, 9, {"a": 1})
    with pytest.raises(UsageError, match=r'x: distill.lr: got "fast"'):
        with_values(sections.Params(), {"distill": {"lr": "fast"}}, "x")


def test_overlaid_joins_mappings_and_replaces_the_rest():
    below = {"a": {"x": 1, "y": {"z": 2}}, "b": [1, 2]}
    above = {"a": {"y": {"w": 3}}, "b": [3], "c": {"d": 4}}
    assert overlaid(below, above) == {"a": {"x": 1, "y": {"z": 2, "w": 3}}, "b": [3], "c": {"d": 4}}
    assert below == {"a": {"x": 1, "y": {"z": 2}}, "b": [1, 2]}


def test_tuned_options_are_told_as_they_are_typed():
    assert tuned_options("idm", ()) == "--weight-decay 0.1 --option ce_weight=0.05"
    assert tuned_options("idm", {"option"}) == "--weight-decay 0.1"
    assert tuned_options("herding", ()) == ""
