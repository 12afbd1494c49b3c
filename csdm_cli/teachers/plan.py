"""The plan of a pool of teachers, and whether a teacher on disk is one of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from csdm_cli.errors import CsdmError
from csdm_cli.images.image_set import ImageSet
from csdm_cli.names import TeacherLoss
from csdm_cli.networks import NetworkSpec
from csdm_cli.networks.network import Network
from csdm_cli.storage import seal, tensorfile
from csdm_cli.storage.keys import source_hash
from csdm_cli.storage.rooms import TEACHERS
from csdm_cli.teachers.teaching import EPOCH, FINAL, INITIAL, TeacherInTraining, is_classifier
from csdm_cli.training.recipe import Duration, Recipe

if TYPE_CHECKING:
    from csdm_cli.teachers.pool import TeacherPool


@dataclass(frozen=True)
class TeacherPlan:
    """How a pool is trained.

    Attributes:
        teachers: networks in the pool, all of one architecture and with seeds of their own.
        duration: duration of their training.
        loss: their loss function.
        recipe: how they are trained.
        trajectory: whether the weights after every epoch are kept.
        seed: random seed of the pool.
        start: as many teachers, from whose trained weights these start; their encoders are not trained any more.
        noun: their name in messages.
    """

    teachers: int
    duration: Duration
    loss: TeacherLoss
    recipe: Recipe
    trajectory: bool
    seed: int
    start: TeacherPool | None = None
    noun: str = "teacher"


def identity(
    data: ImageSet, spec: NetworkSpec, plan: TeacherPlan, device: torch.device, together: bool
) -> dict[str, Any]:
    """All that a teacher's weights depend on but its number."""
    return {
        "data": data.fingerprint(),
        "mean": list(data.mean),
        "std": list(data.std),
        "spec": spec.as_dict(),
        "epochs": max(plan.duration.ends(len(data.images), plan.recipe.batch).values()),
        "loss": str(plan.loss),
        "recipe": plan.recipe.as_dict(),
        "trajectory": plan.trajectory,
        "seed": plan.seed,
        "together": together,
        "device": device.type,
        "torch": str(torch.__version__),
        "source": source_hash(*TEACHERS),
        **plan.duration.as_dict(),
        **({"start": plan.start.key} if plan.start else {}),
    }


def is_whole(teacher: TeacherInTraining, plan: TeacherPlan, example: Network) -> bool:
    """Whether a teacher is there, undamaged and the one it should be; else it is trained again."""
    try:
        tensors, header = tensorfile.load(teacher.path)
    except CsdmError:
        return False
    state = example.state_dict()
    always = (FINAL,) if teacher.header["spec"].get("frozen") else (INITIAL, FINAL)
    shapes = {stage + name: value.shape for stage in always for name, value in state.items()}
    for epoch in range(1, teacher.header["epochs"] + 1) if plan.trajectory else ():
        moving = [name for name in state if plan.start is None or is_classifier(name)]
        shapes |= {EPOCH.format(epoch) + name: state[name].shape for name in moving}
    own, scores = {name: header.get(name) for name in teacher.header}, header.get("train_accuracy")
    return (
        {name: value.shape for name, value in tensors.items()} == shapes
        and seal.digest(own) == seal.digest(teacher.header)
        and isinstance(scores, list)
        and len(scores) == teacher.header["spec"]["classes"]
        and all(isinstance(score, float) and 0 <= score <= 1 for score in scores)
    )
