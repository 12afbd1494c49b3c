"""Kinds of values, and the marks of fields."""

from __future__ import annotations

import pytest
from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from csdm_cli.settings.fields import (
    Folder,
    Reader,
    colour,
    is_number,
    known_method,
    marks_of,
    read_by,
    reader_of,
    refuse_loose_number,
    shapes,
)


def test_a_field_tells_who_reads_it():
    field = Field(1, json_schema_extra=read_by(Reader.matching) | shapes("convnet"))
    assert reader_of(field) is Reader.matching and marks_of(field)["shapes"] == ["convnet"]
    assert reader_of(Field(1)) is None and marks_of(Field(1)) == {}


@pytest.mark.parametrize(
    ("kind", "told"),
    [(int, True), (float | None, True), (list[int], True), (str, False), (bool, False), (dict[str, int], False)],
)
def test_numbers_among_types(kind, told):
    assert is_number(kind) is told


@pytest.mark.parametrize("text", ["5", "-5", ".5", "5.", "1e-3", "much", "inf", 5])
def test_plain_numbers_and_words_pass(text):
    refuse_loose_number(text)


@pytest.mark.parametrize("text", ["1_000", " 5", "5 ", "٣", "1e1_0"])
def test_loose_numbers_do_not(text):
    with pytest.raises(PydanticCustomError, match="without spaces"):
        refuse_loose_number(text)


def test_colours():
    assert colour("white") == (255, 255, 255) and colour("#ff8800") == (255, 136, 0)
    with pytest.raises(ValueError, match="a colour such as"):
        colour("shiny")


def test_a_near_miss_of_a_method_is_told():
    assert known_method("dm") == "dm"
    with pytest.raises(ValueError, match=r"did you mean herding"):
        known_method("herdin")


def test_no_folder_has_a_nul_in_its_name():
    with pytest.raises(ValidationError, match="a name without the character NUL"):
        TypeAdapter(Folder).validate_python("a\0b")
