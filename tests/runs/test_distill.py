"""The end of a method's outcome: stored numbers, and labels and a step size that were learned with them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from csdm_cli.artifacts.distilled import Coded, Decoding
from csdm_cli.artifacts.validation import first_problem
from csdm_cli.images.initial import to_uint8
from csdm_cli.methods.contract import Outcome
from csdm_cli.names import LabelKind
from csdm_cli.networks import NetworkSpec
from csdm_cli.networks.numerics import PLAIN
from csdm_cli.runs import distill
from csdm_cli.settings.sections import Distill, Evaluate
from tests.artifacts.sets import dataset_info
from tests.parameterisations.conftest import SHAPE, of_every_kind, smooth_images


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(distill, "dataset_info", lambda _: dataset_info(3))
    return SimpleNamespace(
        settings=Distill(labels=LabelKind.hard, ipc=4),
        pool=None,
        longtail=SimpleNamespace(manifest=SimpleNamespace(size=SHAPE.size)),
        params=SimpleNamespace(evaluate=Evaluate()),
        numerics=PLAIN,
        spec=NetworkSpec(name="convnet", depth=3, channels=3, size=8, classes=3),
        key="0" * 64,
    )


def outcome_of(kind: str, **learned: Any) -> Outcome:
    form = of_every_kind()[kind]
    leaves = form.initial(smooth_images(12))
    return Outcome(form.decode(leaves), 1, parameterisation=form, leaves=leaves, **learned)


@pytest.mark.parametrize("kind", list(of_every_kind()))
def test_every_parameterisation_is_packed_as_it_is_stored(task: Any, kind: str) -> None:
    if kind == "multi-formation":
        task.settings = task.settings.model_copy(update={"ipc": 1})
    outcome = outcome_of(kind)
    found = distill._package(task, outcome)
    form = outcome.parameterisation
    assert form is not None and first_problem(found) is None
    expected = form.opened(form.stored(dict(outcome.leaves)))
    torch.testing.assert_close(found.decoded(), expected, rtol=0, atol=0)
    assert found.decoded_labels().tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert found.kind == (kind if kind != "pyramid" else "pixels")  # whose pixels are what is stored
    assert isinstance(found.decoding, Coded if kind in ("frequency", "decomposition") else Decoding)
    assert set(found.ipc) == {task.settings.ipc} and found.learned_rate is None and found.soft_labels is None


def test_plain_images_are_packed_as_ever(task: Any) -> None:
    images = smooth_images(12).float()
    found = distill._package(task, Outcome(images, 1))
    assert torch.equal(found.images, to_uint8(images)) and found.decoding == Decoding(1, 8, 8)


def test_learned_labels_and_step_size_are_kept(task: Any) -> None:
    logits = torch.randn(12, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    found = distill._package(task, outcome_of("frequency", label_logits=logits, learned_rate=0.03))
    assert first_problem(found) is None and found.learned_rate == 0.03
    assert found.soft_labels is not None and found.default_labels is LabelKind.soft
    torch.testing.assert_close(found.soft_labels.probabilities, logits.detach().softmax(1))


def test_a_set_never_recommends_its_own_step_size(task: Any) -> None:
    task.params.evaluate = Evaluate(lr="learned")
    found = distill._package(task, outcome_of("pixels", learned_rate=0.03))
    assert "lr" not in found.evaluation and first_problem(found) is None
