"""AlexNet in the 32x32 form."""

from __future__ import annotations

import pytest

from csdm_cli.networks import NetworkSpec, build

# Size, classes, and parameters as published by the field's repositories.
PUBLISHED = [(32, 10, 1_872_202), (32, 100, 2_148_772)]


@pytest.mark.parametrize(("size", "classes", "parameters"), PUBLISHED)
def test_parameter_counts_are_the_field_s(size, classes, parameters):
    net = build(NetworkSpec("alexnet", size=size, classes=classes), seed=0)
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters


def test_three_halvings():
    for size, features in ((8, 192), (16, 4 * 192), (32, 16 * 192)):
        assert build(NetworkSpec("alexnet", size=size), seed=0).feature_dim == features
