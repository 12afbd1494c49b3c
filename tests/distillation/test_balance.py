"""Calibration as a sum over classes, and as a multiple of the matching's own gradient."""

from __future__ import annotations

import json

import pytest
import torch
from torch.nn.functional import cross_entropy

from csdm_cli.distillation.balance import STEPS, weight_of
from csdm_cli.distillation.checkpoint import Checkpoint, kept_number
from csdm_cli.errors import CsdmError
from csdm_cli.images.image_set import ImageSet
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.runs.assemble import assemble
from csdm_cli.runs.choose import decided
from csdm_cli.settings import sections
from tests.methods.tiny_world import Pool, assembled

SETTINGS = {"ipc": 1, "factor": 1, "draws": 1, "frequencies": 4, "iterations": 2, "augment": "none"}


def world(folder, method: str, classes: int):
    """A run on as many classes of two grey images each, and its teachers."""
    rng = torch.Generator().manual_seed(classes)
    images = torch.randint(0, 256, (2 * classes, 1, 8, 8), generator=rng, dtype=torch.uint8)
    data = ImageSet(images, (2,) * classes, tuple(map(str, range(classes))), (0.4,), (0.3,))
    accuracy = ((0.5,) * classes,) * 2
    pool = Pool(NetworkSpec("convnet", 4, 2, "instance", "avg", 1, 8, classes), train_accuracy=accuracy)
    chosen = sections.Distill(method=method, **SETTINGS | {"calibration": 0.7})
    return pool, assemble(*decided(chosen), data, pool, folder, quiet=True, dtype=torch.float64)


@pytest.mark.parametrize("classes", [4, 100])
@pytest.mark.parametrize("method", ["dm", "wmdd"])
def test_calibration_is_a_sum_over_classes_of_class_means(tmp_path, method, classes):
    """Σ_c weight · mean over the class's images of -log p(c): as each method's own loss, whatever the classes."""
    pool, parts = world(tmp_path, method, classes)
    target = parts.real.at(0)
    terms = parts.matching.backward(parts.leaves.images, target, 0)
    network = pool.network(target.view.teacher).double()
    logits = network((parts.leaves.images.detach() - 0.4) / 0.3)
    expected = 0.7 * sum(cross_entropy(logits[c : c + 1], torch.tensor([c])) for c in range(classes))
    torch.testing.assert_close(terms["calibration"], expected.detach(), rtol=1e-10, atol=0)


def norms(parts, names) -> float:
    """The mean over the first steps of the length of the gradient of some of the terms, written out."""
    total = 0.0
    for step in range(STEPS):
        target = parts.real.at(step)
        images = parts.leaves.images.detach().clone().requires_grad_(True)
        seen = parts.matching.see(images, target.view.theta, 0)
        terms = parts.matching.terms(parts.matching.outputs(target, seen), target, step, 0, 3)
        assert names <= set(terms)
        sum(terms[name] for name in names).backward()
        total += float(images.grad.norm())
    return total / STEPS


@pytest.mark.parametrize(
    ("method", "names", "more"),
    [
        ("csdm", {"spectral"}, {}),
        ("dm", {"mean"}, {"regularizer": ["centralization=5"]}),
        ("tgdd", {"mean"}, {"teacher_schedule": "final"}),
        ("idm", {"mean"}, {}),
        ("m3d", {"mmd"}, {}),
        ("iid", {"mean", "centralization", "covariance"}, {}),
    ],
)
def test_a_ratio_is_of_the_matchings_own_gradient(tmp_path, method, names, more):
    """Without readers of logits and regularisers, in any chunks, and none of the pixels moves."""
    plain = assembled(tmp_path, method, calibration=1.0, **more)
    expected = 3 * norms(plain, names) / norms(plain, {"calibration"})
    parts = assembled(tmp_path, method, calibration="3.0x", **more)
    assert parts.calibration == pytest.approx(expected, rel=1e-9)
    assert torch.equal(parts.leaves.images, plain.leaves.images) and parts.leaves.images.grad is None
    small = assembled(tmp_path / "small", method, calibration="3x", **more)
    assert small.calibration == parts.calibration
    assert assembled(tmp_path, method, calibration="0x", **more).calibration == 0


@pytest.mark.parametrize(("method", "option"), [("ncfm", {"sampler": "learned"}), ("dsdm", {}), ("idm", {"pool": 3})])
def test_measuring_leaves_no_trace_in_a_methods_own_state(tmp_path, method, option):
    measured = assembled(tmp_path, method, calibration="1x", option=option)
    given = assembled(tmp_path, method, calibration=measured.calibration, option=option)
    for step in range(3):
        for parts in (measured, given):
            parts.iterate(step)
            parts.method.after_step(step)
    assert torch.equal(measured.leaves.images, given.leaves.images)
    assert not torch.equal(measured.leaves.images, assembled(tmp_path, method, option=option).leaves.images)


def test_no_gradient_gives_no_ratio(tmp_path):
    parts = assembled(tmp_path, "dm")
    parts.method.losses = lambda batch, step: {"mean": 0 * batch.features.sum()}
    with pytest.raises(CsdmError, match=r"--calibration 1x cannot be measured.*give a number"):
        weight_of(1.0, parts.matching, parts.real, parts.leaves.images, 6)


def test_a_resumed_run_keeps_its_number(tmp_path):
    assert kept_number(tmp_path, "run", lambda: 0.1 + 0.2) == 0.1 + 0.2
    assert kept_number(tmp_path, "run", lambda: 7.0) == 0.1 + 0.2
    assert kept_number(tmp_path, "run", lambda: 7.0, resume=False) == 7.0
    assert json.loads((tmp_path / "run.json").read_bytes())["number"] == 7.0
    Checkpoint(tmp_path, "run", 0).clear()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("harm", ["7.0", '{"number": 7.0}', '{"number": 7.0, "sha256": "0"}', "[]", "[" * 10**5, ""])
def test_a_kept_number_that_was_changed_is_measured_again(tmp_path, harm):
    assert kept_number(tmp_path, "run", lambda: 0.5) == 0.5
    (tmp_path / "run.json").write_text(harm)
    assert kept_number(tmp_path, "run", lambda: 0.25) == 0.25
    assert kept_number(tmp_path, "run", lambda: 1.0) == 0.25
