"""Teachers' view of real images."""

from __future__ import annotations

import pytest
import torch

from csdm_cli.errors import UsageError
from csdm_cli.images.normalisation import normalise
from csdm_cli.methods.selection.rules.observers import Observers
from tests.methods.tiny_world import make_data, make_pool


def test_features_stand_side_by_side_and_bytes_are_units():
    data, pool = make_data(), make_pool()
    observers = Observers.of(pool, 0, data)
    images = data.images[:5]
    found = observers.features(images)
    networks = [pool.network(number) for number in range(2)]
    inputs = normalise(images, data.mean, data.std)
    torch.testing.assert_close(found, torch.cat([network.features(inputs) for network in networks], 1).detach())
    assert not found.requires_grad
    torch.testing.assert_close(observers.features(images.float() / 255), found)
    (_, logits), _ = observers.seen(images)
    torch.testing.assert_close(logits, networks[0](inputs).detach())


def test_some_or_all_and_not_more_than_there_are():
    assert len(Observers.of(make_pool(), 1, make_data()).networks) == 1
    with pytest.raises(UsageError, match=r"observers=3: the pool has 2"):
        Observers.of(make_pool(), 3, make_data())
