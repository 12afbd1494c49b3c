"""Settings of distillation that were written down in the units, or with the defaults, of an earlier csdm.

Since units 2 calibration is a sum over classes of class means, as the matching losses beside it are; before it was the
mean over all images, that is 1/C of it. With it changed what goes along: wmdd's distances, which were means over
classes too; m3d's moments, which had weights by default; and AdamW's decay of the pixels, which nobody asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNITS = 2
KEY = "units"  # among the settings of distillation that an artifact or a row tells; without it they are of units 1

# Of units 1, where nobody said otherwise.
OPTIONS: dict[str, dict[str, Any]] = {"m3d": {"second": 1.0, "third": 0.1}, "wmdd": {"classes": "mean"}}


def in_units(settings: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` of distillation with the units of today beside them."""
    return dict(settings) | {KEY: UNITS}


def modern_sections(sections: Mapping[Any, Mapping[str, Any]], classes: int) -> dict[Any, dict[str, Any]]:
    """All sections of settings, with :func:`modern` ones of distillation."""
    whole = {name: dict(section) for name, section in sections.items()}
    return whole | {"distill": modern(whole["distill"], classes)}


def modern_row(sections: Mapping[Any, Mapping[str, Any]], classes: int) -> dict[Any, dict[str, Any]]:
    """:func:`modern_sections` of a row, whose controls on all images once had the students' number of steps."""
    whole = modern_sections(sections, classes)
    return whole | {"evaluate": {"full_steps": whole["evaluate"]["steps"]} | whole["evaluate"]}


def modern(told: Mapping[str, Any], classes: int) -> dict[str, Any]:
    """The settings of today, without their units, that compute what the ``told`` ones did on so many classes."""
    own = dict(told)
    if own.pop(KEY, 1) >= UNITS:
        return own
    if own.get("calibration") is not None:
        own["calibration"] = own["calibration"] / classes
    if added := OPTIONS.get(str(own.get("method"))):
        own["option"] = added | dict(own.get("option") or {})
    if own.get("optimizer") == "adamw":
        own["weight_decay"] = 0.01
    return own
