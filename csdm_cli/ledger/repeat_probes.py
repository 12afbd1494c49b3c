"""Linear probes of a row measured again: on the same backbone, made again where the cache has it no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from csdm_cli.data.store import LongTail
from csdm_cli.errors import CsdmError
from csdm_cli.evaluation.controls import ControlName, Selection, evaluate_centroid, evaluate_full
from csdm_cli.evaluation.inheritance import Inheritance, drawn, inherited
from csdm_cli.evaluation.probes import Probed
from csdm_cli.evaluation.results import Evaluation
from csdm_cli.evaluation.students import Evaluator
from csdm_cli.images.image_set import ImageSet
from csdm_cli.ledger.row import Row
from csdm_cli.ledger.sections import pretrain_section
from csdm_cli.names import EvaluationSplit
from csdm_cli.networks.numerics import PLAIN
from csdm_cli.runs.evaluating import evaluator_for, images_of
from csdm_cli.runs.labels import teachers_again
from csdm_cli.runs.probes import probed, protocol_of_probes
from csdm_cli.runs.runtime import Runtime
from csdm_cli.settings import sections as config
from csdm_cli.storage import places
from csdm_cli.teachers.pool import TeacherPool


class ProbesAgain:
    """The backbone and the probes of a row, ready to measure it again.

    Raises:
        CsdmError: if the backbone cannot be had, or is another one.
    """

    def __init__(
        self, row: Row, params: config.Params, longtail: LongTail, runtime: Runtime, device: torch.device
    ) -> None:
        assert row.probe is not None
        self._row, self._settings, self._runtime, self._device = row, params.evaluate, runtime, device
        self._train = longtail.train().to(device)
        self._test = images_of(longtail, EvaluationSplit(row.data.tested_on)).to(device)
        self.pool = self._pool(row.probe.backbone)

    def teachers(self, own: Mapping[str, Any]) -> TeacherPool | None:
        """The backbone, if it is what the settings ``own`` of pretrain make: it then made the set as well."""
        assert self._row.probe is not None
        described = self._row.probe.backbone
        return self.pool if pretrain_section(described, described["spec"]) == own else None

    def control(self, seed: int | None) -> Evaluation | None:
        """The row beside the set of that seed; None if the row is of a set itself."""
        row = self._row
        if row.is_full_data:
            return self._named(evaluate_full(self._train, self._evaluator()))
        selection = Selection(row.ipc or 1, 1, seed or 0)
        if row.method == ControlName.centroid:
            return self._named(evaluate_centroid(self._train, selection, self._evaluator()))
        if row.inherits and row.method == ControlName.random:
            return self._inherited(selection)
        return None

    def _inherited(self, selection: Selection) -> Evaluation:
        assert self._row.probe is not None and self._row.probe.inherited is not None
        giver = probed(self._pool(self._row.probe.inherited.giver), self._settings, self._device)
        images = drawn(self._train, selection, self._settings.students)
        return inherited(Inheritance(giver, self._probed()), images, self._row.data.counts, self._test)

    def _named(self, found: Mapping[ControlName, Evaluation]) -> Evaluation:
        named = {str(name): evaluation for name, evaluation in found.items()}
        if self._row.method not in named:
            raise CsdmError(f"{self._row.name}: no control is called {self._row.method!r}")
        return named[self._row.method]

    def _evaluator(self) -> Evaluator:
        own = self._settings
        protocol = protocol_of_probes(own, 1, sum(self._row.data.counts))
        protocol = replace(protocol, steps=own.steps, full_steps=own.full_steps)
        return evaluator_for(self._test, self.pool.spec, protocol, PLAIN, self._runtime, self._probed())

    def _probed(self) -> Probed:
        return probed(self.pool, self._settings, self._device)

    def _pool(self, described: Mapping[str, Any]) -> TeacherPool:
        train: ImageSet = self._train
        return teachers_again(described, train, places.cache_dir(), self._device, quiet=self._runtime.quiet)
