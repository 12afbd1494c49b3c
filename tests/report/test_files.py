"""Where the files of a report go, and that they replace nothing of another kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from csdm_cli.errors import CsdmError
from csdm_cli.report.files import Places, claim_places, write_markdown
from csdm_cli.report.sheets import Sheet


@pytest.mark.parametrize(
    ("out", "html", "markdown", "page"),
    [
        (None, False, None, None),
        ("told.md", False, "told.md", None),
        ("told.md", True, "told.md", "told.html"),
        ("told.HTM", False, None, "told.HTM"),
        (None, True, None, "found/report.html"),
    ],
)
def test_the_name_of_out_says_which_files_there_are(tmp_path, monkeypatch, out, html, markdown, page):
    monkeypatch.chdir(tmp_path)
    Path("found").mkdir()
    told = claim_places([Path("found")], out and Path(out), html=html)
    assert told == Places(markdown and Path(markdown), page and Path(page))


def test_the_page_of_several_folders_stands_in_the_one_that_holds_them(tmp_path):
    folders = [tmp_path / "runs" / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir(parents=True)
    assert claim_places(folders, None, html=True).html == tmp_path / "runs" / "report.html"


def test_a_report_replaces_a_report_and_no_notes_of_the_user(tmp_path):
    place = tmp_path / "told.md"
    write_markdown([Sheet("a", {"dm": {"accuracy": {"mean": 1.0, "std": None}}})], place)
    assert claim_places([tmp_path], place, html=False).markdown == place
    place.write_text("# My notes\n")
    with pytest.raises(CsdmError, match=r"told\.md"):
        claim_places([tmp_path], place, html=False)
