"""One measured row: what was run, on what, and what every student of it scored after the last step."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from csdm_cli.artifacts.run_record import Machine
from csdm_cli.errors import CsdmError
from csdm_cli.evaluation.scores import ClassGroups, MeanStd, OverSets, group_of_classes, summarise, summarise_sets
from csdm_cli.ledger.protocol import Protocol
from csdm_cli.names import AT_LEARNED_RATE, LEARNED, LabelKind, Parameterization
from csdm_cli.networks.numerics import Numerics

SCHEMA: Literal["csdm ledger row 1"] = "csdm ledger row 1"
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
TABLE_NAME = r"^[a-z0-9][a-z0-9.-]*$"  # part of the name of a row's file
SectionName = Literal["make_lt", "pretrain", "distill", "evaluate", "backbone"]
Computing = Literal["pretrain", "distill", "evaluate"]
Share = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, config=STRICT)
class Student:
    """One student.

    Attributes:
        accuracy: after the last step, on all test images.
        best_on_test: the highest of its tests: what choosing the step on the test set would claim. Never a headline.
        per_class: after the last step; None of a class without test images.
    """

    accuracy: Share
    best_on_test: Share
    per_class: tuple[Share | None, ...]


@dataclass(frozen=True, config=STRICT)
class RunCost:
    """Cost of making a set, or of teaching and testing its students.

    Attributes:
        wall_seconds: from start to end; None if it was not measured.
        peak_memory_bytes: peak of the GPU's allocator on CUDA, else of the process; None if it was not measured.
    """

    wall_seconds: NonNegative | None = None
    peak_memory_bytes: NonNegative | None = None


@dataclass(frozen=True, config=STRICT)
class Maker:
    """Where a set was made, and by which code.

    Attributes:
        machine: that of the distillation run.
        commit, dirty: as in :class:`Code`.
    """

    machine: Machine
    commit: str | None
    dirty: bool | None

    @property
    def device(self) -> str:
        """The GPU, or else the processor."""
        return self.machine.gpu or self.machine.processor


@dataclass(frozen=True, config=STRICT)
class Measured:
    """One training set and its students.

    Attributes:
        seed: random seed of the distilled set or the selection; None for all real images.
        students: in the order of their numbers.
        storage_bytes: size of the stored images or other numbers, labels, and a learned step size.
        images_sha256: hash of the stored images or other numbers.
        run: the key of the distillation run.
        making, evaluating: cost of making the set, and of its students; files say ``judging``, as they always did.
        stored_numbers: their count, as the literature has it; None if nothing told it.
        ipc_equivalent: 8-bit images per class of as many bytes; None if nothing told it.
        maker: None if the row's machine and commit made the set, or nothing told which did.
    """

    seed: int | None
    students: Annotated[tuple[Student, ...], Field(min_length=1)]
    storage_bytes: int | None = None
    images_sha256: str | None = None
    run: str | None = None
    making: RunCost = RunCost()
    evaluating: RunCost = Field(
        default=RunCost(), validation_alias=AliasChoices("evaluating", "judging"), serialization_alias="judging"
    )
    stored_numbers: Annotated[int, Field(ge=0)] | None = None
    ipc_equivalent: NonNegative | None = None
    maker: Maker | None = None


@dataclass(frozen=True, config=STRICT)
class Data:
    """The long-tailed set that was distilled, or trained on.

    Attributes:
        dataset, imbalance, counts: as in its manifest.
        split: which images were kept.
        jpeg: whether the source's images were JPEG-coded; None if unknown.
        origin: kind of source.
        fingerprints: hashes of its ``train`` and ``test`` images.
        tested_on: the images that students were tested on.
    """

    dataset: str
    imbalance: Annotated[float, Field(ge=1)]
    counts: tuple[int, ...]
    split: str
    jpeg: bool | None
    origin: str
    fingerprints: dict[str, str]
    tested_on: Literal["test", "dev"] = "test"


@dataclass(frozen=True, config=STRICT)
class Inherited:
    """The classifier of another backbone, trained on all real images, in the place of a probe.

    Attributes:
        giver: how its backbone was made, as its pool tells.
        classifier_bytes: bytes of the classifier.
        map_bytes: bytes of the affine map to the giver's features; 0 where both backbones are the same.
    """

    giver: dict[str, Any]
    classifier_bytes: int
    map_bytes: int


@dataclass(frozen=True, config=STRICT)
class Probe:
    """The students of a row that are linear probes.

    Attributes:
        backbone: how the network was made whose features they learn from, and where its weights are from, as its pool
            tells.
        inherited: whose classifier decided in their place; None of probes.
    """

    backbone: dict[str, Any]
    inherited: Inherited | None = None


@dataclass(frozen=True, config=STRICT)
class Code:
    """The code that tested the row's students, and made its sets unless these tell otherwise.

    Attributes:
        commit: commit of the checkout; None if csdm was not run from one.
        dirty: whether the checkout had changes of its own; None if unknown.
        source: hash of the package's source.
        versions: version numbers of csdm and torch.
    """

    commit: str | None
    dirty: bool | None
    source: str
    versions: dict[str, str]


@dataclass(frozen=True, config=STRICT)
class Row:
    """One row of the ledger.

    Attributes:
        table: rows of one table share data, protocol and scale.
        subject: the row's name in the table of evaluate, e.g. ``csdm (hard labels)`` or ``full, cross-entropy``.
        method: name in ``csdm methods``, or the control's name.
        labels: that students were trained on.
        ipc: stored images per class, or the budget of other numbers in them; None for all real images.
        factor: cells per side of a stored image.
        scale: ``full`` is the papers' width and iterations, and students of 16,000 steps; anything less is ``reduced``.
        scale_text: the scale spelled out.
        commands: lines to type to repeat it; SEED stands for each set's.
        config: all settings by section of params.yaml, from which the row is re-run; of probes also ``backbone``, the
            settings of pretrain that make what they look through, which need not have made the set.
        network: network of the students.
        data, code, machine: see there.
        sets: all that was measured.
        numerics: how teachers computed in training, networks while images were distilled, and students; what is left
            out was plain.
        protocol: the protocol it was measured under (see ``protocol.py``); rows older than the field are of the first.
        probe: the backbone of linear probes; None of students trained from scratch.
    """

    table: Annotated[str, Field(pattern=TABLE_NAME)]
    subject: str
    method: str
    labels: LabelKind
    ipc: Annotated[int, Field(ge=1)] | None
    factor: Annotated[int, Field(ge=1)]
    scale: Literal["full", "reduced"]
    scale_text: Annotated[str, Field(min_length=1)]
    commands: tuple[str, ...]
    config: dict[SectionName, dict[str, Any]]
    network: dict[str, Any]
    data: Data
    code: Code
    machine: Machine
    sets: Annotated[tuple[Measured, ...], Field(min_length=1)]
    schema: Literal["csdm ledger row 1"] = SCHEMA
    numerics: dict[Computing, Numerics] = Field(default_factory=dict)
    protocol: Protocol = Protocol.first
    probe: Probe | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        classes = len(self.data.counts)
        if any(len(student.per_class) != classes for found in self.sets for student in found.students):
            raise ValueError(f"per_class needs one accuracy for each of the {classes} classes")
        seeds = [found.seed for found in self.sets]
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"two sets have the same seed: {seeds}")
        if self.is_full_data and seeds != [None]:
            raise ValueError("all real images are one set, without a seed")
        if {"train", "test"} - self.data.fingerprints.keys():
            raise ValueError("fingerprints need train and test")
        if (self.probe is not None) != (self.protocol is Protocol.probe):
            raise ValueError("the protocol probe and a probe's backbone go together")
        return self

    @property
    def is_full_data(self) -> bool:
        """Whether students were trained on all real images."""
        return self.ipc is None

    @property
    def inherits(self) -> bool:
        """Whether another backbone's classifier decided: what it scores is not of the images alone."""
        return self.probe is not None and self.probe.inherited is not None

    @property
    def coded_as(self) -> str | None:
        """The parameterization, where a set's images are computed from other numbers than pixels."""
        kind = None if self.is_full_data else self.config["distill"].get("parameterization")
        return kind if kind in (Parameterization.frequency, Parameterization.decomposition) else None

    @property
    def at_learned_rate(self) -> bool:
        """Whether each set's students followed the step size that it was learned with, not the table's recipe."""
        return bool(self.config["evaluate"].get("lr") == LEARNED)

    @property
    def taught_by(self) -> str:
        """The labels that students learnt from, and their recipe where it is not the table's."""
        return f"{self.labels} labels" + (f", {AT_LEARNED_RATE}" if self.at_learned_rate else "")

    @property
    def student_steps(self) -> int:
        """Optimiser steps of each student; those on all real images have a number of their own since it exists."""
        own = self.config["evaluate"]
        return int((self.is_full_data and own.get("full_steps")) or own["steps"])

    @property
    def name(self) -> str:
        """The name of the row's file."""
        words = "".join(letter if letter.isalnum() else " " for letter in self.subject.removesuffix(" labels)"))
        return "-".join([self.table, *words.lower().split()])

    @property
    def groups(self) -> ClassGroups:
        """Head, medium and tail classes."""
        return group_of_classes(self.data.counts)

    @property
    def accuracy(self) -> OverSets:
        """The headline: accuracy after the last step."""
        return self._over_sets(lambda student: student.accuracy)

    @property
    def best_on_test(self) -> OverSets:
        """The highest accuracy over a student's tests, for curiosity: never a result."""
        return self._over_sets(lambda student: student.best_on_test)

    def of_group(self, group: Literal["head", "medium", "tail"]) -> OverSets | None:
        """Mean accuracy over a group's classes; None if one has no test image, or the group has no class."""
        labels = getattr(self.groups, group)
        if not labels or any(
            student.per_class[label] is None for found in self.sets for student in found.students for label in labels
        ):
            return None
        return self._over_sets(lambda student: statistics.fmean(student.per_class[label] or 0.0 for label in labels))

    @property
    def is_one_set(self) -> bool:
        """Whether all sets have the same images, which no seed chose.

        Where no hash of them is told, their several students show it.
        """
        first, *others = self.sets
        if first.images_sha256 is None and len(first.students) == 1:
            return False
        told = [(one.images_sha256, one.students) for one in self.sets]
        return bool(others) and all(one == told[0] for one in told)

    @property
    def spread(self) -> MeanStd:
        """Mean, and the standard deviation that tells how far another run may lie: over sets if there are several."""
        if self.is_one_set:
            return self._over_students_of_one()
        found = self.accuracy
        return found.sets if found.sets.count > 1 else found.students

    @property
    def independent(self) -> MeanStd | None:
        """The runs that tell how far another mean may lie: sets, or students where there is no other set; None of one.

        Students of a single set differ by less than sets do, so no interval of its method can be made of them. All
        real images, and those that a rule chooses whatever the seed, have no other set.
        """
        if self.is_one_set:
            return self._over_students_of_one()
        found = self.accuracy
        if self.is_full_data:
            return found.students
        return found.sets if found.sets.count > 1 else None

    @property
    def by_seed(self) -> dict[int | None, float]:
        """Mean accuracy of each set's students, by the set's seed."""
        return {one.seed: statistics.fmean(student.accuracy for student in one.students) for one in self.sets}

    @property
    def of_sets(self) -> tuple[float, ...]:
        """Mean accuracy of each set's students; where all sets have the same images, of one."""
        found = tuple(self.by_seed.values())
        return found[:1] if self.is_one_set else found

    @property
    def students(self) -> tuple[Student, ...]:
        """The students of all sets."""
        return tuple(student for found in self.sets for student in found.students)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        value: dict[str, Any] = _ADAPTER.dump_python(self, mode="json", by_alias=True)
        return value

    @classmethod
    def from_dict(cls, value: Any, where: str) -> Row:
        """The inverse of :meth:`as_dict`.

        Raises:
            CsdmError: naming ``where``, if something is missing, unknown or contradictory.
        """
        try:
            return _ADAPTER.validate_python(value)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise CsdmError(
                f"{where} is not a row of the ledger: {place + ': ' if place else ''}{first['msg']}"
            ) from error

    def _over_students_of_one(self) -> MeanStd:
        found = summarise(student.accuracy for student in self.sets[0].students)
        assert found is not None
        return found

    def _over_sets(self, score: Callable[[Student], float]) -> OverSets:
        return summarise_sets([[score(student) for student in found.students] for found in self.sets])


_ADAPTER: TypeAdapter[Row] = TypeAdapter(Row)
