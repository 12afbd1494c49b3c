from __future__ import annotations

import numpy as np
import pytest
import torch

from csdm_cli.data import sources
from csdm_cli.data.build import build_longtail, choose
from csdm_cli.data.holdout import read_test
from csdm_cli.data.sources.reading import Reading
from csdm_cli.data.store import open_longtail
from csdm_cli.errors import UsageError
from csdm_cli.images.normalisation import statistics_of
from csdm_cli.settings.sections import MakeLt
from tests.data.pictures import image_folder, noise


def digits(tmp_path, **settings):
    return build_longtail(MakeLt(dataset="digits", size=8, **settings), tmp_path / "set", tmp_path / "cache")


def test_the_set_is_what_its_settings_say(digits_longtail):
    manifest = digits_longtail.manifest
    assert manifest.counts == (20, 15, 11, 9, 7, 5, 4, 3, 2, 2)  # int(20 * 10^(-c/9))
    assert (manifest.profile, manifest.imbalance, manifest.n_max, manifest.seed) == ("exponential", 10, 20, 5)
    assert manifest.class_names == tuple("0123456789")
    assert (manifest.channels, manifest.size, manifest.jpeg, manifest.origin) == (1, 8, False, "scikit-learn")
    assert manifest.ltdd_images is None
    assert manifest.versions.keys() == {"csdm", "torch", "numpy", "pillow"}
    assert digits_longtail.dev().counts == (3,) * 10
    statistics = statistics_of(digits_longtail.train().images)
    assert (manifest.mean, manifest.std) == (statistics.mean, statistics.std)


def test_the_selected_positions_lead_back_to_the_images(digits_longtail, tmp_path):
    raw = sources.load("digits", None, Reading(8), tmp_path)
    manifest = digits_longtail.manifest
    for images, positions in ((digits_longtail.train(), manifest.selected), (digits_longtail.dev(), manifest.reserved)):
        for label, own in enumerate(positions):
            assert raw.train.labels[list(own)].eq(label).all()
            assert raw.train.read(own).equal(images.of_class(label))


def test_training_development_and_test_images_are_disjoint(digits_longtail):
    manifest = digits_longtail.manifest
    for chosen, kept_back in zip(manifest.selected, manifest.reserved, strict=True):
        assert not set(chosen) & set(kept_back)

    def rows(images):
        return {tuple(image.flatten().tolist()) for image in images.images}

    test = rows(read_test(digits_longtail))
    assert not test & rows(digits_longtail.train()) and not test & rows(digits_longtail.dev())


def test_the_same_settings_give_the_same_bytes(digits_longtail, digits_settings, tmp_path):
    again = build_longtail(digits_settings, tmp_path / "elsewhere" / "renamed", tmp_path / "cache")
    for place in digits_longtail.folder.iterdir():
        assert (again.folder / place.name).read_bytes() == place.read_bytes()


def test_another_seed_chooses_other_images(digits_longtail, digits_settings, tmp_path):
    settings = digits_settings.model_copy(update={"seed": 6})
    other = build_longtail(settings, tmp_path / "set", tmp_path / "cache").manifest.fingerprints
    mine = digits_longtail.manifest.fingerprints
    assert other["test"] == mine["test"]
    assert other["train"] != mine["train"] and other["dev"] != mine["dev"]


def test_without_n_max_the_smallest_class_sets_it(tmp_path):
    raw = sources.load("digits", None, Reading(8), tmp_path)
    smallest = min(raw.train.counts(10))
    assert choose(MakeLt(dataset="digits", imbalance=2), raw).n_max == smallest
    assert choose(MakeLt(dataset="digits", imbalance=2, dev=16), raw).n_max == smallest - 16


def test_shuffling_moves_counts_but_not_labels(tmp_path):
    longtail = digits(tmp_path, imbalance=10, n_max=20, class_order="shuffled")
    counts = longtail.manifest.counts
    assert sorted(counts, reverse=True) == [20, 15, 11, 9, 7, 5, 4, 3, 2, 2] != list(counts)
    assert longtail.manifest.class_names == tuple("0123456789")
    raw = sources.load("digits", None, Reading(8), tmp_path)
    for label, positions in enumerate(longtail.manifest.selected):
        assert len(positions) == counts[label]
        assert raw.train.labels[list(positions)].eq(label).all()


