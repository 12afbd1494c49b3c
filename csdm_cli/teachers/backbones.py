"""Pools of one frozen backbone: fitted, trained without labels or taken as it is, with a linear probe as classifier.

For distillation it is a pool of teachers like any other; its probe is what calibration, soft labels and the inheritance
of a classifier read. A run that was killed goes on after the last part that was done: the body's weights, the whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from csdm_cli.display.console import note, progress
from csdm_cli.errors import CsdmError
from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.normalisation import normalise
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
from csdm_cli.teachers.self_supervised import OnStage, self_supervised
from csdm_cli.teachers.teaching import FINAL, TeacherInTraining
from csdm_cli.training.inference import images_at_once
from csdm_cli.training.losses import bias_after, training_loss
from csdm_cli.training.objectives import library
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
    on_stage: OnStage | None = None,
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
        on_stage: hears of training without labels, where there is such.

    Raises:
        UsageError: if the weights are another network's, there are fewer patches than centres, or an extra is missing.
        CsdmError: if they cannot be had, training diverges or a class has no image.
    """
    assert spec.frozen is not None
    fixed = identity(data, spec, plan, torch.device(device), together=False)
    if spec.frozen.pretext:
        fixed |= {"objective_of": library()}
    folder = cache / "teachers" / content_key(fixed)
    folder.mkdir(parents=True, exist_ok=True)
    header = fixed | {"kind": "teacher", "number": 0}
    teacher = TeacherInTraining(0, derive_seed(plan.seed, "teacher", 0), folder / file_name(0), header)

    def make(_: int) -> None:
        if is_whole(teacher, plan, build(spec, seed=0)):
            return
        here = data.to(device)
        body = _body(folder / BODY, here, spec, teacher.seed, weights, quiet, on_stage)
        network = furnished(build(spec, seed=0), spec, body, data.mean, data.std).to(device)
        accuracy = _probe(network, here, spec, plan, teacher.seed, quiet, on_epoch)
        state = {FINAL + name: value for name, value in network.state_dict().items()}
        tensorfile.save(teacher.path, state, header | {"train_accuracy": accuracy})
        (folder / BODY).unlink(missing_ok=True)

    do_unclaimed([0], lambda _: [teacher.path.with_suffix(".lock")], make)
    return TeacherPool.of_files([teacher.path])


def _body(
    kept: Path,
    data: ImageSet,
    spec: NetworkSpec,
    seed: int,
    weights: WeightsSource,
    quiet: bool,
    on_stage: OnStage | None,
) -> Mapping[str, Tensor]:
    """The body's weights: from the images and kept in a file, or its own."""
    assert spec.frozen is not None
    if spec.frozen.weights is not None:
        return weights()
    try:
        return tensorfile.load(kept)[0]
    except CsdmError as error:
        if kept.exists():
            note(f"warning: {error}; it is made again")
    notes = kept.with_suffix(".partial")
    if spec.frozen.pretext:
        found = self_supervised(data, spec, seed, notes, quiet=quiet, on_stage=on_stage)
    else:
        found = _fitted(data, spec, seed, quiet)
    tensorfile.save(kept, found, {})
    shutil.rmtree(notes, ignore_errors=True)
    return found


def _fitted(data: ImageSet, spec: NetworkSpec, seed: int, quiet: bool) -> dict[str, Tensor]:
    """Weights of patch-kmeans."""
    assert spec.frozen is not None and spec.frozen.centres is not None
    images = data.images if len(spec.frozen.mean) == data.channels else data.images.repeat(1, 3, 1, 1)
    looked_at = min(IMAGES, len(images))
    with progress(f"{spec.name}: {spec.frozen.centres} centres", looked_at, quiet=quiet) as task:
        return fitted(images, spec.frozen.size, spec.frozen.centres, seed, lambda done, _: task.update(done))


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
    loss = training_loss(plan.loss, data.counts)
    probe = new_probe(network.feature_dim, spec.classes, derive_seed(seed, "weights")).to(features)
    with progress(f"{spec.name}: linear probe", steps, quiet=quiet) as task:

        def after(step: int, value: Tensor) -> None:
            task.update(step, loss=value)
            if on_epoch is not None and step in ends:
                on_epoch(0, ends[step], float(value))

        batches = kept_features(features, targets, batch, derive_seed(seed, "training"))
        train_probe(probe, batches, plan.recipe, steps, loss=loss, on_step=after)
    with torch.no_grad():
        probe.bias.copy_(bias_after(plan.loss, data.counts, probe.bias))
        network.classifier.load_state_dict(probe.state_dict())
        right = torch.cat([probe(part) for part in features.split(4096)]).argmax(1) == data.labels
    return [float(part.double().mean()) for part in right.split(list(data.counts))]


@torch.no_grad()
def _features(network: Network, data: ImageSet, quiet: bool) -> Tensor:
    """Features of all training images as they are: (N, D)."""
    parts, done = [], 0
    with progress("features of the training images", len(data.images), quiet=quiet) as task:
        for part in data.images.split(images_at_once(data.images, network)):
            parts.append(network.features(normalise(part, data.mean, data.std)))
            task.update(done := done + len(part))
    return torch.cat(parts)
