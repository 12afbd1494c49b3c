"""Settings as the commands a person would type."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from csdm_cli.ledger.row import Computing, SectionName
from csdm_cli.methods.learning import LearningMethod
from csdm_cli.names import EvaluationProtocol, LabelKind, StoredLabels
from csdm_cli.networks.numerics import PLAIN, Numerics
from csdm_cli.runs.choose import choose, settled, without_effect
from csdm_cli.runs.long_tail import default_folder
from csdm_cli.runs.method_options import make_method
from csdm_cli.settings import sections as config

SEED = "SEED"  # stands for each set's
OF_COMPARE = frozenset({"distill.method", "distill.ipc", "distill.seed"})  # which have options of their own


def typed_commands(
    sections: Mapping[SectionName, Mapping[str, Any]],
    origin: str,
    sets: int,
    numerics: Mapping[Computing, Numerics] = MappingProxyType({}),
) -> tuple[str, ...]:
    """The commands that a person types for the settings of a row, with ``SEED`` in the place of each set's.

    Selections that no teacher looked at are made and evaluated by compare, which can name their students' network,
    unless teachers label. Methods that train networks of their own, which may compute in another precision than
    students, find it in a file.

    Args:
        sections: make_lt, pretrain, distill and evaluate, in the units of today.
        origin: kind of the data's source, which tells whether a folder of data must be named.
        sets: how many there are.
        numerics: numerics of what was not computed plainly.
    """
    teaching = _numerics_options(numerics.get("pretrain", PLAIN))
    distilling, evaluating = (_numerics_options(numerics.get(part, PLAIN)) for part in ("distill", "evaluate"))
    own_data = {"data_dir": "DIR"} if origin not in ("torchvision", "scikit-learn") else {}
    make_lt = config.MakeLt.model_validate(dict(sections["make_lt"]) | own_data)
    pretrain = config.Pretrain.model_validate(dict(sections["pretrain"]))
    distill = config.Distill.model_validate(dict(sections["distill"]) | {"seed": 0})
    taught = dict(sections["evaluate"])
    labels = taught["labels"] if taught["labels"] == LabelKind.teacher else None  # others are the set's own
    evaluated = config.Evaluate.model_validate(taught | {"labels": labels, "controls": True})
    data = str(default_folder(make_lt.model_copy(update={"data_dir": None})))
    first = ["csdm make-lt", str(make_lt.dataset), *_given(make_lt, {"dataset"}), f"--out {data}"]
    method = make_method(distill)
    if evaluated.protocol is EvaluationProtocol.probe:
        backbone = config.Pretrain.model_validate(dict(sections["backbone"]))
        probing = _probing(data, method.needs_teachers, pretrain, backbone, distill, evaluated)
        return tuple(" ".join(line) for line in [first, *probing])
    network = _set("pretrain", pretrain.model_copy(update=_defaults(config.Pretrain, set(_NETWORK))))
    looks = method.needs_teachers or distill.labels is StoredLabels.soft
    if not (looks or labels or isinstance(method, LearningMethod)):
        settings = [*network, *_set("evaluate", evaluated), *_set("distill", _without_idle(distill))]
        last = ["csdm compare", f"--data {data} --methods {distill.method} --ipc {distill.ipc} --seeds {sets}"]
        return " ".join(first), " ".join([*last, *(f"--set {one}" for one in settings), *evaluating])
    told, named = ", ".join(one.removeprefix("pretrain.").replace("=", ": ") for one in network), "--teachers teachers"
    seen, labelled = (named, []) if looks else ("--params network.yaml", [named] if labels else [])
    lines = (
        first,
        ["csdm pretrain", data, *_given(pretrain), "--out teachers", *teaching] if looks or labels else [],
        [] if looks else [f"echo 'pretrain: {{{told}}}' > network.yaml"],
        ["csdm distill", data, *_given(_without_idle(distill)), seen, f"--seed {SEED} --out set-{SEED}", *distilling],
        ["csdm evaluate", f"set-{SEED}", f"--data {data}", *_given(evaluated), *labelled, *evaluating],
    )
    return tuple(" ".join(line) for line in lines if line)


def _probing(
    data: str,
    looks: bool,
    pretrain: config.Pretrain,
    backbone: config.Pretrain,
    distill: config.Distill,
    judged: config.Evaluate,
) -> list[list[str]]:
    """The commands that make a set and probe a backbone, which need not be the set's; ``looks``: it was made by one."""
    of_students = {"steps", "full_steps", "test_points"}  # of probes they follow from the epochs
    same, named = backbone == pretrain, ["--teachers teachers"] if looks else []
    pools = [(pretrain, "teachers")] if looks or same or judged.inherit else []
    pools += [] if same else [(backbone, "backbone")]
    own = [*_given(_without_idle(distill)), *named, f"--seed {SEED} --out set-{SEED}"]
    probed = f"--teachers {'teachers' if same else 'backbone'}"
    return [
        *(["csdm pretrain", data, *_given(settings), f"--out {folder}"] for settings, folder in pools),
        ["csdm distill", data, *own],
        ["csdm evaluate", f"set-{SEED}", f"--data {data}", *_given(judged, of_students), probed],
    ]


