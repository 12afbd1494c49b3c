"""The students' results: one run per student, and the summary of several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from csdm_cli.evaluation.scores import ClassGroups, MeanStd, Scores, summarise


@dataclass(frozen=True)
class StudentRun:
    """One student's tests.

    Attributes:
        number: number of the student, from 0.
        confusion: (C, C) test images by true and predicted class, after the last step.
        curve: (step, accuracy) at every test; the last is the result, the others are for curiosity.
    """

    number: int
    confusion: tuple[tuple[int, ...], ...]
    curve: tuple[tuple[int, float], ...]

    @property
    def best_on_test(self) -> float:
        """The highest accuracy of the curve: what choosing the step on the test set would have claimed."""
        return max(accuracy for _, accuracy in self.curve)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> StudentRun:
        """The inverse of ``asdict``, also after JSON."""
        confusion = tuple(tuple(int(n) for n in row) for row in value["confusion"])
        return cls(int(value["number"]), confusion, tuple((int(s), float(a)) for s, a in value["curve"]))


@dataclass(frozen=True)
class Evaluation:
    """The students' results on one set.

    Attributes:
        key: hash of everything they depend on.
        students: one run per student.
        groups: head, medium and tail classes of the long-tailed training set.
    """

    key: str
    students: tuple[StudentRun, ...]
    groups: ClassGroups

    @property
    def scores(self) -> tuple[Scores, ...]:
        """Scores of each student, after the last step."""
        return tuple(Scores.of(run.confusion, self.groups) for run in self.students)

    @property
    def confusion(self) -> tuple[tuple[int, ...], ...]:
        """Confusion matrix (C, C) summed over the students."""
        rows = zip(*(run.confusion for run in self.students), strict=True)
        return tuple(tuple(sum(column) for column in zip(*row, strict=True)) for row in rows)

    @property
    def per_class(self) -> tuple[MeanStd | None, ...]:
        """Accuracy of each class; None without test images."""
        return tuple(summarise(values) for values in zip(*(score.per_class for score in self.scores), strict=True))

    def metrics(self) -> dict[str, MeanStd]:
        """Mean and spread over the students: accuracy, head, medium, tail, worst_class, best_on_test.

        A group that has no class or no test image is left out.
        """
        scores = self.scores
        found = {
            name: summarise(getattr(score, name) for score in scores)
            for name in ("accuracy", "head", "medium", "tail", "worst_class")
        }
        found["best_on_test"] = summarise(run.best_on_test for run in self.students)
        return {name: summary for name, summary in found.items() if summary is not None}

    @property
    def accuracy(self) -> MeanStd:
        """The headline: accuracy after the last step."""
        return self.metrics()["accuracy"]

    def as_dict(self) -> dict[str, Any]:
        """JSON values: metrics, per class, confusion matrix and every student."""
        return {
            "key": self.key,
            "metrics": {name: asdict(summary) for name, summary in self.metrics().items()},
            "per_class": [summary and asdict(summary) for summary in self.per_class],
            "confusion": self.confusion,
            "groups": asdict(self.groups),
            "students": [asdict(run) for run in self.students],
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any], groups: ClassGroups) -> Evaluation:
        """The inverse of :meth:`as_dict`, also after JSON; ``groups`` are those of the training set's classes."""
        return cls(str(value["key"]), tuple(StudentRun.from_dict(run) for run in value["students"]), groups)
