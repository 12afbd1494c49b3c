import pytest
import torch
from torch import nn

from csdm_cli.names import NetworkName, Norm
from csdm_cli.networks import NETWORKS, NetworkSpec, build, network


def test_registry_holds_the_names_users_are_shown():
    assert set(NETWORKS) == set(NetworkName)
    with pytest.raises(ValueError, match="twice"):
        network("convnet")(NETWORKS["convnet"])


@pytest.mark.parametrize("name", [*NetworkName, "mobilenet_v3_small", "torchvision:squeezenet1_1"])
def test_features_and_logits_are_reached_alike(name):
    net = build(NetworkSpec(name, width=8, classes=7), seed=1).eval()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features, logits = net.features(images), net(images)
        assert features.shape == (2, net.feature_dim) and logits.shape == (2, 7)
        assert torch.equal(logits, net.classifier(features))
    assert isinstance(net.classifier, nn.Linear)


@pytest.mark.parametrize("name", ["alexnet", "resnet18"])
def test_small_images_fit_where_the_pooling_permits(name):
    net = build(NetworkSpec(name, channels=1, size=16), seed=0)
    assert net(torch.zeros(2, 1, 16, 16)).shape == (2, 10)


@pytest.mark.parametrize("norm", Norm)
@pytest.mark.parametrize("name", ["convnet", "vgg11", "resnet18"])
def test_only_batch_norm_couples_samples(name, norm):
    net = build(NetworkSpec(name, width=8, norm=norm), seed=2).train()
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    together, alone = net(images)[:1], torch.cat([net(images[[0, 0]])[:1]])
    assert net.couples_samples == (norm == "batch")
    assert torch.allclose(together, alone, atol=1e-4) != net.couples_samples


@pytest.mark.parametrize("name", NetworkName)
def test_training_and_evaluation_mode_agree_under_instance_norm(name):
    net = build(NetworkSpec(name, width=8), seed=2)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        assert torch.equal(net.train()(images), net.eval()(images))


def test_weights_follow_the_seed_and_leave_the_global_state():
    state = torch.get_rng_state()
    first, second, other = (build(NetworkSpec("convnet", width=4), seed=seed) for seed in (5, 5, 6))
    assert torch.equal(state, torch.get_rng_state())
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, second.state_dict()[name])
    assert not torch.equal(first.classifier.weight, other.classifier.weight)


@pytest.mark.parametrize("norm", [Norm.group, Norm.batch])
def test_traced_features_are_those_of_any_order_in_memory(norm):
    """A tracer's belief about the order of a norm's output must not decide how maps are flattened."""
    net = build(NetworkSpec("convnet", width=4, depth=2, channels=1, size=8, norm=norm), seed=0).eval()
    images = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    plain = net.features(images)
    traced = torch.compile(net.to(memory_format=torch.channels_last).features, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(traced(images.contiguous(memory_format=torch.channels_last)), plain)
