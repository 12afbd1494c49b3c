"""The description of an architecture."""

from __future__ import annotations

import pytest

from csdm_cli.errors import UsageError
from csdm_cli.names import NetworkName, Norm
from csdm_cli.networks import NetworkSpec, build, default_depth


@pytest.mark.parametrize(("size", "depth"), [(8, 2), (16, 3), (28, 3), (32, 3), (64, 4), (128, 5), (224, 5), (256, 6)])
def test_default_depth_follows_the_size(size, depth):
    assert default_depth(size) == depth
    assert NetworkSpec("convnet", size=size).depth == depth


def test_spec_survives_json():
    spec = NetworkSpec(NetworkName.convnet, norm=Norm.batch, size=64)
    assert NetworkSpec(**spec.as_dict()) == spec
    assert all(type(value) in (str, int) for value in spec.as_dict().values())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "convnett"}, "did you mean convnet"),
        ({"name": "resnet19"}, "did you mean resnet"),
        ({"name": "zzz"}, "choose convnet"),
        ({"name": "shufflenet_v2_x0_5", "channels": 1}, "3 channels"),
        ({"name": "vit_b_16", "size": 40}, "cannot take 40x40"),
        ({"name": "convnet", "norm": "spectral"}, "unknown norm"),
        ({"name": "convnet", "pooling": "median"}, "unknown pooling"),
        ({"name": "convnet", "norm": "group", "width": 6}, "width 6"),
    ],
)
def test_wrong_specs_are_refused(settings, words):
    with pytest.raises(UsageError, match=words):
        build(NetworkSpec(**settings), seed=0)
