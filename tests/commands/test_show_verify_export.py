from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from csdm_cli.artifacts.distilled import Provenance
from csdm_cli.artifacts.file import save_distilled
from csdm_cli.artifacts.joining import merge, select_classes
from csdm_cli.artifacts.run_record import record_run, write_sidecar
from csdm_cli.commands.export import export
from csdm_cli.commands.show import show
from csdm_cli.commands.verify import verify
from csdm_cli.errors import CsdmError
from csdm_cli.names import ExportFormat
from tests.artifacts.sets import dataset_info, make_set


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    path = tmp_path / "distilled.safetensors"
    save_distilled(path, make_set(soft=True))
    return path


def test_show_says_what_it_is_and_draws_it(path, capsys):
    write_sidecar(path, record_run(90))
    show(path.parent)
    text = capsys.readouterr().out
    for part in ("toy", "3 classes", "class 0 8", "6 stored, 2 per class", "24 training images", "soft, temperature 2"):
        assert part in text
    for part in ("convnet", "steps 100", "csdm, seed 7", "ipc 2", "0123456789abcdef", "90 s"):
        assert part in text
    assert path.with_name("grid.png").read_bytes().startswith(b"\x89PNG")


def test_show_writes_the_picture_where_it_is_told_to(path, tmp_path, capsys):
    show(path, png=tmp_path / "elsewhere" / "grid.png")
    assert (tmp_path / "elsewhere" / "grid.png").is_file() and not path.with_name("grid.png").exists()
    assert "grid.png" in capsys.readouterr().out


def test_show_json_is_one_object_and_complete(path, capsys):
    show(path, json=True)
    shown = json.loads(capsys.readouterr().out)
    assert shown["dataset"]["counts"] == [8, 4, 2] and shown["images"]["shape"] == [6, 3, 8, 8]
    assert shown["images"]["ipc"] == [2, 2, 2] and shown["images"]["decoded"] == 24
    assert shown["labels"] == {"kind": "soft", "temperature": 2.0, "teacher": "2 x convnet"}
    assert shown["provenance"]["seed"] == 7 and shown["run"] is None
    assert shown["bytes"] == path.stat().st_size


def test_show_prints_names_with_brackets_as_they_are(path, capsys):
    save_distilled(path, make_set(dataset=dataset_info(class_names=("[red]", "b", "c"))))
    show(path)
    assert "[red] 8" in capsys.readouterr().out


def test_show_leaves_out_settings_that_hold_nothing(path, capsys):
    made = make_set()
    config = {"distill": {"ipc": 2, "option": {}, "regularizer": [], "resume": None, "average": 0.0}}
    save_distilled(path, replace(made, provenance=replace(made.provenance, config=config)))
    show(path)
    assert "distill    average 0, ipc 2" in [line.strip() for line in capsys.readouterr().out.splitlines()]


def test_show_tells_in_words_what_a_set_was_merged_of(path, capsys):
    parts = [select_classes(make_set(), [name]) for name in ("class 0", "class 1")]
    save_distilled(path, merge(parts).distilled)
    show(path)
    text = " ".join(capsys.readouterr().out.split())
    assert "set 1 csdm, seed 7, class class 0;" in text and "set 2 csdm, seed 7, class class 1;" in text
    assert "{" not in text and "sets" not in text
    forged = Provenance("csdm", 7, {"sets": [5]}, "0123456789abcdef", {"csdm": "1"})
    save_distilled(path, make_set(provenance=forged))
    show(path)
    assert "sets [5]" in capsys.readouterr().out


def test_show_names_only_the_ends_of_many_classes(path, capsys):
    save_distilled(path, make_set(classes=30, ipc=1))
    show(path)
    text = capsys.readouterr().out
    assert "from class 0" in text and "to class 29 2" in text.replace("\n", " ") and "class 15" not in text


def test_verify_lists_the_checks(path, capsys):
    verify(path)
    text = capsys.readouterr().out
    assert text.count("✓") == 8 and "is sound" in text


def test_verify_stops_at_the_first_problem(path, monkeypatch, capsys):
    unsound = replace(make_set(), labels=torch.tensor([1, 0, 0, 1, 2, 2]))
    with monkeypatch.context() as patch:
        patch.setattr("csdm_cli.artifacts.file.first_problem", lambda _: None)
        save_distilled(path, unsound)
    with pytest.raises(CsdmError, match="not sorted"):
        verify(path)
    text = capsys.readouterr().out
    assert "hashes" in text and "labels" not in text and "is sound" not in text


def test_verify_of_a_damaged_file(path):
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CsdmError, match="damaged"):
        verify(path)


@pytest.mark.parametrize(
    ("to", "name"),
    [
        (ExportFormat.npz, "distilled.npz"),
        (ExportFormat.pt, "distilled.pt"),
        (ExportFormat.imagefolder, "distilled-imagefolder"),
    ],
)
def test_export_writes_beside_the_file_and_says_where(path, capsys, to, name):
    export(path.parent, to)
    assert path.with_name(name).exists()
    assert name in capsys.readouterr().out


def test_export_writes_where_it_is_told_to(path, tmp_path):
    export(path, ExportFormat.npz, tmp_path / "new" / "set.npz")
    assert (tmp_path / "new" / "set.npz").is_file()


@pytest.mark.parametrize("command", [show, verify, lambda path: export(path, ExportFormat.npz)])
def test_a_missing_file_is_one_line(tmp_path, command):
    with pytest.raises(CsdmError, match="does not exist"):
        command(tmp_path / "none.safetensors")
