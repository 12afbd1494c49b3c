from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from csdm_cli.evaluation import probes, students
from csdm_cli.evaluation.controls import (
    ControlName,
    Selection,
    evaluate_centroid,
    evaluate_full,
    evaluate_selections,
    nearest_to_centroid,
)
from csdm_cli.evaluation.probes import Probed
from csdm_cli.evaluation.protocol import Protocol
from csdm_cli.evaluation.students import Evaluator, evaluate_set
from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.normalisation import normalise
from csdm_cli.names import ProbeFeatures
from csdm_cli.networks import NetworkSpec, build
from csdm_cli.networks.network import EncoderNetwork
from csdm_cli.training.inference import features_of
from csdm_cli.training.probe import probe_recipe

SPEC = NetworkSpec("convnet", width=4, size=8, classes=3)
PROTOCOL = Protocol(probe_recipe(100), 60, 2, 5, test_points=1, full_steps=40)


@pytest.fixture(scope="module")
def data() -> ImageSet:
    """Three classes of noise about means of their own."""
    rng = torch.Generator().manual_seed(0)
    counts = (12, 9, 6)
    means = torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.9, 0.1], [0.1, 0.1, 0.9]])[:, :, None, None]
    parts = [means[c] + 0.05 * torch.randn(n, 3, 8, 8, generator=rng) for c, n in enumerate(counts)]
    images = (torch.cat(parts).clamp(0, 1) * 255).to(torch.uint8)
    return ImageSet(images, counts, ("a", "b", "c"), (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))


def probed(kind: ProbeFeatures = ProbeFeatures.cached, seed: int = 0) -> Probed:
    spec = replace(SPEC, norm="none")
    return Probed(build(spec, seed).eval().requires_grad_(False), f"network {seed}", kind)


def evaluator(data: ImageSet, cache: Path | None = None, **changes) -> Evaluator:
    return replace(Evaluator(data, SPEC, PROTOCOL, "cpu", cache, quiet=True, probed=probed()), **changes)


def learnt(data: ImageSet) -> tuple[torch.Tensor, torch.Tensor]:
    return data.images[[0, 12, 21]], torch.tensor([0, 1, 2])


