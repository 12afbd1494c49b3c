"""Networks that take on teachers' weights."""

from __future__ import annotations

import torch

from csdm_cli.networks.numerics import PLAIN, Numerics
from csdm_cli.teachers.networks import KEPT, PoolNetworks, map_channels, tuned
from tests.methods.tiny_world import make_pool

CPU = torch.device("cpu")


def test_a_network_has_the_weights_of_its_teacher_and_stage_and_asks_for_no_gradient():
    pool = make_pool()
    networks = PoolNetworks(pool, CPU, torch.float64)
    assert len(networks) == 2 and networks.channels == 4
    for teacher, stage in ((0, "final"), (1, "final"), (1, ("epoch", 3)), (0, ("interpolate", 0.5))):
        found = networks.at(teacher, stage)
        assert not found.training and not any(one.requires_grad for one in found.parameters())
        for name, value in pool.weights(teacher, stage).items():
            assert torch.equal(found.state_dict()[name], value)


def test_the_stages_used_last_are_kept_and_the_oldest_module_is_used_again():
    networks = PoolNetworks(make_pool(), CPU, torch.float64)  # which has looked at one stage for its channels
    first = networks.final(0)
    others = [networks.at(1, ("epoch", epoch)) for epoch in range(KEPT - 1)]
    assert networks.final(0) is first and len({id(one) for one in (first, *others)}) == KEPT
    assert networks.at(1, ("epoch", 9)) is others[0]
    assert networks.final(0) is first


def test_channels_are_those_of_the_last_maps():
    pool = make_pool()
    assert map_channels(pool.network(0), pool.spec) == pool.spec.width


def test_plain_numerics_change_nothing():
    networks = PoolNetworks(make_pool(), CPU, torch.float32)
    assert tuned(networks, PLAIN) is networks and tuned(networks, Numerics()) is networks
