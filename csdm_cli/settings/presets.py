"""Declared settings per method, below a params file and the command line.

Under ``common`` all methods share the defaults: networks, teachers, augmentation, optimiser and its steps, students.
What may differ is what each method's own scale decides, such as the weight of calibration: chosen with the same number
of trials on a development set, never on the test set. ``paper`` is what each method's paper used.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from csdm_cli.names import Preset

Values = Mapping[str, Mapping[str, Any]]  # by section of params.yaml

# Of ``common``, by method; a method's own parameters stand under distill.option. All were tuned on one grid in units of
# gradients: calibration 0, 0.3, 1 and 3 times the matching and, at 1, three learning rates of the pixels, six trials
# each on a development set, and four more where a term of their own weighs more (benchmarks/study/tuning.yaml,
# results/tuning/2026-12).
COMMON: dict[str, Values] = {
    "csdm": {"distill": {"calibration": "0.3x"}},
    "dm": {"distill": {"calibration": "0.3x"}},
    # the history begins after a fifth of the steps, as in its paper
    "dsdm": {"distill": {"calibration": "1x", "lr": 0.03, "option": {"history_start": 200}}},
    # its own cross-entropy is ten times its matching by itself: weighed in calibration's place
    "idm": {"distill": {"calibration": "0x", "option": {"ce_weight": 0.05}}},
    # its own weight, 0.05, is for features of another size, and loses ten points here
    "iid": {"distill": {"calibration": "0.3x", "option": {"centralization": 0.001}}},
    "m3d": {"distill": {"calibration": "1x", "lr": 0.03}},
    "ncfm": {"distill": {"calibration": "0.3x"}},
    "tgdd": {"distill": {"calibration": "1x"}},
    "wmdd": {"distill": {"calibration": "1x", "lr": 0.003}},
    # Methods that learn through training weigh nothing: two or three learning rates of the pixels each, at a
    # declared CPU scale (benchmarks/study/learning.yaml, results/tuning/2026-12-learning).
    **{method: {"distill": {"lr": 0.003}} for method in ("dc", "dsa", "idc", "dream", "cafe")},
    **{method: {"distill": {"lr": 0.001}} for method in ("mtt", "ftd", "datm", "lad")},
}
# Sections that a preset, or --set of compare, may set: nothing about the data.
SECTIONS = ("pretrain", "distill", "evaluate")


def preset_values(preset: Preset, method: str, ipc: int) -> Values:
    """The settings of ``preset`` for ``method`` at ``ipc`` images per class."""
    if preset is Preset.common:
        return COMMON.get(method, {})
    from csdm_cli.methods import load

    return load(method).paper(ipc)


def tuned_options(method: str, chosen: Collection[str]) -> str:
    """Options that ``common`` has for ``method``, but for those ``chosen``, as they are typed; may be empty."""
    flags = []
    for name, value in COMMON.get(method, {}).get("distill", {}).items():
        if name not in chosen:
            values = [f"{key}={part}" for key, part in value.items()] if isinstance(value, Mapping) else [value]
            flags += [f"--{name.replace('_', '-')} {part}" for part in values]
    return " ".join(flags)


# Two ways to say one thing: a layer that says it in one of them replaces the other below.
ALTERNATIVES = {"epochs": "steps", "steps": "epochs"}


def overlaid(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings joined key by key, the later ones on top."""
    joined: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            other = ALTERNATIVES.get(name)
            if other and value is not None and layer.get(other) is None:
                joined.pop(other, None)
            below = joined.get(name)
            both = isinstance(below, Mapping) and isinstance(value, Mapping)
            joined[name] = overlaid(below or {}, value) if both else value
    return joined
