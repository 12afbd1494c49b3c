"""Networks of the user's own: split at the classifier, refused where they cannot be, known by their source."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from csdm_cli.errors import UsageError
from csdm_cli.networks import build, own
from csdm_cli.networks.spec import NetworkSpec
from tests.command_world import COMMANDS, fails, run


class Plain(nn.Module):
    """Its last linear layer is its classifier."""

    def __init__(self, channels: int, size: int, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(channels * size * size, 6), nn.ReLU())
        self.head = nn.Linear(6, classes)

    def forward(self, images):
        return self.head(self.body(images))


class Named(Plain):
    """It names its features and its classifier, which is not the last linear layer it holds."""

    def __init__(self, channels: int, size: int, classes: int) -> None:
        super().__init__(channels, size, classes)
        self.classifier, self.head = self.head, nn.Linear(2, 2)

    def features(self, images):
        return 2 * self.body(images)

    def forward(self, images):
        return self.classifier(self.features(images))


class Softened(Plain):
    """Its outputs are no linear function of any features."""

    def forward(self, images):
        return super().forward(images).softmax(1)


class Convolutional(nn.Module):
    """Without a linear layer."""

    def __init__(self, channels: int, size: int, classes: int) -> None:
        super().__init__()
        self.only = nn.Conv2d(channels, classes, size)

    def forward(self, images):
        return self.only(images).flatten(1)


def wrong_shape(channels: int, size: int, classes: int) -> nn.Module:
    return Plain(channels, size, classes + 1)


def no_module(channels: int, size: int, classes: int) -> int:
    return classes


def spec_of(network) -> NetworkSpec:
    name = own.name_of(network)
    return NetworkSpec(name, channels=1, size=8, classes=3, source=own.source_of(name))


@pytest.mark.parametrize("network", [Plain, Named])
def test_a_network_computes_what_the_module_does(network):
    built = build(spec_of(network), seed=5)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        module = network(1, 8, 3)
    images = torch.rand(4, 1, 8, 8)
    assert built.training and built.feature_dim == 6
    torch.testing.assert_close(built(images), module(images))
    torch.testing.assert_close(built.classifier(built.features(images)), module(images))
    again, other = build(spec_of(network), seed=5).state_dict(), build(spec_of(network), seed=6).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in built.state_dict().items())
    assert not torch.equal(other["classifier.weight"], again["classifier.weight"])


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Softened, "does not give its logits"),
        (Convolutional, "no torch.nn.Linear"),
        (wrong_shape, r"not logits \(2, 3\)"),
        (no_module, "returned a int, not a torch.nn.Module"),
        (Plain(1, 8, 3), "is one network, but every teacher"),
        (3, "expected a name, a class or a function"),
    ],
)
def test_what_cannot_be_split_is_refused(network, words):
    with pytest.raises(UsageError, match=words):
        build(spec_of(network), seed=0)


def test_an_object_without_a_name_goes_by_its_source():
    def local(channels: int, size: int, classes: int) -> nn.Module:
        return Plain(channels, size, classes)

    assert own.name_of(Plain) == f"{__name__}:Plain"
    spec = spec_of(local)
    assert spec.name == "python:local" and build(spec, seed=0).feature_dim == 6
    with pytest.raises(UsageError, match="which only that process has"):
        own.source_of("python:elsewhere")
    namespace: dict[str, object] = {}
    # of no file: "<string>", the usual name, is from Python 3.13 on that of what python -c was given
    exec(compile("def unread(channels, size, classes): pass", "<nowhere>", "exec"), namespace)
    with pytest.raises(UsageError, match="cannot be read"):
        own.name_of(namespace["unread"])


def test_a_changed_source_is_another_network():
    spec = spec_of(Plain)
    changed = NetworkSpec(**(spec.as_dict() | {"source": "0" * 16}))
    with pytest.raises(UsageError, match="its source has changed"):
        build(changed, seed=0)
    assert "source" not in NetworkSpec("convnet").as_dict()


def test_a_file_does_not_choose_what_code_is_run():
    with pytest.raises(UsageError, match="a file does not choose"):
        build(NetworkSpec("shutil:rmtree", channels=1, size=8, classes=3, source="0" * 16), seed=0)


def test_by_module_and_function_on_the_command_line(workplace: Path):
    own_file = "from torch import nn\ndef make(channels, size, classes):\n"
    own_file += "    return nn.Sequential(nn.Flatten(), nn.Linear(channels * size * size, 4), nn.Linear(4, classes))\n"
    Path("door_nets.py").write_text(own_file)
    run(*COMMANDS["pretrain"], "--network", "door_nets:make")
    run("evaluate", "set", "--data", "data", "--out", "out/own", "--network", "door_nets:make", "--no-controls")
    assert '"source"' in Path("out/own/details.json").read_text()
    fails(
        run(*COMMANDS["pretrain"], "--network", "door_nets:nothing", expect=None), 2, "no function or class 'nothing'"
    )
    fails(run(*COMMANDS["pretrain"], "--network", "no_such_nets:make", expect=None), 2, "cannot import no_such_nets")
