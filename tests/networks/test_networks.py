import pytest
import torch
from torch import nn

from csdm_cli.errors import UsageError
from csdm_cli.names import NetworkName, Norm, Pooling
from csdm_cli.networks import NETWORKS, NetworkSpec, build, default_depth, network

PARAMETERS = [  # name, size, classes, parameters as published by the field's repositories
    ("convnet", 32, 10, 320_010),
    ("convnet", 32, 100, 504_420),
    ("convnet", 64, 10, 467_850),
    ("convnet", 64, 100, 652_260),
    ("convnet", 128, 10, 615_690),
    ("convnet", 128, 100, 800_100),
    ("alexnet", 32, 10, 1_872_202),
    ("alexnet", 32, 100, 2_148_772),
    ("vgg11", 32, 10, 9_231_114),
    ("vgg11", 32, 100, 9_277_284),
    ("resnet18", 32, 10, 11_173_962),
    ("resnet18", 32, 100, 11_220_132),
]


@pytest.mark.parametrize(("name", "size", "classes", "parameters"), PARAMETERS)
def test_parameter_counts_are_the_fields(name, size, classes, parameters):
    net = build(NetworkSpec(name, size=size, classes=classes), seed=0)
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters


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


@pytest.mark.parametrize("size", [8, 16, 28, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_convnet_takes_every_usual_size(size, channels):
    net = build(NetworkSpec("convnet", width=4, channels=channels, size=size), seed=0)
    assert net(torch.zeros(2, channels, size, size)).shape == (2, 10)


@pytest.mark.parametrize("name", ["alexnet", "resnet18"])
def test_small_images_fit_where_the_pooling_permits(name):
    net = build(NetworkSpec(name, channels=1, size=16), seed=0)
    assert net(torch.zeros(2, 1, 16, 16)).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "depth", "size", "least"),
    [("convnet", 4, 8, 16), ("alexnet", None, 7, 8), ("vgg11", None, 16, 32), ("resnet18", None, 8, 9)],
)
def test_too_small_images_are_refused_with_the_least_size(name, depth, size, least):
    with pytest.raises(UsageError, match=f"{size}x{size} .* at least {least}x{least}"):
        build(NetworkSpec(name, depth=depth, size=size), seed=0)


def test_instance_norm_never_meets_single_pixels():
    """A map of one pixel minus its mean is zero, so the smallest accepted images must still give varied features."""
    for name, size in (("convnet", 8), ("vgg11", 32), ("resnet18", 9)):
        depth = 3 if name == "convnet" else None
        net = build(NetworkSpec(name, width=8, depth=depth, size=size), seed=0)
        features = net.features(torch.randn(4, 3, size, size, generator=torch.Generator().manual_seed(0)))
        assert features.std(0).mean() > 1e-3, name


@pytest.mark.parametrize(("size", "depth"), [(8, 2), (16, 3), (28, 3), (32, 3), (64, 4), (128, 5), (224, 5), (256, 6)])
def test_default_depth_follows_the_size(size, depth):
    assert default_depth(size) == depth
    assert NetworkSpec("convnet", size=size).depth == depth


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


def test_instance_norm_is_instance_norm():
    net = build(NetworkSpec("convnet", width=8, depth=1), seed=0)
    convolution, norm = net.encoder[0], net.encoder[1]
    maps = convolution(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(norm(maps), nn.functional.instance_norm(maps), atol=1e-5)


@pytest.mark.parametrize("pooling", Pooling)
def test_pooling_of_the_convnet(pooling):
    net = build(NetworkSpec("convnet", width=4, depth=2, pooling=pooling, size=12), seed=0)
    assert net.feature_dim == 4 * (12 * 12 if pooling == "none" else 3 * 3)
    assert net(torch.zeros(1, 3, 12, 12)).shape == (1, 10)


def test_weights_follow_the_seed_and_leave_the_global_state():
    state = torch.get_rng_state()
    first, second, other = (build(NetworkSpec("convnet", width=4), seed=seed) for seed in (5, 5, 6))
    assert torch.equal(state, torch.get_rng_state())
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, second.state_dict()[name])
    assert not torch.equal(first.classifier.weight, other.classifier.weight)


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


@pytest.mark.parametrize("norm", [Norm.group, Norm.batch])
def test_traced_features_are_those_of_any_order_in_memory(norm):
    """A tracer's belief about the order of a norm's output must not decide how maps are flattened."""
    net = build(NetworkSpec("convnet", width=4, depth=2, channels=1, size=8, norm=norm), seed=0).eval()
    images = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    plain = net.features(images)
    traced = torch.compile(net.to(memory_format=torch.channels_last).features, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(traced(images.contiguous(memory_format=torch.channels_last)), plain)
