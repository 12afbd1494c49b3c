"""The students that settings ask for: their architecture, how they are trained and tested, and what is told of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from csdm_cli.artifacts.distilled import Distilled
from csdm_cli.errors import UsageError
from csdm_cli.evaluation.protocol import Protocol
from csdm_cli.names import LEARNED, BackboneName, NetworkName
from csdm_cli.networks import NetworkSpec
from csdm_cli.networks.numerics import PLAIN, Numerics
from csdm_cli.networks.own import is_own, source_of
from csdm_cli.runs.provenance import RECIPE
from csdm_cli.settings import sections
from csdm_cli.training.recipe import Recipe


def renamed(own: NetworkSpec, name: str | None) -> NetworkSpec:
    """``own``, or the architecture called ``name`` for the same images.

    Raises:
        UsageError: if it is one that is never trained, as students are.
    """
    if (name is None and own.frozen) or name in tuple(BackboneName):
        raise UsageError(
            f"students are trained, and {name or own.name} is a frozen backbone: name another network for them, or use"
            " csdm evaluate --protocol probe"
        )
    if name is None:
        return own
    source = source_of(name) if is_own(name) else None
    other = {"name": name, "depth": _depth(own, name), "source": source, "frozen": None}
    return NetworkSpec(**(own.as_dict() | other))


def students_like(own: NetworkSpec, name: str | None = None) -> NetworkSpec:
    """As :func:`renamed`, with a ConvNet in the place of a frozen backbone, which cannot be a student."""
    return renamed(own, name or (NetworkName.convnet if own.frozen else None))


def with_recipe_of(settings: sections.Evaluate, distilled: Distilled, chosen: frozenset[str]) -> sections.Evaluate:
    """``settings`` where the artifact's own recipe fills in what was not ``chosen`` by the user."""
    own = {name: value for name, value in distilled.evaluation.items() if name in RECIPE and name not in chosen}
    kept = {name: getattr(settings, name) for name in sections.Evaluate.model_fields}
    values = kept | own
    values["test_points"] = min(values["test_points"], values["steps"])
    return sections.Evaluate.model_validate(values)


def with_common_rate(settings: sections.Evaluate) -> sections.Evaluate:
    """``settings`` of the rows beside that of the learned step size, if that was asked for: they share a recipe."""
    common = sections.Evaluate.model_fields["lr"].default
    return settings.model_copy(update={"lr": common}) if settings.lr == LEARNED else settings


def protocol_of(settings: sections.Evaluate) -> Protocol:
    """The students' training and testing.

    Raises:
        UsageError: if it is to be each set's own, which has a row of its own in other tables.
    """
    if isinstance(settings.lr, str):
        raise UsageError(f"--lr {LEARNED} is a row of csdm evaluate and compare; here all students share one recipe")
    recipe = Recipe(
        optimizer="adamw",
        lr=settings.lr,
        momentum=0.0,
        weight_decay=settings.weight_decay,
        batch=settings.batch,
        augment=settings.augment,
        augment_mode=settings.augment_mode,
        cutmix=settings.cutmix,
        schedule="cosine",
    )
    points = min(settings.test_points, settings.steps)
    return Protocol(recipe, settings.steps, settings.students, settings.seed, points, settings.full_steps)


def learned_protocol(protocol: Protocol, distilled: Distilled) -> Protocol:
    """The training that a set's learned step size was learned for: plain SGD at that constant rate.

    Raises:
        UsageError: if the set has none.
    """
    rate = distilled.learned_rate
    if rate is None:
        raise UsageError("--lr learned: this set has no step size of its own; leave --lr out, or name a number")
    own = replace(protocol.recipe, optimizer="sgd", lr=rate, momentum=0.0, weight_decay=0.0, schedule="constant")
    return replace(protocol, recipe=own)


def at_learned_rate(described: Mapping[str, Any]) -> dict[str, Any]:
    """A described protocol with the word for :func:`learned_protocol` in place of its rate, which sets differ in."""
    return dict(described) | {"recipe": dict(described["recipe"]) | {"lr": LEARNED}}


def described_protocol(protocol: Protocol, spec: NetworkSpec, numerics: Numerics) -> dict[str, Any]:
    """The facts that all rows of a table share, as JSON values; ``numerics`` are named where they are not plain."""
    own = {} if numerics == PLAIN else {"numerics": numerics.as_dict()}
    return asdict(protocol) | {"network": spec.as_dict()} | own


def _depth(own: NetworkSpec, name: str) -> int | None:
    return own.depth if name == own.name else None
