from pathlib import Path

import pytest

from csdm_cli.storage import keys
from csdm_cli.storage.keys import content_key, source_hash


def test_a_key_follows_the_content_not_the_order():
    assert content_key({"a": 1, "b": [1, 2]}) == content_key({"b": [1, 2], "a": 1})
    values = [{"a": 1}, {"a": 2}, {"a": "1"}, {"b": 1}, {"a": [1, 2]}, {"a": [2, 1]}, {"a": None}, {}]
    assert len({content_key(value) for value in values}) == len(values)
    assert content_key({"place": Path("x")}) == content_key({"place": "x"})
    assert len(content_key(1)) == 16


def test_nan_has_no_key():
    with pytest.raises(ValueError):
        content_key({"a": float("nan")})


@pytest.fixture
def package(tmp_path, monkeypatch):
    for name in ("one/a.py", "two/b.py", "top.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(keys, "PACKAGE", tmp_path)
    source_hash.cache_clear()
    yield tmp_path
    source_hash.cache_clear()


def test_a_hash_follows_the_source_of_its_rooms_only(package):
    before = [source_hash("one"), source_hash("two"), source_hash("top.py"), source_hash()]
    assert len(set(before)) == 4
    (package / "two" / "b.py").write_text("changed")
    (package / "two" / "b.pyc").write_text("ignored")
    source_hash.cache_clear()
    after = [source_hash("one"), source_hash("two"), source_hash("top.py"), source_hash()]
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True, False]


def test_a_renamed_file_is_another_source(package):
    before = source_hash("one")
    (package / "one" / "a.py").rename(package / "one" / "c.py")
    source_hash.cache_clear()
    assert source_hash("one") != before


def test_the_package_itself_has_a_hash():
    source_hash.cache_clear()
    assert len(source_hash("seeds.py")) == 16


def test_a_room_that_is_not_there_is_a_fault_of_ours(package):
    with pytest.raises(AssertionError, match=r"three\.py"):
        source_hash("one", "three.py")
