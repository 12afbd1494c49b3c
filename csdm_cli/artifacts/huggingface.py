"""A distilled set as a dataset of the Hugging Face Hub: ``load_dataset(FOLDER)`` reads it, and it can be pushed.

``data/train-00000-of-00001.parquet`` holds PNGs, labels and, if there are any, soft labels; ``README.md`` is the card.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from csdm_cli import __version__
from csdm_cli.artifacts.accounting import storage_of
from csdm_cli.artifacts.distilled import Coded, Distilled
from csdm_cli.artifacts.evaluation_rows import GROUPS, evaluation_rows, split_of, students_text
from csdm_cli.artifacts.stored_evaluation import StoredEvaluation
from csdm_cli.display.markdown import markdown_table
from csdm_cli.display.png import png
from csdm_cli.display.scores import score_text
from csdm_cli.errors import UsageError
from csdm_cli.images.initial import to_uint8
from csdm_cli.safe_text import counted, json_in_markdown, markdown, shown
from csdm_cli.storage import atomic

DATA = Path("data") / "train-00000-of-00001.parquet"
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def write_huggingface(distilled: Distilled, folder: Path, evaluation: StoredEvaluation | None) -> tuple[str, ...]:
    """Write data and card; returns what the user should know, a line each.

    Raises:
        UsageError: if the images have neither 1 nor 3 channels.
    """
    channels = distilled.shape.channels
    if channels not in (1, 3):
        raise UsageError(f"--to huggingface takes 1 or 3 channels, the set has {channels}: use --to npz")
    names = unique_names(distilled.dataset.class_names)
    atomic.write_bytes(folder / DATA, _parquet(distilled, names))
    atomic.write_text(folder / "README.md", card(distilled, names, evaluation))
    notes = ["images are decoded and rounded to 8 bits", "README.md: choose a licence before you publish"]
    if evaluation is None:
        notes.append("the card names no accuracy: run csdm evaluate first, or name its folder with --evaluation")
    return tuple(notes)


def unique_names(class_names: tuple[str, ...]) -> tuple[str, ...]:
    """Names as a Hub's class label takes them: no two alike."""
    plain = tuple(shown(name) for name in class_names)
    if len(set(plain)) == len(plain):
        return plain
    return tuple(f"{label}_{name}" for label, name in enumerate(plain))


def _parquet(distilled: Distilled, names: tuple[str, ...]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    images = to_uint8(distilled.decoded())
    picture = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    features: dict[str, Any] = {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
    coded = [{"bytes": png(image), "path": f"{index:06}.png"} for index, image in enumerate(images)]
    columns = {"image": pyarrow.array(coded, picture), "label": pyarrow.array(distilled.decoded_labels().tolist())}
    if distilled.soft_labels is not None:
        rows = distilled.soft_labels.probabilities.float().tolist()
        columns["soft_label"] = pyarrow.array(rows, pyarrow.list_(pyarrow.float32()))
        features["soft_label"] = {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "Sequence"}
    table = pyarrow.table(columns).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}}, sort_keys=True)}
    )
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    return buffer.getvalue()


def card(distilled: Distilled, names: tuple[str, ...], evaluation: StoredEvaluation | None) -> str:
    """``README.md``: a header that the Hub reads, then what the set is, for people."""
    data, origin = distilled.dataset, distilled.provenance
    count = len(distilled.decoded_labels())
    size = next((text for most, text in SIZES if count < most), "1M<n<10M")
    title = f"{shown(data.name)} distilled by {shown(origin.method)}, {distilled.per_class_text}"
    head = [
        "---",
        "# A distilled set may fall under the licence of the images it was made from. Choose one and remove the #:",
        "# license: cc-by-4.0",
        f"pretty_name: {json_in_markdown(title)}",
        "task_categories:\n- image-classification",
        f"size_categories:\n- {size}",
        "tags:\n- dataset-distillation\n- long-tailed",
        f"configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: {DATA.as_posix()}",
        "---",
    ]
    counts = zip(map(str, data.counts), map(str, distilled.counts), strict=True)
    about = "decoded" if isinstance(distilled.decoding, Coded) else "stored"
    classes = [(name, real, stored) for name, (real, stored) in zip(names, counts, strict=True)]
    body = [
        f"# {markdown(title)}",
        f"{counted(count, 'training image')} of {counted(data.classes, 'class', 'classes')}, distilled from"
        f" {counted(sum(data.counts), 'real image')}"
        f" ({markdown(data.name)}) by the method {markdown(origin.method)}, seed {origin.seed}, with"
        f" [csdm](https://pypi.org/project/csdm-cli/) {__version__}.",
        "```python\nfrom datasets import load_dataset\n\n"
        'train = load_dataset("path/of/this/folder", split="train")\n```',
        f"Students expect pixels in [0, 1] normalised by mean {_list(data.mean)} and std {_list(data.std)}.",
        *_about_labels(distilled),
        f"It takes {storage_of(distilled).text}.",
        "## Accuracy",
        *_accuracy(evaluation),
        "## Classes",
        markdown_table(("class", "real images", f"{about} images"), classes),
        "## Provenance",
        f"```json\n{_settings(distilled)}\n```",
    ]
    return "\n".join(head) + "\n\n" + "\n\n".join(body) + "\n"


def _about_labels(distilled: Distilled) -> list[str]:
    if (soft := distilled.soft_labels) is None:
        return []
    return [f"`soft_label`: probabilities by {markdown(soft.teacher)} at temperature {soft.temperature:g}."]


def _accuracy(evaluation: StoredEvaluation | None) -> list[str]:
    if evaluation is None:
        return ["Not evaluated."]
    protocol, metrics = evaluation.details["protocol"], evaluation.metrics
    recipe = protocol.get("recipe") or {}
    cells = [(row.name, *(score_text(row.scores.get(key)) for key in GROUPS)) for row in evaluation_rows(metrics)]
    about = (
        f"In % on the {markdown(split_of(metrics))} set, after the last step: mean ± standard deviation over"
        f" {markdown(students_text(protocol))} of {markdown(recipe.get('optimizer'))}, lr {recipe.get('lr')},"
        f" batch {recipe.get('batch')}, augmentation {markdown(recipe.get('augment'))}, cutmix {recipe.get('cutmix')}."
    )
    return [markdown_table(("trained on", *GROUPS.values()), cells), about]


def _settings(distilled: Distilled) -> str:
    """The provenance as JSON."""
    origin = distilled.provenance
    value = {
        "method": origin.method,
        "seed": origin.seed,
        "config": origin.config,
        "source": origin.source,
        "versions": origin.versions,
    }
    return json_in_markdown(value, indent=1)


def _list(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
