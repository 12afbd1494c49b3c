from __future__ import annotations

from types import SimpleNamespace

import pytest

from csdm_cli.runs import probes
from csdm_cli.runs.probes import protocol_of_probes
from csdm_cli.settings.sections import Evaluate, Pretrain


@pytest.mark.parametrize(("images", "real", "steps", "full"), [(10, 400, 1000, 1000), (250, 11_203, 3000, 11_300)])
def test_probes_of_all_real_images_get_a_tenth_of_the_epochs_and_no_fewer_steps(images, real, steps, full):
    protocol = protocol_of_probes(Evaluate(), images, real)
    assert (protocol.steps, protocol.full_steps) == (steps, full)
    assert protocol.students == 5 and protocol.tested_after == (steps,)


def test_augmentation_belongs_to_live_features():
    assert protocol_of_probes(Evaluate(), 10, 100).recipe.augment == "none"
    live = Evaluate(probe_features="live", augment="flip")
    assert protocol_of_probes(live, 10, 100).recipe.augment == "flip"


def test_of_a_network_to_be_probed_one_is_made(monkeypatch):
    asked = []
    monkeypatch.setattr(probes, "train_teachers", lambda pretrain, *rest: asked.append(pretrain))
    train = SimpleNamespace(to=lambda device: None)
    case = SimpleNamespace(
        distilled=SimpleNamespace(provenance=SimpleNamespace(config={})),
        longtail=SimpleNamespace(train=lambda: train),
    )
    settings = Evaluate(network="alexnet", protocol="probe")
    probes.backbone_of(case, settings, None, Pretrain(teachers=5), "cpu", None)
    assert [(one.network, one.teachers) for one in asked] == [("alexnet", 1)]
