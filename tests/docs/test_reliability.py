"""docs/reliability.md gives the counts of results/hardship.json, of every kind of trial that there is."""

from __future__ import annotations

import json
from pathlib import Path

from tests.hardship import campaign

FOLDER = Path(campaign.__file__).parent
COUNTED = json.loads(campaign.SUMMARY.read_text(encoding="utf-8"))


def test_the_page_gives_the_counts():
    page = campaign.PAGE.read_text(encoding="utf-8")
    assert campaign.with_table(page, COUNTED) == page


def test_every_kind_was_tried():
    assert {path.stem.removeprefix("test_") for path in FOLDER.glob("test_*.py")} == set(campaign.KINDS)
    assert COUNTED["counts"].keys() == campaign.KINDS.keys()
    for own in COUNTED["counts"].values():
        assert own["trials"] == own["right"] + own["wrong"]
        assert own["trials"] or not COUNTED["whole"]
    assert len(COUNTED["wrong"]) == sum(own["wrong"] for own in COUNTED["counts"].values())
    assert "schema" not in COUNTED  # so that the ledger leaves it alone


def test_records_are_counted_and_a_torn_line_is_left_out(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text('{"code": "x"}\n')
    for number, right in enumerate((True, False, True)):
        campaign.append(log, campaign.Record("kills", f"test[{number}]", 3, right, 0.5))
    with log.open("a") as file:
        file.write('{"kind": "kil')
    found = campaign.records(log)
    assert [record.trial for record in found] == ["test[0]", "test[1]", "test[2]"]
    counted = campaign.summary(found, whole=False)
    assert counted["counts"]["kills"] == {"trials": 9, "right": 8, "wrong": 1} and counted["wrong"] == ["test[1]"]


def test_seeds_in_turn():
    assert [campaign.turn(seed, "abc") for seed in range(4)] == ["a", "b", "c", "a"]
    names = [(parameter.id, bool(parameter.marks)) for parameter in campaign.seeds(3, 1)]
    first = campaign.FIRST_SEED
    assert names[:2] == [(f"seed{first}", False), (f"seed{first + 1}", True)]
