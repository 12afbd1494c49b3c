"""Options as keywords: what signatures show, and what says how a run computes."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import csdm_cli
from csdm_cli.errors import UsageError
from csdm_cli.names import Tracking
from csdm_cli.runs.keywords import RUNNING, runtime_from, with_settings_of
from csdm_cli.settings import sections


def test_signatures_show_the_options_in_place_of_settings():
    @with_settings_of(sections.Evaluate)
    def measured(path: str, *, students: int = 7, **settings: Any) -> int:
        return students

    shown = inspect.signature(measured).parameters
    assert list(shown)[:2] == ["path", "students"] and "settings" not in shown
    assert set(shown) == {"path", "students", *sections.Evaluate.model_fields, *RUNNING}
    assert shown["students"].default == 7 and shown["steps"].default == sections.Evaluate().steps
    assert measured("x") == 7


def test_the_doors_of_the_package_have_them():
    for function, section in ((csdm_cli.distill, sections.Distill), (csdm_cli.make_long_tail, sections.MakeLt)):
        assert set(section.model_fields) <= set(inspect.signature(function).parameters)
    assert inspect.signature(csdm_cli.distill).parameters["ipc"].default == sections.Distill().ipc
    assert "device" not in inspect.signature(csdm_cli.make_long_tail).parameters
    assert {"device", "compile"} <= set(inspect.signature(csdm_cli.evaluate).parameters)


def test_how_a_run_computes_is_taken_out_of_the_settings():
    settings = {"threads": 2, "compile": True, "ipc": 3}
    runtime = runtime_from(settings)
    assert (runtime.threads, runtime.compiled, runtime.tracking) == (2, True, Tracking.none)
    assert settings == {"ipc": 3}
    with pytest.raises(UsageError, match="--threads: got 'many', expected a number"):
        runtime_from({"threads": "many"})
