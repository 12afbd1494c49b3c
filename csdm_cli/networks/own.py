"""A network of the user's own: by ``module:function`` from the working directory, or an object given in Python.

What is named takes ``(channels, size, classes)`` and returns a ``torch.nn.Module`` from images
(N, channels, size, size), normalised, to logits (N, classes). The module may say what its features are, with a method
``features`` (N, channels, size, size) -> (N, D) and a ``torch.nn.Linear`` called ``classifier``; otherwise its last
``torch.nn.Linear`` is the classifier, and what goes into it the features. Either way the classifier on the features
must give the module's own logits.

Its identity, which is in the key of every teacher, student and distilled set: the dotted name with a hash of the
source file that defines it. An object that cannot be imported by name (one of a notebook, or a local class) goes by
its name and a hash of its own source text; one whose source cannot be read is refused. Files that it imports in turn
are not in the identity: change the name, or the file itself, with them. A set or a pool that somebody made with such a
network names it, but its code is run only where the user's own settings name it too.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from csdm_cli.errors import UsageError
from csdm_cli.networks.network import EncoderNetwork, Network
from csdm_cli.networks.spec import NetworkSpec

Factory = Callable[..., nn.Module]  # (channels, size, classes)

PREFIX = "python:"  # of objects that cannot be imported by name
TOLERANCE = 1e-4  # between the module's logits and its classifier's on its features, relative

_named: set[str] = set()  # by this process's own settings: a file from elsewhere may not choose what code is run
_given: dict[str, tuple[Factory, str]] = {}  # objects of this process by name, with a hash of their source


def is_own(name: str) -> bool:
    """Whether ``name`` names a network of the user's own."""
    return ":" in name and not name.startswith("torchvision:")


def name_of(network: object) -> str:
    """The name by which a class or function that makes a network goes in settings.

    Raises:
        UsageError: if it makes no network, or its source cannot be read.
    """
    if isinstance(network, nn.Module):
        raise UsageError(
            f"network: a {type(network).__name__} is one network, but every teacher and student is another: give its"
            " class, or a function that takes (channels, size, classes) and returns one"
        )
    if not callable(network):
        raise UsageError(f"network: expected a name, a class or a function, not {type(network).__name__}")
    module, place = getattr(network, "__module__", None), getattr(network, "__qualname__", "")
    home = None if module in (None, "__main__") else sys.modules.get(module)
    if place.isidentifier() and getattr(home, place, None) is network and _file_of(home):
        return f"{module}:{place}"
    try:
        digest = _digest(_text_of(network).encode())
    except (OSError, TypeError):
        raise UsageError(
            f"network: the source of {place or network!r} cannot be read, so that its results could not be told from"
            " another's: define it in a file"
        ) from None
    name = f"{PREFIX}{place.rpartition('.')[2] or 'network'}"
    _given[name] = (network, digest)
    return name


def source_of(name: str) -> str:
    """Hash of the source that defines the network ``name``, which the user's settings name.

    Raises:
        UsageError: if there is no such network.
    """
    _named.add(name)
    if name.startswith(PREFIX):
        return _object(name)[1]
    factory = _imported(name)
    file = _file_of(sys.modules[getattr(factory, "__module__", "") or name.partition(":")[0]])
    if file is None:
        raise UsageError(f"--network {name}: has no source file, so that its results could not be told from another's")
    return _digest(file.read_bytes())


def own_network(spec: NetworkSpec) -> Network:
    """The network that the user's function makes for the images of ``spec``, split at its classifier.

    Raises:
        UsageError: if nobody named it here, there is no such function any more, its source is another than the
            spec's, or what it returns is no classifier of such images.
    """
    if spec.name not in _named and not spec.name.startswith(PREFIX):
        raise UsageError(
            f"{spec.name} is a network of its maker's own, and a file does not choose what code is run here: if you"
            f" trust that code, name it as well, with --network {spec.name} or pretrain.network in --params"
        )
    if spec.source != source_of(spec.name):
        raise UsageError(
            f"--network {spec.name}: its source has changed since this was made (hash {spec.source}): put the old one"
            " back, or make teachers and sets anew"
        )
    factory = _object(spec.name)[0] if spec.name.startswith(PREFIX) else _imported(spec.name)
    module = _called(factory, spec)
    with torch.no_grad():
        return _split(module, spec)


