"""A set on several backbones, with the names that tell them apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from csdm_cli.errors import UsageError
from csdm_cli.runs.cross_backbones import prepare_cross_backbones
from csdm_cli.runs.runtime import Runtime
from csdm_cli.settings import sections


def test_two_folders_of_one_name_are_refused():
    asked = {"chosen": frozenset(), "file": None, "data": None}
    with pytest.raises(UsageError, match="two folders are called 'kmeans'"):
        prepare_cross_backbones(
            *(sections.CrossArch(), sections.Evaluate(), Runtime()),
            backbones=[Path("a/kmeans"), Path("b/kmeans")],
            **asked,
        )
