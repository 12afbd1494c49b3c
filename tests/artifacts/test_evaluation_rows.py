"""The rows of an evaluation: all that are in its file, and a share of the gap between controls of the same labels."""

from __future__ import annotations

import pytest

from csdm_cli.artifacts.evaluation_rows import (
    architecture_rows,
    evaluation_rows,
    gap_closed,
    gap_text,
    own_row,
    split_of,
    students_text,
)

ONE = {"accuracy": {"mean": 40.0, "std": 1.0, "students": 2}}
CONTROLS = {"full, cross-entropy": ONE, "of another release": ONE, "random": ONE}
PROTOCOL = {"students": 1, "steps": 1000, "network": {"name": "convnet", "width": 16}}
FROZEN = {"name": "patch-kmeans", "frozen": {"origin": "patches of the training images"}}


def names_of(told) -> list[tuple[str, bool]]:
    return [(row.name, row.control) for row in evaluation_rows(ONE | told)]


def test_the_set_is_first_and_controls_follow_in_their_order():
    own = {"method": "dm", "labels": "soft", "storage": {"bytes": 3}}
    assert names_of(own | {"controls": CONTROLS}) == [
        ("dm (soft labels)", False),
        ("random", True),
        ("full, cross-entropy", True),
        ("of another release", True),
    ]
    assert evaluation_rows(ONE | own)[0].scores == ONE


@pytest.mark.parametrize("kind", ["pixels", "multi-formation", "frequency", "decomposition"])
def test_a_set_of_other_numbers_is_named_for_them_as_evaluate_does(kind):
    coded = kind in ("frequency", "decomposition")
    ((name, _),) = names_of({"method": "dm", "labels": "hard", "storage": {"parameterization": kind}})
    assert name == (f"dm, {kind} (hard labels)" if coded else "dm (hard labels)")


def test_rows_beside_them_are_told_apart_by_labels_and_rate():
    alike = {"controls_under_teacher_labels": {"tiled-random": ONE, "random": ONE}, "controls": {"random": ONE}}
    assert names_of({"method": "dm", "labels": "teacher", "learned_rate": ONE | {"lr": 0.01234}} | alike) == [
        ("dm (teacher labels)", False),
        ("dm (teacher labels, SGD at learned lr 0.0123)", False),
        ("random (teacher labels)", True),
        ("tiled-random (teacher labels)", True),
        ("random", True),
    ]


@pytest.mark.parametrize(
    ("kind", "name"), [("frequency", "dm, frequency"), ("pixels", "dm"), ("multi-formation", "dm")]
)
def test_a_set_of_other_numbers_than_pixels_says_of_which(kind, name):
    told = {"method": "dm", "labels": "soft", "storage": {"parameterization": kind}, "learned_rate": ONE | {"lr": 0.1}}
    assert [row for row, _ in names_of(told)] == [
        f"{name} (soft labels)",
        f"{name} (soft labels, SGD at learned lr 0.1)",
    ]


def test_an_architecture_has_the_set_and_random_images_and_a_backbone_all_rows_of_its_probes():
    alone = [("alexnet: distilled", False), ("alexnet: random", True)]
    assert [(row.name, row.control) for row in architecture_rows("alexnet", ONE | {"random": ONE})] == alone
    words = [row.name for row in architecture_rows("alexnet", ONE | {"random": ONE}, ("this set", "random images"))]
    assert words == ["alexnet: this set", "alexnet: random images"]
    probes = ONE | {"method": "sfm", "labels": "hard", "controls": {"nearest to centroid": ONE, "random": ONE}}
    probes |= {"random": ONE, "inheritance": {"rows": {"random + inheritance": ONE, "sfm + inheritance": ONE}}}
    assert [(row.name, row.control) for row in architecture_rows("kmeans", probes)] == [
        ("kmeans: sfm (hard labels)", False),
        ("kmeans: random", True),
        ("kmeans: nearest to centroid", True),
        ("kmeans: sfm + inheritance", False),
        ("kmeans: random + inheritance", True),
    ]


def test_a_set_s_row_and_the_control_of_its_name_are_two():
    told = {"method": "random", "labels": "teacher", "controls_under_teacher_labels": {"random": ONE}}
    assert names_of(told) == [("random (teacher labels)", False), ("random control (teacher labels)", True)]


def test_a_classifier_that_the_set_s_own_images_let_inherit_is_no_control():
    rows = {"random + inheritance": ONE, "random, 1 per class + inheritance": ONE, "sfm + inheritance": ONE}
    assert names_of({"method": "sfm", "labels": "hard", "inheritance": {"rows": rows}})[1:] == [
        ("sfm + inheritance", False),
        ("random + inheritance", True),
        ("random, 1 per class + inheritance", True),
    ]


def test_the_set_s_own_row_is_found_by_its_name():
    rows = ["full, debiased", "random", "random (soft labels)", "random control (soft labels)", "sfm (soft labels)"]
    for method in ("sfm", "random"):
        assert own_row(rows, method, "soft") == f"{method} (soft labels)"
    assert own_row(["dm, frequency (hard labels)"], "dm", "hard") == "dm, frequency (hard labels)"
    with pytest.raises(KeyError, match="dm"):
        own_row(rows, "dm", "soft")


@pytest.mark.parametrize(("labels", "share"), [("hard", 0.416), ("soft", 0.416), ("teacher", None)])
def test_no_share_where_teachers_label_what_students_see(labels, share):
    told = {"labels": labels, "share_of_gap_closed": 0.416, "best_full_control": "full, debiased"}
    assert gap_closed(told) == share
    text = "Share of the gap closed between random and full, debiased: 0.42."
    assert gap_text(told) == ("" if share is None else text)
    assert gap_text({"labels": labels}) == "" and gap_closed(told | {"share_of_gap_closed": None}) is None


def test_files_that_tell_no_split_are_of_the_test_images():
    assert (split_of({}), split_of({"split": "dev"})) == ("test", "dev")


@pytest.mark.parametrize(
    ("told", "students"),
    [
        ({}, "convnet of width 16"),
        ({"probed": {"network": "key"}}, "linear probes of convnet of width 16"),
        ({"network": FROZEN, "probed": {}}, "linear probes of patch-kmeans (patches of the training images)"),
    ],
)
def test_linear_probes_are_no_trained_networks(told, students):
    assert students_text(PROTOCOL | told) == f"1 student, {students}, 1,000 steps"
