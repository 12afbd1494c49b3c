"""What every method that selects whole images shares: all but its rule."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from csdm_cli.methods.contract import Building, BuildingMethod, Built
from csdm_cli.selection.presets import DEEPCORE
from csdm_cli.selection.stored import Rule, selected


class SelectionMethod(BuildingMethod):
    """Stores what its rule picks of every class: as it is, or tiled at the factor (``tiled`` of its parameters)."""

    needs_teachers = True
    reads_factor = True

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        """Those of the library that the field's tables use."""
        return DEEPCORE

    def idle_options(self) -> frozenset[str]:
        """The factor, unless picks are tiled."""
        return frozenset() if self.parameters.tiled else frozenset({"factor"})

    @abstractmethod
    def rule(self, start: Building) -> Rule:
        """How images are picked; what it needs for all classes is computed here."""

    def build(self, start: Building) -> Built:
        """Pick, and store."""
        return selected(start, self.parameters.tiled, self.rule(start))
