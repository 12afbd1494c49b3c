from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from csdm_cli.artifacts.distilled import PARTS, Decoding, stored_sha256
from csdm_cli.artifacts.file import load_distilled, save_distilled
from csdm_cli.artifacts.joining import merge, parts_in_words, select_classes
from csdm_cli.artifacts.validation import first_problem
from csdm_cli.errors import UsageError
from csdm_cli.names import LabelKind
from csdm_cli.storage.tensorfile import tensor_sha256
from tests.artifacts.sets import coded_set, dataset_info, make_set

NAMES = ("ant", "bee", "cat", "dog")


def whole(**changes):
    return make_set(classes=4, dataset=dataset_info(4, class_names=NAMES), **changes)


def test_selected_classes_are_numbered_in_their_order():
    distilled = whole(evaluation={"steps": 3, "network": {"name": "convnet", "classes": 4}})
    part = select_classes(distilled, ["dog", "1"])
    assert first_problem(part) is None
    assert part.dataset.class_names == ("dog", "bee") and part.dataset.counts == (2, 8)
    assert torch.equal(part.images, distilled.images[[6, 7, 2, 3]]) and part.labels.tolist() == [0, 0, 1, 1]
    assert part.evaluation == {"steps": 3, "network": {"name": "convnet", "classes": 2}}
    assert part.dataset.test_fingerprint == "" and "run" not in part.provenance.config


def test_selected_soft_labels_are_scaled_to_sum_one():
    distilled = whole(soft=True)
    rows = distilled.soft_labels.probabilities.reshape(8, 4, 4)[[6, 7, 2, 3]][..., [3, 1]].reshape(16, 2)
    part = select_classes(distilled, ["dog", "bee"])
    torch.testing.assert_close(part.targets(LabelKind.soft), rows / rows.sum(1, keepdim=True))


@pytest.mark.parametrize(
    ("wanted", "match"), [(["cow"], "no class 'cow'; it has ant, bee"), (["ant", "0"], "twice"), (["4"], "no class")]
)
def test_classes_that_are_not_there(wanted, match):
    with pytest.raises(UsageError, match=match):
        select_classes(whole(), wanted)


@pytest.mark.parametrize("soft", [False, True])
def test_a_set_cut_in_two_is_merged_to_the_same_images(tmp_path, soft):
    distilled = whole(soft=soft)
    parts = [select_classes(distilled, names) for names in (["dog", "bee"], ["ant", "cat"])]
    merged = merge(parts, distilled.dataset).distilled
    assert torch.equal(merged.images, distilled.images) and torch.equal(merged.labels, distilled.labels)
    assert merged.dataset == distilled.dataset and merged.default_labels == distilled.default_labels
    save_distilled(tmp_path / "distilled.safetensors", merged)
    assert load_distilled(tmp_path).ipc == (2, 2, 2, 2)


def test_soft_labels_of_a_part_say_nothing_of_the_other_parts():
    distilled = whole(soft=True)
    parts = [select_classes(distilled, names) for names in (["ant", "bee"], ["cat", "dog"])]
    rows = merge(parts).distilled.targets(LabelKind.soft)
    torch.testing.assert_close(rows[:16, :2], parts[0].targets(LabelKind.soft))
    assert rows[:16, 2:].abs().max() == 0 and rows[16:, :2].abs().max() == 0


def test_without_data_classes_stand_as_they_come_and_normalisation_is_that_of_all():
    first = make_set(classes=2, dataset=dataset_info(2, class_names=("x", "y"), counts=(30, 10), name="one"))
    other = dataset_info(2, class_names=("a", "b"), counts=(15, 5), name="two", mean=(0.2,) * 3, std=(0.1,) * 3)
    data = merge([first, make_set(classes=2, dataset=other)]).distilled.dataset
    assert data.class_names == ("x", "y", "a", "b") and data.counts == (30, 10, 15, 5) and data.name == "one + two"
    mean, std = first.dataset.mean[0], first.dataset.std[0]
    middle = (40 * mean + 20 * 0.2) / 60
    assert data.mean[0] == pytest.approx(middle)
    assert data.std[0] ** 2 == pytest.approx((40 * (std**2 + mean**2) + 20 * (0.01 + 0.04)) / 60 - middle**2)


def test_the_provenance_of_all_is_kept():
    parts = [select_classes(whole(), names) for names in (["ant"], ["bee", "cat", "dog"])]
    origin = merge(parts).distilled.provenance
    assert origin.method == "merged" and [one["classes"] for one in origin.config["sets"]] == [["ant"], list(NAMES[1:])]
    inner = origin.config["sets"][0]["config"]["sets"][0]
    assert (inner["method"], inner["seed"]) == ("csdm", 7)
    assert origin.config["sets"][0]["images_sha256"] == tensor_sha256(parts[0].images)


def test_sets_that_share_a_class_are_refused():
    with pytest.raises(UsageError, match="show the class bee"):
        merge([select_classes(whole(), ["ant", "bee"]), select_classes(whole(), ["bee"])])


