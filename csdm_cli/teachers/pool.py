"""The teacher pool: networks trained on the long-tailed set, with their weights before, during and after training."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from csdm_cli.display.console import note
from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.images.image_set import ImageSet
from csdm_cli.names import Parallel, TeacherLoss
from csdm_cli.networks import NetworkSpec, build
from csdm_cli.networks.network import Network
from csdm_cli.parallel.shared_work import do_unclaimed
from csdm_cli.seeds import derive_seed
from csdm_cli.storage import atomic, kinds, outputs, seal, tensorfile
from csdm_cli.storage.bounded import parsed_json
from csdm_cli.storage.keys import content_key
from csdm_cli.teachers.plan import TeacherPlan, identity, is_whole
from csdm_cli.teachers.teaching import EPOCH, FINAL, INITIAL, TeacherInTraining, TeachingPlan, teach
from csdm_cli.training.many import counted, groups_of, stands_together

if TYPE_CHECKING:
    from csdm_cli.networks.numerics import Numerics

INDEX, CLASSIFIERS_INDEX = "pool.json", "classifiers.json"
TEACHER, CLASSIFIER = "teacher", "classifier"
# All that a pool's folder holds: its teachers, and the classifier experts that started from them.
POOL_FILES = {
    name: kind
    for index, noun in ((INDEX, TEACHER), (CLASSIFIERS_INDEX, CLASSIFIER))
    for name, kind in (
        (index, kinds.containing('"teachers"', '"trajectory"', '"recipe"', '"files"')),
        (f"{noun}-*.safetensors", kinds.tensors('\\"kind\\": \\"teacher\\"')),
    )
}

# Which of a teacher's weights: the trained ones; (1-λ)·initial + λ·trained; those after epoch e (0: the initial), or,
# where they are kept every k optimiser steps, after step s.
Stage = Literal["final"] | tuple[Literal["interpolate"], float] | tuple[Literal["epoch", "step"], int]


@dataclass(frozen=True)
class TeacherPool:
    """Trained teachers, on disk.

    Attributes:
        paths: one file per teacher.
        headers: the headers of those files.
        classifiers: for experts, the pool that started from them and trained classifiers alone, if there is one.
    """

    paths: tuple[Path, ...]
    headers: tuple[dict[str, Any], ...]
    classifiers: TeacherPool | None = None

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def spec(self) -> NetworkSpec:
        """The architecture of all teachers."""
        return NetworkSpec(**self.headers[0]["spec"])

    @property
    def epochs(self) -> int:
        """Stages that each teacher was trained for: epochs, or equal parts of its steps."""
        return int(self.headers[0]["epochs"])

    @property
    def every(self) -> int | None:
        """Optimiser steps from one stage to the next, where that was asked for: of experts."""
        return self.headers[0].get("every")

    @property
    def trajectory(self) -> bool:
        """Whether the weights after every epoch can be had."""
        return bool(self.headers[0]["trajectory"])

    @property
    def data(self) -> str:
        """Fingerprint of the images the teachers were trained on."""
        return str(self.headers[0]["data"])

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel, by which those images were normalised."""
        first = self.headers[0]
        return tuple(first["mean"]), tuple(first["std"])

    @property
    def key(self) -> str:
        """Changes with any weight of any teacher, and with nothing else."""
        own = content_key([header["sha256"] for header in self.headers])
        return content_key([own, self.classifiers.key]) if self.classifiers else own

    @property
    def train_accuracy(self) -> tuple[tuple[float, ...], ...]:
        """Share of each class's training images that each teacher gets right: teachers x classes."""
        return tuple(tuple(header["train_accuracy"]) for header in self.headers)

    @property
    def description(self) -> dict[str, Any]:
        """How the pool was made, as JSON values without paths."""
        first = self.headers[0]
        shared = {name: first[name] for name in ("spec", "epochs", "loss", "recipe", "trajectory", "seed")}
        shared |= {
            name: first[name] for name in ("steps", "every", "start", "numerics", "objective_of") if name in first
        }
        further = {"classifiers": self.classifiers.description} if self.classifiers else {}
        return shared | further | {"teachers": len(self), "key": self.key}

    def weights(self, teacher: int, stage: Stage = "final") -> dict[str, Tensor]:
        """A state dict on the CPU.

        Raises:
            CsdmError: if that epoch was not kept, or the file is damaged.
        """
        if stage == "final":
            return self._read(teacher, FINAL)
        if self.spec.frozen:
            raise CsdmError(
                f"{self.spec.name} is never trained and has no weights but its own: use --teacher-schedule final"
            )
        kind, value = stage
        if kind == "interpolate":
            initial, final = self._read(teacher, INITIAL), self._read(teacher, FINAL)
            return {name: _between(initial[name], final[name], value) for name in final}
        if not self.trajectory:
            raise CsdmError("the teachers kept no weights of their epochs: run csdm pretrain --trajectory")
        unit = 1 if kind == "epoch" else self.every or math.inf
        number = int(value // unit)
        if value % unit or not 0 <= number <= self.epochs:
            trained = self.epochs if kind == "epoch" else f"{self.epochs} times {self.every}"
            raise CsdmError(f"the teachers have no {kind} {value}: they were trained for {trained}")
        kept = self._read(teacher, EPOCH.format(number) if number else INITIAL)
        return self._read(teacher, INITIAL) | kept if "start" in self.headers[teacher] else kept  # with what is frozen

    def network(self, teacher: int, stage: Stage = "final") -> Network:
        """A frozen network in evaluation mode, on the CPU, with these weights."""
        network = build(self.spec, seed=0)
        try:
            network.load_state_dict(self.weights(teacher, stage))
        except RuntimeError as error:
            raise CsdmError(f"{self.paths[teacher]} holds no {self.spec.name}: run csdm pretrain again") from error
        return network.eval().requires_grad_(False)

    def export(self, folder: Path) -> None:
        """Write ``folder`` anew: the teachers' files and an index with their hashes, which :meth:`open` reads.

        Classifier experts that come with them lie beside them, with an index of their own.

        Raises:
            CsdmError: if it holds anything but an older pool.
        """
        with outputs.replaced_folder(folder, POOL_FILES) as place:
            self._write(place, INDEX, TEACHER)
            if self.classifiers:
                self.classifiers._write(place, CLASSIFIERS_INDEX, CLASSIFIER)

    @classmethod
    def open(cls, folder: Path) -> TeacherPool:
        """A pool that :meth:`export` wrote.

        Raises:
            CsdmError: if the folder holds none, or a file is missing, damaged or not the one that was written.
        """
        pool = cls._opened(folder, INDEX, TEACHER)
        if not any(folder.glob(f"{CLASSIFIER}*")):
            return pool
        classifiers = cls._opened(folder, CLASSIFIERS_INDEX, CLASSIFIER)
        if any(header.get("start") != pool.key for header in classifiers.headers) or len(classifiers) != len(pool):
            raise CsdmError(f"{folder / CLASSIFIERS_INDEX} is of other experts than {INDEX}: run csdm pretrain again")
        return replace(pool, classifiers=classifiers)

    @classmethod
    def _opened(cls, folder: Path, index_name: str, noun: str) -> TeacherPool:
        try:
            index = parsed_json((folder / index_name).read_bytes())
            wanted = dict(index["files"])
            if not wanted or sorted(wanted) != [file_name(number, noun) for number in range(len(wanted))]:
                raise ValueError("an empty pool, or other names")
        except (FileNotFoundError, NotADirectoryError):
            raise CsdmError(f"{folder} holds no teacher pool (no {index_name}): make one with csdm pretrain") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CsdmError(f"{folder / index_name} is damaged: run csdm pretrain again") from error
        if others := sorted({path.name for path in folder.glob(f"{noun}-*.safetensors")} - wanted.keys()):
            raise CsdmError(f"{folder / index_name} does not list {others[0]}: run csdm pretrain again")
        try:
            pool = cls.of_files([folder / name for name in sorted(wanted)], sealed=False)  # by the index's hashes
        except CsdmError as error:
            raise CsdmError(f"{error}; run csdm pretrain again") from error
        for name, digest in pool._hashes(noun).items():
            if wanted[name] != digest:
                raise CsdmError(f"{folder / name} is not the file that {index_name} names: run csdm pretrain again")
        if not pool._fits(index, noun):
            raise CsdmError(f"{folder / index_name} is damaged: run csdm pretrain again")
        return pool

    @classmethod
    def of_files(cls, paths: list[Path], *, sealed: bool = True) -> TeacherPool:
        """The pool of these teachers; reads their headers only.

        Args:
            paths: the teachers' files, at least one.
            sealed: whether each header must have a hash of its own.

        Raises:
            CsdmError: if one is missing or damaged.
        """
        return cls(tuple(paths), tuple(tensorfile.read_header(path, sealed=sealed) for path in paths))

    def _write(self, place: Path, index_name: str, noun: str) -> None:
        for number, path in enumerate(self.paths):
            atomic.write_bytes(place / file_name(number, noun), path.read_bytes())
        atomic.write_json(place / index_name, self._index(noun))

    def _index(self, noun: str) -> dict[str, Any]:
        own = replace(self, classifiers=None)  # which are in files of their own
        return own.description | {"files": self._hashes(noun), "data": self.data}

    def _fits(self, index: Any, noun: str) -> bool:
        """Whether ``index`` is that of this pool, and the teachers say of themselves what teachers do."""
        try:
            whole = all(len(row) == self.spec.classes for row in self.train_accuracy) and self.epochs >= 0
            return whole and seal.digest(index) == seal.digest(self._index(noun))
        except (KeyError, ValueError, TypeError, AttributeError, UsageError):
            return False

    def _hashes(self, noun: str) -> dict[str, str]:
        """Hashes of each file's header, which holds a hash of every tensor."""
        return {file_name(number, noun): content_key(header) for number, header in enumerate(self.headers)}

    def _read(self, teacher: int, prefix: str) -> dict[str, Tensor]:
        try:
            tensors, header = tensorfile.load(self.paths[teacher], prefix=prefix, sealed=False)
            if header != self.headers[teacher]:
                raise CsdmError(f"{self.paths[teacher]} was changed meanwhile")
        except CsdmError as error:
            raise CsdmError(f"{error}; run csdm pretrain again") from error
        return {name.removeprefix(prefix): value for name, value in tensors.items()}


def train_pool(
    data: ImageSet,
    spec: NetworkSpec,
    plan: TeacherPlan,
    cache: Path,
    device: torch.device | str,
    *,
    quiet: bool = False,
    parallel: Parallel = Parallel.auto,
    checkpoint_every: float = 5.0,
    on_epoch: Callable[[int, int, float], None] | None = None,
    numerics: Numerics | None = None,
    before: Callable[[int], None] | None = None,
) -> TeacherPool:
    """The pool of ``plan``: teachers found in ``cache`` are taken from there, the others are trained.

    A run that was killed goes on at the last epoch kept and gives the same bytes. Processes that want the same
    teachers share the work: each takes what the others are not at.

    Args:
        data: the long-tailed training set, on any device.
        spec: the teachers' architecture.
        plan: how many of them, and how trained.
        cache: the root of the cache.
        device: where to train.
        quiet: show no progress.
        parallel: whether teachers are trained one after another, or at once where the network allows it.
        checkpoint_every: seconds of training to lose at most, beyond the epoch in which a run is killed.
        numerics: how networks compute in training; those that are not plain are trained one after another. None is
            plain.
        on_epoch: called with the teacher, the epoch just done (from 1) and the loss of its last step.
        before: called with the number of teachers to be trained, unless that is none.

    Raises:
        UsageError: if the network is one that is never trained.
        CsdmError: if training diverges or a class has no image.
    """
    if spec.frozen:
        raise UsageError(f"{spec.name} is a frozen backbone: networks that are trained are asked for here")
    loss = TeacherLoss(plan.loss)
    frozen = plan.start is not None
    teaching = TeachingPlan(data.to(device), spec, plan.duration, loss, plan.recipe, plan.trajectory, numerics, frozen)
    example = build(spec, seed=0)
    tuning = teaching.tuning
    # a norm of all weights is not one of each network's
    apart = bool(tuning) or frozen or plan.recipe.optimizer == "gsam"
    together = not apart and stands_together(parallel, example, torch.device(device))
    fixed = identity(data, spec, plan, torch.device(device), together) | tuning
    folder = cache / f"{plan.noun}s" / content_key(fixed)
    folder.mkdir(parents=True, exist_ok=True)
    teachers = [_in_training(number, plan, folder, fixed) for number in range(plan.teachers)]
    missing = [teacher.number for teacher in teachers if not is_whole(teacher, plan, example)]
    if missing:
        if before is not None:
            before(len(missing))
        note(f"{plan.noun}s to train first: {len(missing)} of {plan.teachers}, {plan.duration} each", quiet=quiet)

    def train(group: list[int]) -> None:
        left = [teachers[number] for number in group if not is_whole(teachers[number], plan, example)]
        for teacher in left:
            if teacher.path.exists():
                note(f"warning: {teacher.path} is damaged; this {plan.noun} is trained again")
        if left:
            title = f"{plan.noun} {counted([teacher.number for teacher in left], plan.teachers)}"
            teach(teaching, left, title=title, quiet=quiet, checkpoint_every=checkpoint_every, on_epoch=on_epoch)

    groups = groups_of(missing, example, teaching.examples, plan.recipe.batch, together=together)
    do_unclaimed(groups, lambda group: [teachers[number].path.with_suffix(".lock") for number in group], train)
    return TeacherPool.of_files([teacher.path for teacher in teachers])


def file_name(number: int, noun: str = TEACHER) -> str:
    """The file of a pool's teacher, or of the classifier expert that started from it."""
    return f"{noun}-{number:02d}.safetensors"


def _in_training(number: int, plan: TeacherPlan, folder: Path, fixed: dict[str, Any]) -> TeacherInTraining:
    header = fixed | {"kind": "teacher", "number": number}
    start = partial(plan.start.weights, number) if plan.start else None
    seed = derive_seed(plan.seed, "teacher", number)
    return TeacherInTraining(number, seed, folder / file_name(number), header, start)


def _between(initial: Tensor, final: Tensor, share: float) -> Tensor:
    """Linear interpolation; whole numbers (batch norm's step counter) are the trained network's."""
    return torch.lerp(initial, final, share) if final.is_floating_point() else final
