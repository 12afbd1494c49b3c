from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csdm_cli.storage.bounded import parsed_json
from csdm_cli.storage.seal import digest, is_whole, sealed

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON, max_size=4), JSON)
def test_whatever_is_changed_is_noticed(values, other):
    whole = sealed(values, "hash")
    assert is_whole(whole, "hash") and sealed(whole, "hash") == whole
    for name, value in whole.items():
        assert not is_whole({key: kept for key, kept in whole.items() if key != name}, "hash")
        if digest(value) != digest(other):
            assert not is_whole(whole | {name: other}, "hash")


def test_values_without_a_hash_are_not_whole():
    assert not is_whole({"a": 1}, "hash") and not is_whole({}, "hash")


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "[" * 100_000, "{", b"\xff", "1" * 5000])
def test_what_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError):  # its words are for nobody
        parsed_json(text)


def test_json_is_read():
    assert parsed_json('{"a": [1, 2.5, null, true, "ü"]}') == {"a": [1, 2.5, None, True, "ü"]}
