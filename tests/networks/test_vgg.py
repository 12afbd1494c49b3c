"""VGG-11 in the 32x32 form."""

from __future__ import annotations

import pytest
from torch import nn

from csdm_cli.errors import UsageError
from csdm_cli.networks import NetworkSpec, build

# Size, classes, and parameters as published by the field's repositories.
PUBLISHED = [(32, 10, 9_231_114), (32, 100, 9_277_284)]


@pytest.mark.parametrize(("size", "classes", "parameters"), PUBLISHED)
def test_parameter_counts_are_the_field_s(size, classes, parameters):
    net = build(NetworkSpec("vgg11", size=size, classes=classes), seed=0)
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters


def test_five_halvings_leave_512_features():
    net = build(NetworkSpec("vgg11", size=32), seed=0)
    assert net.feature_dim == 512 and sum(isinstance(one, nn.MaxPool2d) for one in net.modules()) == 5
    with pytest.raises(UsageError, match="at least 32x32"):
        build(NetworkSpec("vgg11", size=31), seed=0)
