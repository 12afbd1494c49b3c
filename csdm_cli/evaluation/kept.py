"""Students' results in the cache: each is kept as soon as there is one, with its hash, and taken if it fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from csdm_cli.display.console import note
from csdm_cli.evaluation.results import StudentRun
from csdm_cli.storage import atomic, seal
from csdm_cli.storage.bounded import parsed_json

SEAL = "sha256"  # of a kept result, in its file


@dataclass(frozen=True)
class KeptRuns:
    """The kept results of one task's students.

    Attributes:
        folder: where they are; with none nothing is kept.
        readings: how many runs each student has.
        classes: how many there are in the images that they are tested on.
        images: how many these are.
        tested_after: the steps after which a student is tested.
    """

    folder: Path | None
    readings: int
    classes: int
    images: int
    tested_after: tuple[int, ...]

    def locks(self, numbers: Sequence[int]) -> list[Path]:
        """They keep other processes from training the same students meanwhile."""
        if self.folder is None:
            return []
        self.folder.mkdir(parents=True, exist_ok=True)
        return [self.folder / f"student-{number}.lock" for number in numbers]

    def read(self, numbers: Sequence[int]) -> dict[int, list[StudentRun]]:
        """The kept runs of the students called ``numbers``, without those that there are none of or damaged ones."""
        return {number: runs for number in numbers if (runs := self._read(number)) is not None}

    def write(self, number: int, runs: list[StudentRun]) -> None:
        """Keep a result."""
        if self.folder is not None:
            atomic.write_json(self._file(number), seal.sealed({"runs": [asdict(run) for run in runs]}, SEAL))

    def _read(self, number: int) -> list[StudentRun] | None:
        if self.folder is None:
            return None
        try:
            kept = parsed_json(self._file(number).read_bytes())
            if not seal.is_whole(kept, SEAL):
                raise ValueError("another hash")
            runs = [StudentRun.from_dict(value) for value in kept["runs"]]
            if len(runs) != self.readings or not all(self._fits(run, number) for run in runs):
                raise ValueError("another student or task")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            note(f"warning: {self._file(number)} is damaged; this student is trained again")
            self._file(number).unlink(missing_ok=True)
            return None
        return runs

    def _fits(self, run: StudentRun, number: int) -> bool:
        """Whether the run is one of student ``number`` in this task."""
        sizes = [len(run.confusion), *map(len, run.confusion)]
        return (
            run.number == number
            and sizes == [self.classes] * (self.classes + 1)
            and sum(map(sum, run.confusion)) == self.images
            and tuple(step for step, _ in run.curve) == self.tested_after
        )

    def _file(self, number: int) -> Path:
        assert self.folder is not None
        return self.folder / f"student-{number}.json"
