"""One small long-tailed set of handwritten digits, made once."""

from __future__ import annotations

import pytest

from csdm_cli.data.build import build_longtail
from csdm_cli.data.store import LongTail
from csdm_cli.settings.sections import MakeLt


@pytest.fixture(scope="session")
def digits_settings() -> MakeLt:
    return MakeLt(dataset="digits", imbalance=10, n_max=20, dev=3, size=8, seed=5)


@pytest.fixture(scope="session")
def digits_longtail(digits_settings: MakeLt, tmp_path_factory: pytest.TempPathFactory) -> LongTail:
    """Read only: tests that write make their own."""
    root = tmp_path_factory.mktemp("digits")
    return build_longtail(digits_settings, root / "data" / "digits-lt10", root / "cache")
