"""Rows of linear probes: kept apart from students', with what an inherited classifier takes to store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from csdm_cli.errors import CsdmError
from csdm_cli.evaluation.results import Evaluation
from csdm_cli.evaluation.scores import ClassGroups
from csdm_cli.ledger.headline import headline_sheets
from csdm_cli.ledger.matching import matches, scale_differences
from csdm_cli.ledger.papers import paper_values
from csdm_cli.ledger.probe_rows import heir, probe_of, probe_parts
from csdm_cli.ledger.protocol import TODAY, Protocol
from csdm_cli.ledger.row import Inherited, Probe, Row
from csdm_cli.ledger.tables import INTERVAL, gap_closed, in_order, interval, is_control, own_sheets, runs
from csdm_cli.runs.measurement import Measurement
from tests.ledger.rows import full_row, random_row, row

FROZEN = {"origin": "the file w.pt", "size": 64, "centres": None}
BACKBONE = {"key": "feed", "spec": {"name": "resnet18", "frozen": FROZEN}}
AS_PROBE = {
    "protocol": Protocol.probe,
    "probe": Probe(BACKBONE),
    "network": {"name": "resnet18", "size": 32, "channels": 3, "frozen": FROZEN},
}
HERITAGE = {"giver": {"key": "cafe"}, "classifier_bytes": 40, "map_bytes": 400}


def probe_row(one: Row, inherited: Inherited | None = None) -> Row:
    return replace(one, **(AS_PROBE | {"probe": Probe(BACKBONE, inherited)}))


def test_the_protocol_and_the_backbone_go_together():
    value = probe_row(row()).as_dict()
    assert Row.from_dict(value, "here") == probe_row(row())
    for wrong in ({"protocol": TODAY}, {"probe": None}):
        with pytest.raises(CsdmError, match="go together"):
            Row.from_dict(value | wrong, "here")


def test_they_are_no_paper_s_students_and_tell_their_own_scale():
    paper = next(value for value in paper_values() if matches(value, row()))
    assert not matches(paper, probe_row(row()))
    found = probe_row(row())
    assert scale_differences(found) == [
        "a backbone that sees 64×64, not 224×224",
        "1,000 iterations, not 5,000",
    ]
    assert probe_parts(found) == [
        "resnet18 (the file w.pt) at 64 px",
        "1,000 iterations",
        "probes of 1,000 epochs on cached features",
    ]
    random = probe_row(random_row(((0.3,), (0.3,))))
    assert scale_differences(random) == ["a backbone that sees 64×64, not 224×224"] and len(probe_parts(random)) == 2


def test_an_inherited_classifier_is_no_measure_of_the_images():
    inherited = Inherited({"key": "cafe"}, 40, 400)
    own, random, full = (probe_row(one) for one in (row(), random_row(((0.3,), (0.3,))), full_row(0.8)))
    heirs = [probe_row(replace(row(), subject="csdm + inheritance"), inherited)]
    heirs += [probe_row(random_row(((0.7,), (0.7,))), inherited)]
    table = [heirs[1], own, random, full, heirs[0]]
    assert gap_closed(own, table) == gap_closed(own, [own, random, full]) and gap_closed(heirs[0], table) is None
    sheet = headline_sheets(table, lambda *_: ())[0]
    assert len(sheet.cells) == 3
    assert "an inherited classifier" in probe_parts(heirs[0])
    (own_sheet,) = own_sheets(table)
    assert "Protocol: probe" in own_sheet.footnote and "Intervals are" in own_sheet.footnote
    assert own_sheet.columns[3] == INTERVAL and {len(line) for line in own_sheet.cells} == {len(own_sheet.columns)}
    assert [line[3] for line in own_sheet.cells] == [interval(one) for one in in_order(table)]
    (students,) = own_sheets([row()])
    assert INTERVAL not in students.columns
    assert is_control(probe_row(replace(row(), method="nearest to centroid")))


def test_the_same_images_under_every_seed_are_one_set():
    same, other = row(((0.5, 0.6), (0.5, 0.6), (0.5, 0.6))), row(((0.5, 0.6), (0.5, 0.6), (0.5, 0.7)))
    assert same.is_one_set and not other.is_one_set and not row(((0.5,), (0.5,))).is_one_set
    first = row(((0.5,),)).sets[0]
    one, another = (replace(first, seed=seed, images_sha256="ab" * 32) for seed in (0, 1))
    assert replace(row(), sets=(one, another)).is_one_set, "of one student each: the images tell"
    assert not replace(row(), sets=(one, replace(another, images_sha256="cd" * 32))).is_one_set
    assert same.spread == same.independent == row(((0.5, 0.6),)).accuracy.students
    assert runs(same) == "– × 2" and runs(other) == "3 × 2"


def measured() -> Measurement:
    return Measurement(
        subject="sfm (hard labels)",
        method="sfm",
        labels="hard",
        ipc=2,
        factor=1,
        data={"counts": [5, 3]},
        tested_on="test",
        protocol={"network": AS_PROBE["network"], "probed": {"backbone": BACKBONE}},
        config={"teachers": {"key": "cafe"}, "distill": {"method": "sfm"}, "run": "key"},
        seed=3,
        evaluation=Evaluation("k", (), ClassGroups((0,), (), (1,))),
        storage_bytes=1000,
        images_sha256="beef",
        source="",
        versions={},
        stored_numbers=500,
        ipc_equivalent=2.0,
    )


def test_what_is_inherited_counts_as_storage():
    beside, score = measured(), Evaluation("h", (), ClassGroups((0,), (), (1,)))
    own = heir(beside, "sfm + inheritance", None, score, HERITAGE)
    assert (own.storage_bytes, own.stored_numbers) == (1440, 500 + 110)
    assert own.ipc_equivalent == pytest.approx(2 + 440 / (2 * 3 * 32 * 32))
    assert own.method == "sfm" and own.config["run"] == "key" and own.evaluation is score
    random = heir(beside, "random, 10 per class + inheritance", 10, score, HERITAGE)
    assert random.storage_bytes == 10 * 2 * 3 * 32 * 32 + 440 and random.ipc == 10
    assert random.method == "random" and random.config["distill"]["method"] == "random" and random.seed == 3
    assert probe_of(random) == Probe(BACKBONE, Inherited({"key": "cafe"}, 40, 400))
    assert probe_of(beside) == Probe(BACKBONE) and probe_of(replace(beside, protocol={})) is None
