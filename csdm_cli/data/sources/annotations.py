"""Lists in json, as iNaturalist and COCO have them: ``images``, ``annotations``, and mostly ``categories``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from csdm_cli.errors import CsdmError
from csdm_cli.safe_text import shown

SUFFIX = ".json"


def read_annotations(text: str, name: str) -> list[tuple[str, str]]:
    """The path of every annotated image and its label, in the order in which images are first annotated.

    The label is the name of its category; or the category's number where there are no categories, or where two have
    the same name.

    Args:
        text: the list.
        name: its file's name, for messages.

    Raises:
        CsdmError: if it is no such list, names what is not there, or an image is of several categories.
    """
    try:
        found = json.loads(text)
        files = {image["id"]: str(image["file_name"]) for image in found["images"]}
        named = {category["id"]: str(category["name"]) for category in found.get("categories", ())}
        pairs = [(own["image_id"], own["category_id"]) for own in found["annotations"]]
        set(pairs)  # a TypeError, if a list or an object stands where a number or a name belongs
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        wants = "images with id and file_name, and annotations with image_id and category_id"
        raise CsdmError(f"{name} is not a list of images in json: it needs {wants}") from error
    return [(files[image], label) for image, label in _one_each(pairs, files, _labels(named), name).items()]


def _labels(named: Mapping[Any, str]) -> Mapping[Any, str]:
    """Names by number; none if they do not tell categories apart."""
    return named if not named or max(Counter(named.values()).values()) == 1 else {}


def _one_each(
    pairs: list[tuple[Any, Any]], files: Mapping[Any, str], named: Mapping[Any, str], name: str
) -> dict[Any, str]:
    """The one label of each image."""
    labels: dict[Any, str] = {}
    for row, (image, category) in enumerate(pairs):
        if image not in files or (named and category not in named):
            what = f"image {shown(image)}" if image not in files else f"category {shown(category)}"
            raise CsdmError(f"{name}: annotation {row} is of {what}, which is not listed")
        label = named.get(category, str(category))
        if labels.setdefault(image, label) != label:
            both = f"{shown(labels[image])} and {shown(label)}"
            raise CsdmError(f"{name}: {shown(files[image])} is {both}, but an image has one class here")
    return labels
