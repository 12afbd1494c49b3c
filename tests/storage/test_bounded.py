"""JSON of strangers, within bounds."""

import pytest

from csdm_cli.errors import CsdmError
from csdm_cli.storage.bounded import bounded, parsed_json, read_json, typed


@pytest.mark.parametrize("text", ["[" * 100_000, "[" * 70 + "]" * 70, "[" + "1" * 5000 + "]", "{", ""])
def test_what_is_too_deep_or_too_long_is_a_value_error(text):
    with pytest.raises(ValueError):
        parsed_json(text)


def test_what_fits_is_itself():
    assert parsed_json(b'{"a": [1, 2.5, null]}') == {"a": [1, 2.5, None]}


def test_shared_parts_count_at_every_mention():
    value = [1] * 10
    for _ in range(8):
        value = [value] * 10
    with pytest.raises(ValueError, match="too many values"):
        bounded(value, 1000)


def test_damage_is_one_line(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("[" * 100_000)
    with pytest.raises(CsdmError, match=r"x.json is damaged, it is no JSON that csdm wrote: try again"):
        read_json(path, "try again")
    with pytest.raises(CsdmError, match=r"is damaged \(a: .*\): try again"):
        typed({"a": "x"}, dict[str, float], path, "try again")