def test_explicit_and_balanced_sets_record_their_ratio(tmp_path):
    explicit = digits(tmp_path, profile="explicit", counts=[2, 4, 8, 2, 2, 2, 2, 2, 2, 3]).manifest
    assert (explicit.counts, explicit.n_max, explicit.imbalance) == ((2, 4, 8, 2, 2, 2, 2, 2, 2, 3), 8, 4)
    balanced = digits(tmp_path, profile="balanced", n_max=4).manifest
    assert (balanced.counts, balanced.n_max, balanced.imbalance) == ((4,) * 10, 4, 1)
    assert balanced.dev_per_class == 0 and "dev" not in balanced.fingerprints


def test_ltdd_positions_in_another_file_order_are_marked(tmp_path):
    longtail = digits(tmp_path, imbalance=10, n_max=20, split="ltdd")
    assert open_longtail(longtail.folder).manifest.ltdd_images is False
    raw = sources.load("digits", None, Reading(8), tmp_path)
    within = [
        torch.searchsorted(raw.train.positions(label), torch.tensor(own)).tolist()
        for label, own in enumerate(longtail.manifest.selected)
    ]
    sizes = raw.train.counts(10)
    for label in range(1, 10):
        if sizes[label] == sizes[0]:
            assert within[label] == within[0][: len(within[label])]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"n_max": 5000}, "class 0 should keep 5000 images but has 119"),
        ({"profile": "explicit", "counts": [1, 1, 1, 500, 1, 1, 1, 1, 1, 1]}, "class 3 should keep 500 images"),
        ({"profile": "explicit", "counts": [3, 2, 1]}, "3 counts given for 10 classes"),
        ({"n_max": 110, "dev": 50, "imbalance": 2}, "class 0 should keep 110 images but has 69"),
        ({"dev": 120}, "--dev 120 would leave none"),
        ({"imbalance": 1000, "n_max": 50}, "would keep 0 images"),
        ({"split": "ltdd", "dev": 5, "imbalance": 2}, "leave --dev out"),
    ],
)
def test_what_the_dataset_cannot_give_is_refused_in_one_line(tmp_path, settings, says):
    with pytest.raises(UsageError) as error:
        digits(tmp_path, **settings)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "set").exists()


def own_folder(root, test=True):
    sets = {"train": {"a": [noise(seed) for seed in range(12)], "b": [noise(20), noise(21), noise(22)]}}
    if test:
        sets["test"] = {"a": [noise(30)], "b": [noise(31)]}
    return image_folder(root, sets)


def test_a_folder_of_ones_own_is_kept_as_it_is(tmp_path):
    settings = MakeLt(dataset="folder", data_dir=own_folder(tmp_path / "own"))
    longtail = build_longtail(settings, tmp_path / "set", tmp_path / "cache")
    manifest = longtail.manifest
    assert (manifest.profile, manifest.counts, manifest.n_max, manifest.imbalance) == ("as-is", (12, 3), 12, 4)
    written = (longtail.folder / "manifest.json").read_bytes()
    assert manifest.held_out == () and b"held_out" not in written
    assert manifest.read_as == {} and b"read_as" not in written
    assert [sorted(own) for own in manifest.selected] == [list(range(12)), [12, 13, 14]]
    kept = {image.numpy().tobytes() for image in longtail.train().images}
    assert kept == {noise(seed).transpose(2, 0, 1).tobytes() for seed in (*range(12), 20, 21, 22)}


def test_a_test_set_that_was_held_out_is_listed(tmp_path):
    settings = MakeLt(dataset="folder", data_dir=own_folder(tmp_path / "own", test=False), test_share=0.25, dev=1)
    longtail = build_longtail(settings, tmp_path / "set", tmp_path / "cache")
    manifest = open_longtail(longtail.folder).manifest
    assert (manifest.counts, manifest.test_counts) == ((8, 1), (3, 1))
    sides = [
        {place for own in per_class for place in own}
        for per_class in (manifest.selected, manifest.reserved, manifest.held_out)
    ]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 15
    raw = sources.load("folder", tmp_path / "own", Reading(), tmp_path)
    assert read_test(longtail).images.equal(raw.train.read([place for own in manifest.held_out for place in own]))


