"""Shared options: a method's parameters and the settings have them from one place."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest

from csdm_cli.methods import load, method_names, shared_options
from csdm_cli.methods.contract import parameter_names
from csdm_cli.settings import sections
from csdm_cli.settings.fields import Reader

OWNED = sections.Distill.names_read_by(Reader.owner)


def kind_of(name: str) -> object:
    return getattr(shared_options, "".join(word.title() for word in name.split("_")))


def test_settings_say_of_each_what_stands_here():
    for name in OWNED:
        _, told = get_args(kind_of(name))[0], get_args(kind_of(name))[-1]
        assert sections.Distill.model_fields[name].description == told.description != ""


@pytest.mark.parametrize("method", [name for name in method_names() if parameter_names(load(name)) & OWNED])
def test_methods_take_their_types_from_here(method):
    cls = load(method)
    hints = get_type_hints(cls.Parameters, include_extras=True)
    assert {name: hints[name] for name in parameter_names(cls) & OWNED} == {
        name: kind_of(name) for name in parameter_names(cls) & OWNED
    }
