"""A setting that is wrong: its place, the value received and the values allowed."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from csdm_cli.settings import messages, sections


def mistakes(values: dict) -> list[str]:
    with pytest.raises(ValidationError) as wrong:
        sections.Params.model_validate(values)
    return messages.in_params(wrong.value, sections.Params)


def test_one_mistake_is_one_line_and_several_have_a_heading():
    assert messages.report("a.yaml", ["x: no"]) == "a.yaml: x: no"
    assert messages.report("", ["x: no"]) == "x: no"
    assert messages.report("a.yaml", ["x", "y"]).splitlines() == ["a.yaml: 2 mistakes", "  x", "  y"]


def test_places_in_a_file_are_dotted():
    (found,) = mistakes({"distill": {"ipc": 0}})
    assert found == "distill.ipc: got 0, expected an integer >= 1 and <= 1000000"
    (found,) = mistakes({"distil": {}})
    assert found.startswith("distil: unknown key; did you mean distill?")
    for key in ("Distill", "DISTILL", "Make-LT"):
        (found,) = mistakes({key: {}})
        assert found.startswith(f"{key}: unknown key; did you mean {key.lower().replace('-', '_')}?")
    (found,) = mistakes({"distill": {"kernl": "rbf"}})
    assert found.startswith("distill.kernl: unknown key; did you mean kernel?")
    (found,) = mistakes({"distill": 3})
    assert found == "distill: got 3, expected a mapping of settings"
    (found,) = mistakes({"distill": {"kernel": "lapalce"}})
    assert found.startswith('distill.kernel: got "lapalce" (did you mean laplace?), expected one of ')
    (found,) = mistakes({"profile": {"ipcs": [1, 0]}})
    assert found.startswith("profile.ipcs (item 2): got 0, expected an integer >= 1")


def test_places_on_the_command_line_are_options_or_the_first_word():
    with pytest.raises(ValidationError) as wrong:
        sections.MakeLt.model_validate({"dataset": "digit", "n_max": 0})
    found = messages.in_options(wrong.value, sections.MakeLt)
    assert [line.split(":")[0] for line in found] == ["DATASET", "--n-max"]


def test_a_long_value_is_cut():
    (found,) = mistakes({"distill": {"ipc": "9" * 500}})
    assert '"999' in found and len(found) < 200


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 1}, "an integer >= 1"),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, "a number > 0 and < 1"),
        ({"type": "boolean"}, "true or false"),
        ({"enum": ["a", "b"]}, "one of a, b"),
        ({"type": "object"}, "a mapping of names to values"),
        ({"$ref": "#/$defs/kind"}, "one of x"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "text, or null"),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, "a list of at least 2, each an integer"),
    ],
)
def test_schemas_in_words(schema, words):
    assert messages.expected(schema, {"kind": {"enum": ["x"]}}) == words