def test_no_group_is_in_two_sets(tmp_path):
    pictures = {"a": [noise(seed) for seed in range(24)], "b": [noise(seed) for seed in range(30, 42)]}
    own = image_folder(tmp_path, {"own": pictures}) / "own"  # a/00.png to a/23.png, b/00.png to b/11.png
    names = sources.load("folder", own, Reading(), tmp_path).train.names
    told = []
    settings = MakeLt(dataset="folder", data_dir=own, test_share=0.25, dev=2, group_by=r"(\d)\.png")
    manifest = build_longtail(settings, tmp_path / "set", tmp_path / "cache", told.append).manifest
    digits_of = [
        {names[place][-5] for own in per_class for place in own}
        for per_class in (manifest.selected, manifest.reserved, manifest.held_out)
    ]
    assert all(digits_of) and sum(map(len, digits_of)) == len(set.union(*digits_of)) == 10
    used = sum(map(sum, (manifest.counts, manifest.test_counts))) + 2 * manifest.dev_per_class
    assert told == [f"{36 - used} images of the development set's groups stay out of both sets"]


@pytest.mark.parametrize(
    ("settings", "test", "says"),
    [
        ({}, False, "--test-share 0.2 or --test-per-class K"),
        ({"test_share": 0.2}, True, "has a test set of its own"),
        ({"imbalance": 10}, True, "class 1 would keep 0 images"),
        ({"imbalance": 10}, True, "n_max is what the smallest class has, 'b'"),
    ],
)
def test_what_a_folder_cannot_give_is_refused(tmp_path, settings, test, says):
    whole = MakeLt(dataset="folder", data_dir=own_folder(tmp_path / "own", test), **settings)
    with pytest.raises(UsageError) as error:
        build_longtail(whole, tmp_path / "set", tmp_path / "cache")
    assert says in str(error.value) and "\n" not in str(error.value)


def test_a_set_larger_than_memory_is_refused_before_a_pixel_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr("csdm_cli.data.sources.room.machine_memory", lambda: 10**6)
    with pytest.raises(UsageError, match=r"images of 64x64 take .* smaller --size"):
        build_longtail(MakeLt(dataset="digits", size=64, profile="balanced"), tmp_path / "set", tmp_path / "cache")


@pytest.mark.parametrize(("bits", "warned"), [(12, True), (14, True), (16, False)])
def test_deep_images_that_come_out_dark_are_told(tmp_path, bits, warned):
    """A sensor's 12 bits in 16 are nearly black."""
    shades = (noise(0, channels=1).astype(np.uint16) * 257) >> (16 - bits)
    image_folder(tmp_path, {part: {name: [shades, shades] for name in "ab"} for part in ("train", "test")})
    told: list[str] = []
    settings = MakeLt(dataset="folder", data_dir=tmp_path)
    build_longtail(settings, tmp_path / "set", tmp_path / "cache", told.append)
    assert [line.partition(";")[0] for line in told] == (
        [f"warning: the brightest pixel of all training images is {(shades >> 8).max()} of 255"] if warned else []
    )


def test_remarks_on_the_source_are_handed_on(tmp_path):
    own = own_folder(tmp_path / "own")
    (own / "train" / "a" / "notes.txt").write_text("x")
    told = []
    build_longtail(MakeLt(dataset="folder", data_dir=own), tmp_path / "set", tmp_path / "cache", told.append)
    assert told == ["1 file is left out, for its ending is not that of images: .txt (1)"]


def test_cifar10_from_parquet(real_data, tmp_path):
    settings = MakeLt(dataset="cifar10", data_dir=real_data / "cifar10", imbalance=200, split="ltdd")
    longtail = build_longtail(settings, tmp_path / "set", tmp_path / "cache")
    manifest = longtail.manifest
    assert manifest.counts == (5000, 2775, 1540, 854, 474, 263, 146, 81, 45, 25)
    assert manifest.test_counts == (1000,) * 10
    assert manifest.class_names[0] == "airplane" and manifest.class_names[9] == "truck"
    assert (manifest.channels, manifest.size, manifest.origin) == (3, 32, "parquet")
    assert manifest.jpeg is True
    assert manifest.ltdd_images is False  # parquet has another file order than torchvision
    assert len(longtail.train().images) == 11203


def test_imagenette_from_parquet(real_data, tmp_path):
    data_dir = real_data / "imagenette"
    settings = MakeLt(dataset="imagenette", data_dir=data_dir, n_max=20, imbalance=10, dev=2, size=64)
    longtail = build_longtail(settings, tmp_path / "set", tmp_path / "cache")
    manifest = longtail.manifest
    assert manifest.class_names[:3] == ("tench", "English springer", "cassette player")
    assert longtail.train().images.shape == (sum(manifest.counts), 3, 64, 64)
    assert sum(manifest.test_counts) == 3925
