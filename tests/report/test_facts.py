"""Cost and provenance of a set, as its file and the records beside it tell them."""

from __future__ import annotations

import json
from hashlib import sha256

from csdm_cli.artifacts.file import save_distilled
from csdm_cli.artifacts.joining import merge, select_classes
from csdm_cli.report.facts import cost_of, provenance_of
from tests.artifacts.sets import coded_set, make_set


def test_storage_is_a_share_of_all_real_images(tmp_path):
    """14 real images of 3·8·8 bytes are 2,688 bytes; stored are 6 such images and as many labels of 8 bytes."""
    rows = dict(cost_of(tmp_path / "none", make_set(), []))
    assert rows["images and labels"] == "1.2 kB as stored, 45 % of the 2.69 kB of all real images"
    assert rows["stored as"].endswith("1,152 numbers") and set(rows) == {
        *("images and labels", "stored as", "IPC-equivalent")
    }


def test_an_evaluation_tells_its_time_if_it_was_recorded(tmp_path):
    (tmp_path / "evaluate.run.json").write_text(json.dumps({"evaluate": {"wall_seconds": 1234.4}}))
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "evaluate.run.json").write_text("{")
    rows = dict(cost_of(tmp_path / "none", make_set(), [tmp_path, damaged, tmp_path / "nowhere"]))
    assert rows["evaluation"] == f"1,234 s, in {tmp_path}"


def test_provenance_has_the_files_hash_and_leaves_out_what_is_not_set(tmp_path):
    file = tmp_path / "distilled.safetensors"
    made = make_set()
    save_distilled(file, made)
    rows = dict(provenance_of(file, made))
    assert rows["sha256"] == sha256(file.read_bytes()).hexdigest()
    assert rows["method"] == "csdm, seed 7" and rows["data"] == "toy, 14 images of 3 classes"
    assert rows["ipc"] == "2" and rows["lr"] == "0.01" and rows["training set"] == "ab" * 32
    made.provenance.config["teachers"] = None
    assert "teachers" not in dict(provenance_of(file, made))


def test_a_set_of_other_numbers_tells_which_and_how_they_are_stored(tmp_path):
    made = coded_set()
    kept = made.decoding.parameterisation["kept"]
    told = dict(cost_of(tmp_path / "none", made, []))["stored as"]
    assert told.startswith(f"frequency coefficients (kept {kept}, per_class ") and told.endswith(" numbers")


def test_the_parts_of_a_merged_set_are_told_in_words(tmp_path):
    parts = [select_classes(make_set(), [name]) for name in ("class 0", "class 1")]
    merged, file = merge(parts).distilled, tmp_path / "distilled.safetensors"
    save_distilled(file, merged)
    rows = dict(provenance_of(file, merged))
    assert "class class 0; images" in rows["set 1"] and "class class 1; images" in rows["set 2"] and "sets" not in rows
