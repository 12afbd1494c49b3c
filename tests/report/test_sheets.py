"""The tables of a report, from the files that other commands wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from csdm_cli.artifacts.distilled import set_hashes
from csdm_cli.artifacts.file import save_distilled
from csdm_cli.errors import CsdmError
from csdm_cli.report.sheets import FOOTNOTE, HEADER, read_sheets, sheets_in
from tests.artifacts.sets import make_set

SCORE = {"mean": 41.25, "std": 0.84, "students": 2}
TOLD = {
    "method": "csdm",
    "labels": "hard",
    "split": "test",
    "accuracy": SCORE,
    "tail": {"mean": None, "std": None},
    "controls": {"full, cross-entropy": {"accuracy": SCORE}, "random": {"accuracy": {"mean": 30.0, "std": None}}},
    "share_of_gap_closed": 0.416,
    "best_full_control": "full, cross-entropy",
    "untested": ["seven"],
}


@pytest.fixture
def folder(tmp_path):
    def written(metrics):
        (tmp_path / "metrics.json").write_text(json.dumps(metrics))
        return tmp_path

    return written


def test_an_evaluation_has_the_set_first_and_controls_in_their_order(folder):
    (sheet,) = read_sheets(folder(TOLD))
    accuracy = HEADER.index("all") if "all" in HEADER else 1
    assert [cells[0] for cells in sheet.cells] == ["csdm (hard labels)", "random", "full, cross-entropy"]
    assert [cells[accuracy] for cells in sheet.cells] == ["41.2 ± 0.8", "30.0", "41.2 ± 0.8"]
    assert {len(cells) for cells in sheet.cells} == {len(HEADER)} and sheet.cells[0].count("–") == len(HEADER) - 2
    assert "random and full, cross-entropy: 0.42." in sheet.footnote and "seven" in sheet.footnote


def test_markdown_is_a_heading_a_table_and_what_holds_of_it(folder):
    (sheet,) = read_sheets(folder({"alexnet": {"accuracy": SCORE, "random": {"accuracy": SCORE}}}))
    lines = sheet.markdown().splitlines()
    assert lines[0].startswith("### ") and lines[2].startswith(f"| {HEADER[0]} |") and lines[-1] == FOOTNOTE
    assert [line.split("|")[1].strip() for line in lines[4:6]] == ["alexnet: distilled", "alexnet: random"]
    assert sheet.title.endswith("other architectures, tested on the test set")
    (sheet,) = read_sheets(folder({"alexnet": {"accuracy": SCORE, "split": "dev"}}))
    assert sheet.title.endswith("other architectures, tested on the dev set")


def test_a_backbone_has_its_controls_and_an_inherited_classifier(folder):
    own = {"accuracy": SCORE}
    (sheet,) = read_sheets(folder({"kmeans": TOLD | {"inheritance": {"rows": {"csdm + inheritance": own}}}}))
    names = ["csdm (hard labels)", "random", "full, cross-entropy", "csdm + inheritance"]
    assert [cells[0] for cells in sheet.cells] == [f"kmeans: {name}" for name in names]
    assert sheet.cells[1][1] == "30.0" and "seven" in sheet.footnote


def test_other_architectures_of_a_set_that_was_replaced_say_so(tmp_path):
    place, made = tmp_path / "cross_arch", make_set()
    place.mkdir()
    (place / "metrics.json").write_text(json.dumps({"alexnet": {"accuracy": SCORE}}))
    (place / "protocol.json").write_text(json.dumps({"alexnet": {"measured": set_hashes(made)}}))
    for beside, told in ((made, False), (make_set(ipc=1), True)):
        save_distilled(tmp_path / "distilled.safetensors", beside)
        (sheet,) = read_sheets(place)
        assert ("learnt from another set than lies beside this folder now" in sheet.footnote) == told


def test_a_comparison_has_a_sheet_for_each_table(folder):
    tables = {"digits, IPC 1": {"dm": {"accuracy": SCORE}}, "digits, IPC 10": {"dm": {"accuracy": SCORE}}}
    titles = [sheet.title for sheet in read_sheets(folder(tables))]
    assert [title.split(": ")[1] for title in titles] == [
        f"{name}, over sets and students, tested on the test set" for name in tables
    ]


def test_a_comparison_on_the_development_set_says_so(folder):
    (sheet,) = read_sheets(folder({"digits, IPC 1": {"dm": {"accuracy": SCORE, "split": "dev"}}}))
    assert sheet.title.endswith("tested on the dev set")


def test_no_row_of_an_evaluation_is_dropped(folder):
    """Students at the learned rate, random images under the teachers' labels, and an inherited classifier stay."""
    own = {"accuracy": SCORE}
    beside = {"controls_under_teacher_labels": {"tiled-random": own}, "learned_rate": own | {"lr": 0.0123}}
    told = TOLD | beside | {"labels": "teacher", "inheritance": {"rows": {"random + inheritance": own}}}
    (sheet,) = read_sheets(folder(told))
    assert [cells[:2] for cells in sheet.cells] == [
        ("csdm (teacher labels)", "41.2 ± 0.8"),
        ("csdm (teacher labels, SGD at learned lr 0.0123)", "41.2 ± 0.8"),
        ("tiled-random (teacher labels)", "41.2 ± 0.8"),
        ("random", "30.0"),
        ("full, cross-entropy", "41.2 ± 0.8"),
        ("random + inheritance", "41.2 ± 0.8"),
    ]
    assert "gap" not in sheet.footnote


def test_folders_without_results_have_no_sheet_and_all_of_them_together_are_refused(tmp_path):
    assert read_sheets(tmp_path) == []
    with pytest.raises(CsdmError, match="no results in"):
        sheets_in([tmp_path])
    with pytest.raises(CsdmError, match="there is no folder"):
        sheets_in([tmp_path / "nowhere"])


@pytest.mark.parametrize("damaged", [{"accuracy": {"mean": "high"}}, {"accuracy": SCORE}, {"alexnet": 3}])
def test_damaged_metrics_say_so(folder, damaged):
    with pytest.raises(CsdmError, match="is damaged: run the command that wrote it again"):
        read_sheets(folder(damaged))


def test_the_working_folder_is_called_by_its_name(folder, monkeypatch):
    place = folder(TOLD)
    monkeypatch.chdir(place)
    (sheet,) = read_sheets(Path())
    assert sheet.title == f"{place.name}: students tested on the test set"