class _Features(nn.Module):
    """The ``features`` of a module, without its classifier."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.module.features(images)  # type: ignore[operator]
        return features


def _called(factory: Factory, spec: NetworkSpec) -> nn.Module:
    try:
        module = factory(spec.channels, spec.size, spec.classes)
    except Exception as error:
        raise UsageError(
            f"--network {spec.name}: it was called with (channels, size, classes) ="
            f" ({spec.channels}, {spec.size}, {spec.classes}) and failed ({_reason(error)})"
        ) from error
    if not isinstance(module, nn.Module):
        raise UsageError(f"--network {spec.name}: it returned a {type(module).__name__}, not a torch.nn.Module")
    return module


def _split(module: nn.Module, spec: NetworkSpec) -> Network:
    """Encoder and classifier of ``module``, which together compute what it does."""
    images = torch.rand(2, spec.channels, spec.size, spec.size, generator=torch.Generator().manual_seed(0))
    module.eval()
    try:
        wanted = module(images)
    except Exception as error:
        raise UsageError(
            f"--network {spec.name}: it cannot take {spec.channels}x{spec.size}x{spec.size} images ({_reason(error)})"
        ) from error
    if not isinstance(wanted, Tensor) or wanted.shape != (2, spec.classes):
        shape = tuple(wanted.shape) if isinstance(wanted, Tensor) else type(wanted).__name__
        raise UsageError(f"--network {spec.name}: of 2 images it made {shape}, not logits (2, {spec.classes})")
    own = getattr(module, "classifier", None)
    if isinstance(own, nn.Linear) and callable(getattr(module, "features", None)):
        classifier, encoder = own, _Features(module)
        module.classifier = nn.Identity()
    else:
        linear = [(place, part) for place, part in module.named_modules() if isinstance(part, nn.Linear) and place]
        if not linear:
            raise UsageError(f"--network {spec.name}: it has no torch.nn.Linear inside that could be its classifier")
        place, classifier = linear[-1]
        encoder = module  # type: ignore[assignment]
        module.set_submodule(place, nn.Identity())
    network = EncoderNetwork(encoder, classifier.in_features, spec.classes)
    network.classifier = classifier
    network.eval()
    try:
        same = torch.allclose(network(images), wanted, rtol=TOLERANCE, atol=TOLERANCE * float(wanted.abs().max()))
    except Exception:
        same = False
    if not same:
        raise UsageError(
            f"--network {spec.name}: its classifier on its features does not give its logits; let the last"
            " torch.nn.Linear be the last thing it does, or name its parts features and classifier"
        )
    return network.train()


def _imported(name: str) -> Factory:
    """The function ``module:function``, imported with the working directory in front."""
    module, _, place = name.partition(":")
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        found = getattr(importlib.import_module(module), place, None)
    except Exception as error:
        raise UsageError(f"--network {name}: cannot import {module} from here ({_reason(error)})") from error
    finally:
        sys.path.remove(folder)
    if not callable(found):
        raise UsageError(f"--network {name}: {module} has no function or class {place!r}")
    return found  # type: ignore[no-any-return]


def _object(name: str) -> tuple[Factory, str]:
    if name not in _given:
        raise UsageError(
            f"network {name.removeprefix(PREFIX)!r} was given as a Python object, which only that process has: give it"
            " again as network=, or define it in a file and name it module:function"
        )
    return _given[name]


def _text_of(network: Any) -> str:
    """Source of a function, or of a class: of a notebook's class Python knows the text of its methods only.

    Raises:
        OSError, TypeError: if it cannot be read.
    """
    try:
        return inspect.getsource(network)
    except (OSError, TypeError):
        if not inspect.isclass(network):
            raise
    methods = [inspect.getsource(part) for part in vars(network).values() if inspect.isfunction(part)]
    if not methods:
        raise OSError("a class without methods of its own")
    own = {name: part for name, part in vars(network).items() if not name.startswith("__")}
    plain = {name: part for name, part in own.items() if isinstance(part, (bool, int, float, str, tuple))}
    return "\n".join([repr(network.__bases__), repr(sorted(plain.items(), key=repr)), *methods])


def _file_of(module: Any) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file) if file and file.endswith(".py") and Path(file).is_file() else None


def _digest(source: bytes) -> str:
    return hashlib.sha256(source).hexdigest()[:16]


def _reason(error: Exception) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
