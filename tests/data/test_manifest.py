"""Whatever is changed in a manifest, by hand or by a fault, is refused in one line that says what to do."""

from __future__ import annotations

import json
import random
import shutil

import pytest

from csdm_cli.data.store import MANIFEST_FILE, SEAL, open_longtail
from csdm_cli.errors import CsdmError
from csdm_cli.storage import seal

OTHERS = [None, True, 0, -1, 10**30, 0.5, "x", "", [], [None], {}, {"a": 1}, [[0]], ["x"], "\ud800"]


@pytest.fixture
def manifest(digits_longtail, tmp_path):
    """A manifest's path and fields, which a test may harm."""
    shutil.copytree(digits_longtail.folder, tmp_path / "set")
    path = tmp_path / "set" / MANIFEST_FILE
    return path, json.loads(path.read_text())


def refused(path) -> str:
    with pytest.raises(CsdmError) as caught:
        open_longtail(path.parent)
    text = str(caught.value)
    assert "\n" not in text and str(path) in text and "run csdm make-lt again" in text
    return text


def test_every_field_changed_to_anything_else(manifest):
    path, fields = manifest
    for name, value in fields.items():
        for other in OTHERS:
            if seal.digest(other) != seal.digest(value):
                path.write_text(json.dumps(fields | {name: other}))
                refused(path)
        path.write_text(json.dumps({key: kept for key, kept in fields.items() if key != name}))
        refused(path)


def test_small_changes_that_stay_plausible(manifest):
    path, fields = manifest
    mean = [value + 0.01 for value in fields["mean"]]
    for change in ({"mean": mean}, {"seed": fields["seed"] + 1}, {"jpeg": True}, {"class_names": list("abcdefghij")}):
        path.write_text(json.dumps(fields | change))
        assert "was changed after make-lt wrote it" in refused(path)


def test_forged_hashes_do_not_help_wrong_types_and_ranges(manifest):
    """Values of a wrong type, or impossible: nothing that a set cannot be gets past, and no traceback."""
    path, fields = manifest
    accepted = []
    for name in fields.keys() - {SEAL, "schema"}:
        for other in [*OTHERS, float("inf")]:
            text = json.dumps(seal.sealed(fields | {name: other}, SEAL))
            path.write_text(text)
            try:
                open_longtail(path.parent)
            except CsdmError as error:
                assert "\n" not in str(error)
            else:
                accepted.append((name, other))
    texts = ("dataset", "profile", "class_order", "split", "origin", "source_fingerprint")
    plausible = [(name, text) for name in texts for text in ("x", "")]
    plausible += [("seed", number) for number in (0, -1, 10**30)] + [("imbalance", 10**30), ("versions", {})]
    plausible += [(name, value) for name in ("jpeg", "ltdd_images") for value in (None, True)]
    assert [pair for pair in accepted if pair not in plausible] == []


@pytest.mark.parametrize("change", [{"std": [0.0]}, {"std": [-1.0]}, {"mean": ["a"]}, {"counts": [0] * 10}])
def test_impossible_values_are_named(manifest, change):
    path, fields = manifest
    path.write_text(json.dumps(seal.sealed(fields | change, SEAL)))
    assert "is damaged" in refused(path)


def test_flipped_bits(manifest):
    path, _ = manifest
    whole, chance = path.read_bytes(), random.Random(0)
    for position in chance.sample(range(len(whole)), 200):
        harmed = bytearray(whole)
        harmed[position] ^= 1 << chance.randrange(8)
        path.write_bytes(harmed)
        try:
            found = open_longtail(path.parent)
        except CsdmError as error:
            assert "\n" not in str(error) and "run csdm make-lt again" in str(error)
        else:  # a blank that became another blank
            assert json.loads(harmed) == json.loads(whole) and found.manifest.to_text().encode() == whole
