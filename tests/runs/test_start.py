"""Where a run starts: leaves as the settings say, and the same images in the set's control."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from csdm_cli.artifacts.distilled import Coded, Distilled
from csdm_cli.parameterisations.stored import described
from csdm_cli.runs.choose import decided
from csdm_cli.runs.evaluating import Case
from csdm_cli.runs.start import leaves_at_start, parameterisation_of
from csdm_cli.settings.sections import Distill
from tests.artifacts.sets import make_set
from tests.methods.tiny_world import make_data


@pytest.mark.parametrize("kind", ["frequency", "decomposition"])
def test_the_control_of_a_coded_set_is_what_its_run_starts_from(kind: str):
    """Stored as the set is, in the same bytes, which are no more than the budget's."""
    data = make_data()
    settings: Any = decided(
        Distill.model_validate({"method": "dm", "ipc": 2, "seed": 7, "initial": "real", "parameterization": kind})
    )[0]
    form: Any = parameterisation_of(settings, data)
    stored = form.stored(leaves_at_start(settings, data, form, torch.float32).stored)
    assert sum(tensor.nbytes for tensor in stored.values()) == form.bytes() <= 2 * 3 * 3 * 8 * 8
    blank = {name: torch.zeros_like(tensor) if name != "masks" else tensor for name, tensor in stored.items()}
    labels = torch.arange(3).repeat_interleave(form.per_class)
    distilled = make_set(stored=blank, labels=labels, decoding=Coded(described(form), 2, 8))
    assert distilled.provenance.seed == 7
    found = start_of(distilled)
    assert found is not None
    torch.testing.assert_close(found, form.opened(stored), rtol=0, atol=0)
    assert found.std() > 0.01
    assert start_of(make_set()) is None


def start_of(distilled: Distilled) -> Tensor | None:
    nowhere: Any = None
    return Case(Path("set"), distilled, nowhere).start(make_data())