def test_sets_of_one_dataset_with_different_classes_shown_keep_it():
    distilled = whole()
    halves = [
        make_set(classes=4, dataset=distilled.dataset, images=distilled.images[rows], labels=distilled.labels[rows])
        for rows in (slice(0, 4), slice(4, 8))
    ]
    merged = merge(halves).distilled
    assert merged.dataset == distilled.dataset and torch.equal(merged.images, distilled.images)


def test_sets_stored_in_different_ways_are_decoded():
    first = make_set(classes=2, factor=2, dataset=dataset_info(2, class_names=("x", "y")))
    second = make_set(classes=2, factor=1, soft=True, dataset=dataset_info(2, class_names=("a", "b")))
    joined = merge([first, second])
    assert joined.distilled.decoding == Decoding(1, 8, 8) and joined.distilled.ipc == (8, 8, 2, 2)
    assert torch.equal(joined.distilled.images, torch.cat([first.decoded(), second.decoded()]))
    assert any("decoded" in note for note in joined.notes) and any("became soft" in note for note in joined.notes)
    assert first_problem(joined.distilled) is None


def test_other_shapes_and_unknown_classes_are_refused():
    grey = make_set(classes=2, channels=1, dataset=dataset_info(2, 1, class_names=("x", "y")))
    with pytest.raises(UsageError, match="images differ"):
        merge([whole(), grey])
    with pytest.raises(UsageError, match="none is dog"):
        merge(
            [select_classes(whole(), ["dog"]), select_classes(whole(), ["ant"])], dataset_info(1, class_names=("ant",))
        )


@pytest.mark.parametrize("soft", [False, True])
def test_coefficients_cut_in_two_are_merged_to_the_same_set(soft):
    distilled = coded_set(classes=4, dataset=dataset_info(4, class_names=NAMES), soft=soft)
    parts = [select_classes(distilled, names) for names in (["dog", "bee"], ["cat", "ant"])]
    first = distilled.decoded().unflatten(0, (4, -1))
    assert torch.equal(parts[0].decoded().unflatten(0, (2, -1)), first[[3, 1]])
    assert all(first_problem(part) is None for part in parts)
    joined = merge(parts, distilled.dataset).distilled
    assert first_problem(joined) is None and stored_sha256(joined) == stored_sha256(distilled)
    assert torch.equal(joined.decoded(), distilled.decoded()) and torch.equal(joined.labels, distilled.labels)


def test_what_cannot_be_joined_is_told_in_a_line():
    names = dataset_info(3, class_names=("x", "y", "z"))
    coefficients, shared, images = coded_set(), coded_set("decomposition"), make_set(dataset=names)
    others = coded_set(dataset=names)
    wanted = dataset_info(7, class_names=(*others.dataset.class_names, *coefficients.dataset.class_names, "more"))
    for call, message in (
        (lambda: select_classes(shared, ["class 0"]), "cannot be selected from a decomposition, whose kernels all"),
        (lambda: merge([shared, images]), "cannot be merged with a decomposition"),
        (lambda: merge([coefficients, images]), "stored in different ways: merge sets of one --parameterization"),
        (lambda: merge([coefficients, coded_set(ipc=3, dataset=names)]), "stored in different ways"),
        (lambda: merge([coefficients, others], wanted), "no set shows the class more"),
    ):
        with pytest.raises(UsageError, match=message):
            call()


def test_the_hash_of_a_set_is_of_all_that_is_decoded():
    plain, coded = make_set(), coded_set()
    assert stored_sha256(plain) == tensor_sha256(plain.images)
    masks = coded.stored["masks"].clone()
    masks[0] = coded.stored["masks"][0].flip(0)
    changed = replace(coded, stored=coded.stored | {"masks": masks})
    assert len({stored_sha256(one) for one in (coded, coded_set(ipc=3), coded_set("decomposition"), changed)}) == 4
    assert stored_sha256(coded_set(soft=True)) == stored_sha256(coded)


def test_the_sets_that_a_set_was_made_of_are_told_in_words():
    parts = [select_classes(whole(), names) for names in (["dog", "bee"], ["ant", "cat"])]
    told = parts_in_words(merge(parts).distilled.provenance.config)
    assert list(told) == ["set 1", "set 2"] and not any(letter in text for text in told.values() for letter in '{}[]"')
    assert told["set 1"].startswith("csdm, seed 7, classes dog, bee; images sha256 ")
    assert stored_sha256(parts[0])[:16] in told["set 1"] and told["set 1"].endswith("itself made of 1 set")
    many = make_set(classes=30, ipc=1)
    assert "30 classes" in parts_in_words(select_classes(many, ["class 1"]).provenance.config)["set 1"]


@pytest.mark.parametrize("sets", [5, [5], [{"method": "dm"}], None, "set"])
def test_sets_that_a_stranger_tells_of_in_another_way_have_no_words(sets):
    assert parts_in_words({PARTS: sets}) == {} == parts_in_words({})
