"""The protocols that rows were measured under: rows of one are not comparable with rows of another.

A row names its protocol; rows older than that field are of the first. What a protocol says is what the code did: how
long controls were trained, and the units that weights are given in. Linear probes on a frozen backbone are a protocol
of their own: what they reach is no student's accuracy.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Protocol(StrEnum):
    """The protocols that rows were measured under, in the order of time."""

    first = "2026-11"
    second = "2026-12"
    probe = "probe"


TODAY = Protocol.second
MEANING = {
    Protocol.first: "untrained controls, calibration in absolute units",
    Protocol.second: "trained controls, calibration in units of gradients where it was tuned",
    Protocol.probe: "linear probes on one frozen backbone, which alone saw more than the set",
}
CORRECTED = frozenset({Protocol.first})  # whose comparisons were withdrawn
# of all protocols so far
SHARED = "Sets share teachers, the draw of the tail and the students' seeds, so ± understates."
MARK, WHY = "†", "see docs/corrections.md"


def marked(comparison: str, protocol: Protocol) -> str:
    """A cell that compares rows, with a mark where such comparisons were withdrawn."""
    return f"{comparison} {MARK}" if protocol in CORRECTED and comparison != "–" else comparison


def named(protocols: Iterable[Protocol]) -> str:
    """The line under a table that tells its rows' protocols."""
    found = sorted(set(protocols))
    told = "; ".join(f"{name} ({MEANING[name]})" for name in found)
    return f"Protocol{'s' if len(found) > 1 else ''}: {told}."


def footnote(protocols: Iterable[Protocol]) -> str:
    """The same, and what the mark means, under a table whose cells may carry it."""
    found = set(protocols)
    meaning = "" if CORRECTED.isdisjoint(found) else f" {MARK} As a comparison withdrawn, and being remade: {WHY}."
    return named(found) + meaning
