"""Pools of one frozen backbone: fitted or taken as it is, with a linear probe on the training images as classifier.

For distillation it is a pool of teachers like any other; its probe is what calibration, soft labels and the inheritance
of a classifier read. A run that was killed goes on after the last part that was done: the body's weights, the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from csdm_cli.display.console import note, progress
from csdm_cli.errors import CsdmError
from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.normalisation import normalise
from csdm_cli.names import BackboneName, TeacherLoss
from csdm_cli.networks import NetworkSpec, build
from csdm_cli.networks.frozen import furnished
from csdm_cli.networks.network import Network
from csdm_cli.networks.patch_kmeans import IMAGES, fitted
from csdm_cli.parallel.shared_work import do_unclaimed
from csdm_cli.seeds import derive_seed
from csdm_cli.storage import tensorfile
from csdm_cli.storage.keys import content_key
from csdm_cli.teachers.plan import TeacherPlan, identity, is_whole
from csdm_cli.teachers.pool import TeacherPool, file_name
from csdm_cli.teachers.teaching import FINAL, TeacherInTraining
from csdm_cli.training.inference import images_at_once
from csdm_cli.training.losses import balanced_softmax, cross_entropy, log_prior
from csdm_cli.training.probe import kept_features, new_probe, probabilities, train_probe

BODY = "body.safetensors"

# Gives the weights that a backbone comes with.
WeightsSource = Callable[[], Mapping[str, Tensor]]


def frozen_pool(
    data: ImageSet,
    spec: NetworkSpec,
    plan: TeacherPlan,
    cache: Path,
    device: torch.device | str,
    weights: WeightsSource,
    *,
    quiet: bool = False,
    on_epoch: Callable[[int, int, float], None] | None = None,
) -> TeacherPool:
    """The pool of the backbone ``spec``, from ``cache`` if it is there.

    Args:
        data: the long-tailed training set.
        spec: architecture of a network that is frozen.
        plan: plan of its probe: one teacher's duration, loss and recipe.
        cache: the root of the cache.
        device: where to compute.
        weights: asked for the body's weights, unless they are fitted to the images or in the cache.
        quiet: show no progress.
        on_epoch: called with 0, the probe's epoch just done (from 1) and the loss of its last step.

    Raises:
        UsageError: if the weights are another network's, or there are fewer patches than centres.
        CsdmError: if they cannot be had, training diverges or a class has no image.
    """
    fixed = identity(data, spec, plan, torch.device(device), together=False)
    folder = cache / "teachers" / content_key(fixed)
    folder.mkdir(parents=True, exist_ok=True)
    header = fixed | {"kind": "teacher", "number": 0}
    teacher = TeacherInTraining(0, derive_seed(plan.seed, "teacher", 0), folder / file_name(0), header)

    def make(_: int) -> None:
        if is_whole(teacher, plan, build(spec, seed=0)):
            return
        here = data.to(device)
        body = _body(folder / BODY, here, spec, teacher.seed, weights, quiet)
        network = furnished(build(spec, seed=0), spec, body, data.mean, data.std).to(device)
        accuracy = _probe(network, here, spec, plan, teacher.seed, quiet, on_epoch)
        state = {FINAL + name: value for name, value in network.state_dict().items()}
        tensorfile.save(teacher.path, state, header | {"train_accuracy": accuracy})
        (folder / BODY).unlink(missing_ok=True)

    do_unclaimed([0], lambda _: [teacher.path.with_suffix(".lock")], make)
    return TeacherPool.of_files([teacher.path])


def _body(
    kept: Path, data: ImageSet, spec: NetworkSpec, seed: int, weights: WeightsSource, quiet: bool
) -> Mapping[str, Tensor]:
    """The body's weights: fitted to the images and kept in a file, or its own."""
    assert spec.frozen is not None
    if spec.name != BackboneName.patch_kmeans:
        return weights()
    try:
        return tensorfile.load(kept)[0]
    except CsdmError as error:
        if kept.exists():
            note(f"warning: {error}; it is fitted again")
    assert spec.frozen.centres is not None
    images = data.images if len(spec.frozen.mean) == data.channels else data.images.repeat(1, 3, 1, 1)
    looked_at = min(IMAGES, len(images))
    with progress(f"{spec.name}: {spec.frozen.centres} centres", looked_at, quiet=quiet) as task:
        found = fitted(images, spec.frozen.size, spec.frozen.centres, seed, lambda done, _: task.update(done))
    tensorfile.save(kept, found, {})
    return found


def _probe(
    network: Network,
    data: ImageSet,
    spec: NetworkSpec,
    plan: TeacherPlan,
    seed: int,
    quiet: bool,
    on_epoch: Callable[[int, int, float], None] | None,
) -> list[float]:
    """Train the classifier of ``network`` in place; the share of each class's images that it gets right."""
    features, batch = _features(network, data, quiet), plan.recipe.batch
    ends = plan.duration.ends(len(features), batch)
    steps = max(ends)
    targets = probabilities(data.labels, data.classes, features.dtype)
    loss = balanced_softmax(data.counts) if plan.loss is TeacherLoss.balanced_softmax else cross_entropy
    probe = new_probe(network.feature_dim, spec.classes, derive_seed(seed, "weights")).to(features)
    with progress(f"{spec.name}: linear probe", steps, quiet=quiet) as task:

        def after(step: int, value: Tensor) -> None:
            task.update(step, loss=value)
            if on_epoch is not None and step in ends:
                on_epoch(0, ends[step], float(value))

        batches = kept_features(features, targets, batch, derive_seed(seed, "training"))
        train_probe(probe, batches, plan.recipe, steps, loss=loss, on_step=after)
    with torch.no_grad():
        if plan.loss is TeacherLoss.logit_adjustment:  # whoever uses these weights needs to know nothing of it
            probe.bias.sub_(log_prior(data.counts).to(probe.bias))
        network.classifier.load_state_dict(probe.state_dict())
        right = torch.cat([probe(part) for part in features.split(4096)]).argmax(1) == data.labels
    return [float(part.double().mean()) for part in right.split(list(data.counts))]


@torch.no_grad()
def _features(network: Network, data: ImageSet, quiet: bool) -> Tensor:
    """Features of all training images as they are: (N, D)."""
    parts, done = [], 0
    with progress("features of the training images", len(data.images), quiet=quiet) as task:
        for part in data.images.split(images_at_once(data.images)):
            parts.append(network.features(normalise(part, data.mean, data.std)))
            task.update(done := done + len(part))
    return torch.cat(parts)