class Colours(torch.nn.Module):
    """The mean colour of an image again and again: for many features a small rate is enough."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3)).repeat(1, 1000)


def test_probes_tell_separable_classes_apart_after_their_last_epoch(data):
    colours = Probed(EncoderNetwork(Colours(), 3000, 3).eval(), "colours", ProbeFeatures.cached)
    longer = evaluator(data, probed=colours, protocol=replace(PROTOCOL, steps=100))
    found = evaluate_set(data.images, data.labels, data.counts, longer)
    assert found.accuracy.mean == 1 and found.accuracy.count == 2
    assert [run.curve for run in found.students] == [((100, 1.0),)] * 2


def test_the_network_is_never_changed_and_its_features_are_computed_once(data, monkeypatch):
    measured_by = evaluator(data)
    before = {name: value.clone() for name, value in measured_by.probed.network.state_dict().items()}
    seen = []

    def counted(network, images, *normalisation):
        seen.append(len(images))
        return features_of(network, images, *normalisation)

    monkeypatch.setattr(probes, "features_of", counted)
    first = evaluate_set(*learnt(data), data.counts, measured_by)
    assert sum(seen) == 3 + 27
    again = evaluate_set(*learnt(data), data.counts, measured_by)
    assert sum(seen) == 30 and again == first
    assert all(torch.equal(value, before[name]) for name, value in measured_by.probed.network.state_dict().items())


def test_features_of_many_images_are_kept_by_all_they_depend_on(data, tmp_path, monkeypatch):
    monkeypatch.setattr(probes, "MANY", 27)
    made = {"spec": SPEC.as_dict()}
    keeping = replace(probed(), made=made, cache=tmp_path)
    found = keeping.features(data.images, data.mean, data.std)
    assert torch.equal(found, probed().features(data.images, data.mean, data.std))
    keeping.features(data.images[:26], data.mean, data.std)  # too few
    (file,) = (tmp_path / "features").iterdir()
    with monkeypatch.context() as patched:
        patched.setattr(probes, "features_of", lambda *_: pytest.fail("computed again"))
        assert torch.equal(
            replace(probed(), made=made, cache=tmp_path).features(data.images, data.mean, data.std), found
        )
    for other in ({"made": {"spec": SPEC.as_dict() | {"size": 9}}}, {"key": "another"}):
        replace(probed(), **{"made": made, "cache": tmp_path} | other).features(data.images, data.mean, data.std)
    keeping.features(data.images, data.mean, (0.5, 0.5, 0.5))
    keeping.features(data.images.flip(0), data.mean, data.std)
    assert len(list((tmp_path / "features").iterdir())) == 5
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert torch.equal(replace(probed(), made=made, cache=tmp_path).features(data.images, data.mean, data.std), found)


def test_results_are_kept_by_network_and_kind_of_features(data, tmp_path, monkeypatch):
    found = evaluate_set(*learnt(data), data.counts, evaluator(data, tmp_path))
    monkeypatch.setattr(students, "probe_logits", None)  # nothing is trained again
    assert evaluate_set(*learnt(data), data.counts, evaluator(data, tmp_path)) == found
    for other in (probed(seed=1), probed(ProbeFeatures.live)):
        with pytest.raises(TypeError):
            evaluate_set(*learnt(data), data.counts, evaluator(data, tmp_path, probed=other))


def test_live_features_are_of_augmented_images(data):
    augmented = replace(PROTOCOL, recipe=probe_recipe(100, "flip_scale"))
    live = evaluator(data, protocol=augmented, probed=probed(ProbeFeatures.live))
    cached = evaluator(data, protocol=augmented)
    images, labels = data.images, data.labels
    rates = []
    for measured_by in (live, cached):
        assert measured_by.probed is not None
        logits = probes.probe_logits(
            *(measured_by.probed, students.Examples(images, labels, data.mean, data.std), data),
            *(measured_by.protocol.recipe, 5, 0),
            loss=students.cross_entropy,
            on_step=lambda step, value: None,
        )
        rates.append(logits)
    assert rates[0].shape == (27, 3) and not torch.equal(*rates)


def test_controls_stand_beside(data):
    measured_by = evaluator(data)
    rows = evaluate_selections(data, Selection(2, 1, 0), measured_by)
    rows |= evaluate_centroid(data, Selection(2, 1, 0), measured_by) | evaluate_full(data, measured_by)
    assert set(rows) == set(ControlName) - {ControlName.start, ControlName.full_debiased}
    assert all(evaluation.accuracy.count == 2 for evaluation in rows.values())


def test_the_images_nearest_to_the_centroid_are_found(data):
    network = probed()
    features = network.network.features(normalise(data.images, data.mean, data.std))
    chosen = nearest_to_centroid(data, Selection(2, 1, 0), network)
    for label, part in enumerate(features.split(list(data.counts))):
        best = (part - part.mean(0)).norm(dim=1).argsort()[:2] + data.offsets[label]
        assert torch.equal(chosen[2 * label : 2 * label + 2], data.images[best])
    repeated = nearest_to_centroid(data, Selection(8, 1, 0), network)
    assert torch.equal(repeated[16:18], repeated[22:24])  # six images of class 2, then the nearest again
    uneven = nearest_to_centroid(data, Selection.like((2, 1, 2), 1, 0), network)
    assert torch.equal(uneven, chosen[[0, 1, 2, 4, 5]])


def test_the_rate_is_that_of_as_many_images_as_there_are(data, monkeypatch):
    used = []
    real = probes.train_probe
    monkeypatch.setattr(probes, "train_probe", lambda *rest, **more: used.append(rest[2]) or real(*rest, **more))
    evaluate_set(*learnt(data), data.counts, evaluator(data))
    assert {recipe.batch for recipe in used} == {3} and used[0].lr == pytest.approx(0.001 * 3 / 256)
