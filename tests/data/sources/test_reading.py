"""How a source is read when nobody says."""

from __future__ import annotations

from dataclasses import fields

from csdm_cli.data.sources.pixels import WHITE
from csdm_cli.data.sources.reading import Reading
from csdm_cli.settings.sections import MakeLt


def test_the_source_decides_unless_told():
    plain = Reading()
    assert plain.background == WHITE == (255, 255, 255) and not plain.upright and plain.classes == ()
    assert {plain.size, plain.channels, plain.image_column, plain.label_column} == {None}


def test_each_choice_is_a_setting_of_make_lt():
    assert {field.name for field in fields(Reading)} - set(MakeLt.model_fields) <= {"upright"}