_NETWORK = ("network", "width", "depth", "norm", "pooling")


def _defaults(section: type[config.Section], kept: set[str]) -> dict[str, Any]:
    """The defaults of all fields but the ``kept`` ones."""
    return {name: getattr(section(), name) for name in section.model_fields if name not in kept}


def _set(name: str, section: config.Section) -> list[str]:
    """The settings that make ``section`` from the defaults, as compare takes them."""
    defaults = type(section)()
    found = []
    for field in type(section).model_fields:
        value = getattr(section, field)
        if value is None or value == getattr(defaults, field) or f"{name}.{field}" in OF_COMPARE:
            continue
        own = {f".{key}": item for key, item in value.items()} if isinstance(value, dict) else {"": value}
        found += [f"{name}.{field}{key}={item}" for key, item in own.items()]
    return found


def _numerics_options(own: Numerics) -> list[str]:
    """The options that ask for them."""
    precision = [f"--precision {own.precision}"] if own.precision != PLAIN.precision else []
    switches = {"--channels-last": own.channels_last, "--compile": own.compiled}
    return precision + [flag for flag, on in switches.items() if on]


def _given(section: config.Section, without: set[str] | None = None) -> list[str]:
    """The options that make ``section`` from the defaults."""
    defaults, found = type(section)(), []
    for name in type(section).model_fields:
        value = getattr(section, name)
        if name in (without or ()) or value is None or value == getattr(defaults, name):
            continue
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            found.append(f"--{flag}" if value else f"--no-{flag}")
        elif isinstance(value, dict):
            found += [f"--{flag} {key}={item}" for key, item in value.items()]
        elif isinstance(value, list):
            found.append(f"--{flag} {shlex.quote(','.join(map(str, value)))}")
        else:
            found.append(f"--{flag} {value:g}" if isinstance(value, float) else f"--{flag} {shlex.quote(str(value))}")
    return found


def _without_idle(settings: config.Distill) -> config.Distill:
    """``settings`` without what a method refuses to be told, and without what it would choose itself."""
    defaults = config.Distill(method=settings.method, option=settings.option)
    idle = without_effect(choose(config.Params().model_copy(update={"distill": settings})))
    settings = settings.model_copy(update={name: getattr(defaults, name) for name in idle})
    left_open = [name for name, field in type(settings).model_fields.items() if field.default is None]
    for name in left_open:
        chosen = settled(settings.model_copy(update={name: None}), make_method(settings))
        if getattr(chosen, name) == getattr(settings, name):
            settings = settings.model_copy(update={name: None})
    return settings
