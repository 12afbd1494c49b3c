from __future__ import annotations

from pathlib import Path

import pytest

from csdm_cli.errors import UsageError
from csdm_cli.settings.source_word import source_of


def test_a_name_or_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("pets").mkdir()
    Path("cifar10").mkdir()
    assert source_of("digits") == {"dataset": "digits"} == source_of("digits", {"data_dir"})
    assert source_of("cifar10") == {"dataset": "cifar10"}, "the dataset's name goes first"
    for word in ("pets", "./cifar10", str(tmp_path / "pets")):
        assert source_of(word) == {"dataset": "folder", "data_dir": word}


@pytest.mark.parametrize(
    ("word", "given", "words"),
    [
        ("pet", (), 'got "pet", neither a folder here nor one of digits'),
        ("CIFAR-10", (), r"did you mean cifar10\?"),
        ("./pet", (), "./pet is neither a folder nor the name of a dataset"),
        (" ", (), "DATASET is empty"),
        ("pets", ("data_dir",), "pets and --data-dir are two folders of images: name one"),
    ],
)
def test_what_is_neither_is_refused(tmp_path, monkeypatch, word, given, words):
    monkeypatch.chdir(tmp_path)
    Path("pets").mkdir()
    with pytest.raises(UsageError, match=words):
        source_of(word, given)
