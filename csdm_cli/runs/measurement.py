"""One measurement: a training set, what it is and what it took, and what students that learnt from it alone scored.

``csdm evaluate`` and ``csdm compare`` write it, ``csdm ledger add`` reads it from their files; all call its parts by
the names of its attributes. A file of evaluate has :data:`TOLD` in one place; one of compare has data and split above
the rows of a table, and what all sets of a row have in common beside the sets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from csdm_cli.artifacts.accounting import storage_of
from csdm_cli.artifacts.distilled import soft_labels_sha256, stored_sha256
from csdm_cli.artifacts.run_record import Machine, RunRecord, read_sidecar
from csdm_cli.evaluation.controls import ControlName
from csdm_cli.evaluation.results import Evaluation
from csdm_cli.images.image_set import ImageSet
from csdm_cli.names import EvaluationSplit, LabelKind, Parameterization
from csdm_cli.runs.evaluating import Case
from csdm_cli.runs.provenance import facts_of
from csdm_cli.runs.whole_run import whole_seconds
from csdm_cli.storage.keys import Commit
from csdm_cli.training.labeller import Labeller

SET = ("method", "labels", "seed", "ipc", "factor", "config", "source", "versions", "storage_bytes", "images_sha256")
TOLD = ("data", "tested_on", *SET)
# Of which files of earlier releases do not tell.
LATER = ("stored_numbers", "ipc_equivalent", "parameterization", "labelled_by", "soft_labels_sha256")


@dataclass(frozen=True)
class Measurement:
    """One training set and its students.

    Attributes:
        subject: the row's name in a table.
        method: the name of what made the set; None for all real images.
        labels: kind of the students' targets: hard, soft, or those of teachers who label every batch.
        ipc: the most stored images of a class, or those that the budget of other numbers stands for.
        factor: cells per side of a stored image.
        data: facts of the long-tailed set's manifest.
        tested_on: ``test`` or ``dev``.
        protocol: the students' training, network included, as JSON values.
        config: the set's provenance: settings of distill, description of the teachers, key of the run.
        seed: the set's own; None for all real images.
        evaluation: the students' results.
        storage_bytes: images and labels as stored, soft ones and labelling teachers included; None of a control read
            from a file.
        images_sha256: hash of the stored images or other numbers; None for all real images.
        source: hash of the code that made the set.
        versions: csdm and torch that made the set.
        stored_numbers: numbers as the literature counts them, those of labels and teachers included; None where no
            file tells.
        ipc_equivalent: 8-bit images per class that have as many bytes; None where no file tells.
        parameterization: the name of what is stored; None where no file tells, and for all real images.
        labelled_by: key of the teachers who labelled every batch; None where labels are stored.
        soft_labels_sha256: hash of the set's soft labels, whatever students learnt from; None if it has none, or where
            no file tells.
        file: the artifact; None of a set that is not in one, or not known to be.
        making: the run that made the set; None if its record is lost, or nothing was made.
        evaluating: the run that trained and tested the students; None if it was not timed by itself.
        code: the checkout that computed it; None if csdm was not run from one, or as long as no file tells.
        machine: where it was computed; None as long as no file tells.
        inherited: whose classifier decided, and the bytes that it takes (``details.json`` of evaluate); None where
            students were trained.
    """

    subject: str
    method: str | None
    labels: str
    ipc: int
    factor: int
    data: Mapping[str, Any]
    tested_on: str
    protocol: Mapping[str, Any]
    config: Mapping[str, Any]
    seed: int | None
    evaluation: Evaluation
    storage_bytes: int | None
    images_sha256: str | None
    source: str
    versions: Mapping[str, str]
    stored_numbers: int | None = None
    ipc_equivalent: float | None = None
    parameterization: str | None = None
    labelled_by: str | None = None
    soft_labels_sha256: str | None = None
    file: Path | None = None
    making: RunRecord | None = None
    evaluating: RunRecord | None = None
    code: Commit | None = None
    machine: Machine | None = None
    inherited: Mapping[str, Any] | None = None

    @classmethod
    def of_case(
        cls,
        case: Case,
        evaluation: Evaluation,
        *,
        subject: str,
        labels: LabelKind,
        split: EvaluationSplit,
        protocol: Mapping[str, Any],
        labeller: Labeller | None = None,
    ) -> Measurement:
        """The set of ``case``, whose students scored ``evaluation`` on ``split``; ``labeller`` taught them, if any.

        Who labelled a set that tells of no teachers stands in the teachers' place in its settings.
        """
        distilled, origin = case.distilled, case.distilled.provenance
        config = origin.config
        if labeller and not config.get("teachers"):
            config = {**config, "teachers": dict(labeller.made)}
        storage = storage_of(distilled, labeller.stored if labeller else ())
        return cls(
            subject=subject,
            method=origin.method,
            labels=str(labels),
            ipc=max(distilled.ipc),
            factor=distilled.decoding.factor,
            data=facts_of(case.longtail.manifest),
            tested_on=str(split),
            protocol=protocol,
            config=config,
            seed=origin.seed,
            evaluation=evaluation,
            storage_bytes=storage.bytes,
            images_sha256=stored_sha256(distilled),
            stored_numbers=storage.numbers,
            ipc_equivalent=storage.ipc_equivalent,
            parameterization=distilled.kind,
            labelled_by=labeller.key if labeller else None,
            soft_labels_sha256=soft_labels_sha256(distilled),
            source=origin.source,
            versions=origin.versions,
            file=case.path,
            making=read_sidecar(case.path),
        )

    @classmethod
    def of_control(
        cls,
        case: Case,
        evaluation: Evaluation,
        *,
        subject: str,
        control: ControlName,
        split: EvaluationSplit,
        protocol: Mapping[str, Any],
    ) -> Measurement:
        """Real images, stored as uint8 and labelled by class: as many of each class as the set of ``case`` stores."""
        manifest, selection = case.longtail.manifest, case.selection
        labels = selection.labels(manifest.classes)
        pixels = len(labels) * manifest.channels * manifest.size**2
        tiled = control is ControlName.tiled_random
        return cls(
            subject=subject,
            method=str(control),
            labels=str(LabelKind.hard),
            ipc=selection.ipc,
            factor=selection.factor if tiled else 1,
            data=facts_of(manifest),
            tested_on=str(split),
            protocol=protocol,
            config={},
            seed=selection.seed,
            evaluation=evaluation,
            storage_bytes=pixels + labels.nbytes,
            images_sha256=None,
            source="",
            versions={},
            stored_numbers=pixels,
            ipc_equivalent=len(labels) / manifest.classes,
            parameterization=str(Parameterization.multi_formation if tiled else Parameterization.pixels),
        )

    @classmethod
    def of_all_images(
        cls,
        train: ImageSet,
        evaluation: Evaluation,
        *,
        subject: str,
        ipc: int,
        data: Mapping[str, Any],
        split: EvaluationSplit,
        protocol: Mapping[str, Any],
    ) -> Measurement:
        """The whole long-tailed set ``train`` in a table of sets of ``ipc`` images: it has no seed, only students."""
        return cls(
            subject=subject,
            method=None,
            labels=str(LabelKind.hard),
            ipc=ipc,
            factor=1,
            data=data,
            tested_on=str(split),
            protocol=protocol,
            config={},
            seed=None,
            evaluation=evaluation,
            storage_bytes=train.images.nbytes + train.labels.nbytes,
            stored_numbers=train.images.numel(),
            ipc_equivalent=len(train.images) / train.classes,
            images_sha256=None,
            source="",
            versions={},
        )

    @property
    def seconds(self) -> float | None:
        """Time of the whole distillation; None if the record is lost or tells of a part only."""
        return whole_seconds(self.making, self.method, self.config)

    def told(self, names: Iterable[str] = (*TOLD, *LATER)) -> dict[str, Any]:
        """The attributes called ``names``, as JSON values."""
        return {name: getattr(self, name) for name in names}
