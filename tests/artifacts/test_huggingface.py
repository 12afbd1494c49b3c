"""The Hub's own library reads what we export; without it, the parquet and the card are read as they are."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from pyarrow import parquet
from ruamel.yaml import YAML

from csdm_cli.artifacts.export import export
from csdm_cli.artifacts.huggingface import DATA, card, unique_names
from csdm_cli.artifacts.stored_evaluation import StoredEvaluation
from csdm_cli.errors import UsageError
from csdm_cli.foreign.importing import import_foreign
from csdm_cli.images.initial import to_uint8
from csdm_cli.names import ExportFormat
from tests.artifacts.sets import dataset_info, make_set

TO = ExportFormat.huggingface
SCORE = {"mean": 51.234, "std": 0.55, "students": 3}
EVALUATION = StoredEvaluation(
    {"accuracy": SCORE, "split": "test", "labels": "soft", "controls": {"random": {"accuracy": SCORE | {"mean": 40}}}},
    {
        "protocol": {
            "students": 3,
            "steps": 700,
            "network": {"name": "convnet", "width": 16},
            "recipe": {"optimizer": "adamw", "lr": 0.001, "batch": 128, "augment": "flip", "cutmix": 0.5},
        },
        "rows": {},
    },
)


def header_of(card):
    _, text, _ = card.split("---\n", 2)
    return YAML(typ="safe").load(text)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_datasets_library_reads_it(tmp_path, monkeypatch, channels):
    datasets = pytest.importorskip("datasets", reason="the optional datasets library is not installed")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    distilled = make_set(soft=True, channels=channels, dataset=dataset_info(3, channels, class_names=("ant", "b", "c")))
    out = export(distilled, TO, tmp_path / "hub").path
    read = datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))
    assert read.num_rows == 24 and read.features["label"].names == ["ant", "b", "c"]
    assert read["label"][:] == distilled.decoded_labels().tolist()
    pixels = np.stack([np.asarray(row["image"]) for row in read])
    expected = to_uint8(distilled.decoded()).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(pixels, expected[..., 0] if channels == 1 else expected)
    assert torch.equal(torch.tensor(read["soft_label"][:]), distilled.soft_labels.probabilities)


@pytest.mark.parametrize("soft", [False, True])
def test_csdm_reads_it_again(tmp_path, soft):
    distilled = make_set(factor=1, soft=soft)
    out = export(distilled, TO, tmp_path / "hub").path
    found = import_foreign(out, None, dataset=distilled.dataset, size=8)
    assert torch.equal(found.images, distilled.images) and torch.equal(found.labels, distilled.labels)
    kind = distilled.default_labels
    assert found.default_labels == kind and torch.equal(found.targets(kind), distilled.targets(kind))


def test_parquet_says_what_its_columns_are(tmp_path):
    out = export(make_set(soft=True), TO, tmp_path / "hub").path
    schema = parquet.read_schema(out / DATA)
    assert schema.names == ["image", "label", "soft_label"]
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"} and features["label"]["names"] == ["class 0", "class 1", "class 2"]


def test_the_card_tells_method_source_counts_and_leaves_the_licence_open(tmp_path):
    out = export(make_set(), TO, tmp_path / "hub")
    card = (out.path / "README.md").read_text()
    header = header_of(card)
    assert "license" not in header and "# license:" in card
    assert header["task_categories"] == ["image-classification"] and header["size_categories"] == ["n<1K"]
    assert header["configs"][0]["data_files"] == [{"split": "train", "path": DATA.as_posix()}]
    assert header["pretty_name"] == "toy distilled by csdm, 2 images per class"
    assert "24 training images of 3 classes, distilled from 14 real images (toy) by the method csdm, seed 7" in card
    assert "| class 1 | 4 | 2 |" in card and "Not evaluated." in card
    assert any("licence" in note for note in out.notes) and any("accuracy" in note for note in out.notes)


def test_the_card_tells_the_accuracy_with_its_protocol(tmp_path):
    card = (export(make_set(), TO, tmp_path / "hub", EVALUATION).path / "README.md").read_text()
    assert "| this set (soft labels) | 51.2 ± 0.6 | – |" in card and "| random | 40.0 ± 0.6 | – |" in card
    assert "3 students, convnet of width 16, 700 steps of adamw, lr 0.001, batch 128" in card


def test_the_card_has_all_rows_and_calls_linear_probes_so(tmp_path):
    metrics = EVALUATION.metrics | {
        "controls_under_teacher_labels": {"tiled-random": {"accuracy": SCORE}},
        "learned_rate": {"accuracy": SCORE, "lr": 0.01},
        "inheritance": {"rows": {"random + inheritance": {"accuracy": SCORE}}},
    }
    details = EVALUATION.details | {"protocol": EVALUATION.details["protocol"] | {"probed": {"network": "key"}}}
    card = (export(make_set(), TO, tmp_path / "hub", StoredEvaluation(metrics, details)).path / "README.md").read_text()
    rows = ("tiled-random (soft labels)", "this set (soft labels, SGD at learned lr 0.01)", "random + inheritance")
    for name in rows:
        assert f"| {name} | 51.2 ± 0.6 | – |" in card
    assert "3 students, linear probes of convnet of width 16, 700 steps of adamw" in card


def test_names_of_strangers_neither_break_the_header_nor_the_text(tmp_path):
    names = ("---\n# <b>x</b>", "`|[a](b)", 'q"\u202e')
    info = dataset_info(3, class_names=names, name="evil\n---\nlicense: mit")
    card = (export(make_set(dataset=info), TO, tmp_path / "hub").path / "README.md").read_text()
    by_another = make_set(provenance=replace(make_set().provenance, method="<script>alert(1)</script>"))
    evil = (export(by_another, TO, tmp_path / "evil").path / "README.md").read_text()
    header = header_of(card)
    assert "license" not in header and header["pretty_name"].startswith("evil\\n---\\nlicense: mit")
    assert "<b>" not in card.replace("\\<b\\>", "") and "\u202e" not in card
    assert header_of(evil)["pretty_name"] == "toy distilled by <script>alert(1)</script>, 2 images per class"
    assert "<script>" not in evil
    assert card.count("```") == 4


def test_equal_names_are_told_apart():
    assert unique_names(("crane", "crane")) == ("0_crane", "1_crane")
    assert unique_names(("crane", "bird")) == ("crane", "bird")


def test_other_numbers_of_channels_are_refused(tmp_path):
    with pytest.raises(UsageError, match="--to npz"):
        export(make_set(channels=2, dataset=dataset_info(3, 2)), TO, tmp_path / "hub")


def test_one_image_is_no_images():
    one = make_set(1, 1, factor=1, dataset=dataset_info(1, counts=(1,)))
    evaluated = replace(
        EVALUATION, details=EVALUATION.details | {"protocol": EVALUATION.details["protocol"] | {"students": 1}}
    )
    text = card(one, ("ant",), evaluated)
    assert header_of(text)["pretty_name"] == "toy distilled by csdm, 1 image per class"
    assert "1 training image of 1 class, distilled from 1 real image (toy)" in text
    assert "over 1 student, convnet of width 16, 700 steps of" in text
