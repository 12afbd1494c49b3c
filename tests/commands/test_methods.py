"""The facts that ``csdm methods`` tells."""

from __future__ import annotations

import json

import pytest

from csdm_cli.methods import load, method_names
from csdm_cli.settings import sections
from csdm_cli.settings.presets import COMMON, SECTIONS
from csdm_cli.settings.resolve import with_preset
from tests.command_world import fails


def told(csdm, *arguments) -> dict:
    result = csdm("methods", *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_every_method_stands_in_the_list_with_its_source_and_cost(csdm):
    listed = told(csdm)
    assert tuple(listed) == method_names()
    for name, line in listed.items():
        cls = load(name)
        assert (line["summary"], line["source"], line["cost"]) == (cls.summary, cls.source, cls.cost)
        assert all("\n" not in line[part] and line[part] for part in ("summary", "source", "cost", "labels"))
    shown = csdm("methods").stdout
    assert all(any(row.startswith(f"{name} ") for row in shown.splitlines()) for name in listed)


@pytest.mark.parametrize("name", method_names())
def test_a_method_tells_all_of_its_own_parameters_and_what_it_reads(csdm, name):
    found = told(csdm, name)
    cls = load(name)
    own = {field for field in cls.Parameters.__dataclass_fields__ if field not in sections.Distill.model_fields}
    assert set(found["parameters"]) == own
    for parameter, line in found["parameters"].items():
        assert line["help"] and line["kind"], f"{name}.{parameter} has no help"
    shown = csdm("methods", name).stdout
    assert all(parameter in shown for parameter in own) and cls.summary in shown


def test_options_that_are_read(csdm):
    assert "--kernel" in told(csdm, "csdm")["shared_options"]
    dm, random = told(csdm, "dm")["shared_options"], told(csdm, "random")["shared_options"]
    assert "--kernel" not in dm and {"--lr", "--factor"} <= set(dm)
    assert not {"--lr", "--factor", "--kernel"} & set(random) and "--ipc" in random
    assert "--factor" in told(csdm, "tiled-random")["shared_options"]


def test_an_unknown_method_is_named_with_what_is_close(csdm):
    fails(csdm("methods", "hreding"), 2, "NAME", "did you mean herding?")
    fails(csdm("methods", "dm", "--ipc", "0"), 2, "--ipc")


@pytest.mark.parametrize("ipc", [1, 10, 50])
@pytest.mark.parametrize("name", method_names())
def test_presets_are_settings_that_can_be_set(name, ipc):
    """Settings of the sections that a preset may set, and not which method, how many images or which test images."""
    cls = load(name)
    for values in (COMMON.get(name, {}), cls.paper(ipc)):
        assert set(values) <= set(SECTIONS)
        assert not {"method", "ipc", "seed"} & set(values.get("distill", {}))
        assert not {"split", "seed"} & set(values.get("evaluate", {}))
    params = sections.Params(distill=sections.Distill(method=name, ipc=ipc))
    for preset in ("common", "paper"):
        with_preset(params, preset)


def test_the_common_preset_knows_its_methods():
    assert set(COMMON) <= set(method_names())
