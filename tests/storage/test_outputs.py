"""Nothing that csdm did not write is replaced, whether it was there before the work or came during it."""

from __future__ import annotations

from pathlib import Path

import pytest

from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.storage import outputs
from csdm_cli.storage.kinds import json_with

KIND = json_with("roof")
OWN = {"timing.json": KIND}


def test_an_older_output_is_replaced_and_a_foreign_file_is_named(tmp_path: Path):
    file = tmp_path / "timing.json"
    outputs.write_json(file, {"roof": 1}, KIND)
    outputs.write_json(file, {"roof": 2}, KIND)
    assert '"roof": 2' in file.read_text()
    file.write_text("dear diary")
    for write in (
        lambda: outputs.write_json(file, {"roof": 3}, KIND),
        lambda: outputs.write_text(file, "x", KIND),
        lambda: outputs.write_csv(file, {"a": [1]}, KIND),
        lambda: outputs.claim_file(file, KIND),
        lambda: outputs.claim_files(tmp_path, OWN),
        lambda: outputs.claim_folder(tmp_path, OWN),
    ):
        with pytest.raises(CsdmError, match=r"timing\.json"):
            write()
    assert file.read_text() == "dear diary"


def test_a_link_is_not_followed_even_to_an_output(tmp_path: Path):
    outputs.write_json(tmp_path / "real.json", {"roof": 1}, KIND)
    (tmp_path / "timing.json").symlink_to(tmp_path / "real.json")
    with pytest.raises(CsdmError, match="a link"):
        outputs.write_json(tmp_path / "timing.json", {"roof": 2}, KIND)
    assert '"roof": 1' in (tmp_path / "real.json").read_text()


def test_a_name_says_the_kind_of_its_file(tmp_path: Path):
    with pytest.raises(UsageError) as refused:
        outputs.claim_file(tmp_path / "trace.txt", outputs.Kind(KIND.recognises, (".json",)), "--trace")
    assert "--trace" in str(refused.value) and "trace.txt" in str(refused.value) and ".json" in str(refused.value)


def test_a_folder_is_replaced_whole_unless_somebody_put_something_into_it(tmp_path: Path):
    folder = tmp_path / "out"
    for number in (1, 2):
        with outputs.replaced_folder(folder, OWN) as place:
            outputs.write_json(place / "timing.json", {"roof": number}, KIND)
    assert [path.name for path in folder.iterdir()] == ["timing.json"] and '"roof": 2' in (
        folder / "timing.json"
    ).read_text()
    with pytest.raises(CsdmError, match="letter"), outputs.replaced_folder(folder, OWN) as place:
        outputs.write_json(place / "timing.json", {"roof": 3}, KIND)
        (folder / "letter").write_text("came meanwhile")
    assert sorted(path.name for path in folder.iterdir()) == ["letter", "timing.json"]
    assert '"roof": 2' in (folder / "timing.json").read_text()
