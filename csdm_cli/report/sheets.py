"""The tables of accuracies in the folders that evaluate, cross-arch and compare wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired

from typing_extensions import TypedDict

from csdm_cli.artifacts.evaluation_rows import architecture_rows, evaluation_rows, gap_text, split_of
from csdm_cli.artifacts.stored_evaluation import is_of_a_replaced_set
from csdm_cli.display.markdown import markdown_table
from csdm_cli.display.scores import score_text
from csdm_cli.errors import CsdmError
from csdm_cli.runs.evaluating import COLUMNS, without_tests
from csdm_cli.safe_text import markdown, shown
from csdm_cli.storage.bounded import read_json, typed

METRICS = "metrics.json"
AGAIN = "run the command that wrote it again"
HEADER = ("trained on", *COLUMNS.values())
FOOTNOTE = "Accuracy in %, mean ± standard deviation over students, after the last step."


class Score(TypedDict):
    """Mean and spread of a score over students, in percent."""

    mean: float | None
    std: float | None
    students: NotRequired[int]


Scores = dict[str, Score | None]


@dataclass(frozen=True)
class Sheet:
    """A table of accuracies.

    Attributes:
        title: the folder, and what was tested.
        rows: scores by the row's name.
        footnote: remarks on this table alone.
    """

    title: str
    rows: dict[str, dict[str, Any]]
    footnote: str = ""

    @property
    def cells(self) -> list[tuple[str, ...]]:
        """The rows as text, below :data:`HEADER`."""
        return [(name, *(score_text(scores.get(column)) for column in COLUMNS)) for name, scores in self.rows.items()]

    def markdown(self) -> str:
        """As Markdown, below a heading."""
        footnote = FOOTNOTE + (f" {markdown(self.footnote)}" if self.footnote else "")
        return f"### {markdown(self.title)}\n\n{markdown_table(HEADER, self.cells)}\n\n{footnote}\n"


def sheets_in(folders: Sequence[Path]) -> list[Sheet]:
    """The tables in all ``folders``.

    Raises:
        CsdmError: if there are none, a folder is missing or its metrics are damaged.
    """
    sheets = [sheet for folder in folders for sheet in read_sheets(folder)]
    if not sheets:
        there = [place for folder in folders for place in sorted(folder.glob(f"*/{METRICS}"))]
        named = f", such as {shown(there[0].parent)}" if there else ""
        raise CsdmError(
            f"no results in {', '.join(map(str, folders))}: name folders that evaluate or cross-arch wrote{named}"
        )
    return sheets


def read_sheets(folder: Path) -> list[Sheet]:
    """The tables in a folder of evaluate, cross-arch or compare; none for another folder.

    Raises:
        CsdmError: if the folder is missing or its metrics are damaged.
    """
    if not folder.is_dir():
        raise CsdmError(f"there is no folder {folder}")
    path = folder / METRICS
    if not path.exists():
        return []
    try:
        found = read_json(path, AGAIN)
        if "accuracy" in found:
            sheets = [_evaluation(found, folder)]
        elif all("accuracy" in scores for scores in found.values()):
            sheets = [_architectures(found, folder)]
        else:
            sheets = [_comparison(f"{titled(folder)}: {name}", rows) for name, rows in found.items()]
        for sheet in sheets:
            for scores in sheet.rows.values():
                scores.update(typed({name: scores[name] for name in COLUMNS if name in scores}, Scores, path, AGAIN))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CsdmError(f"{path} is damaged: {AGAIN}") from error
    return sheets


def _evaluation(found: dict[str, Any], folder: Path) -> Sheet:
    rows = {row.name: row.scores for row in evaluation_rows(found)}
    footnotes = [text] if (text := gap_text(found)) else []
    footnotes += _without_tests(found, folder)
    footnotes += _of_another_set(folder)
    return Sheet(f"{titled(folder)}: students tested on the {found['split']} set", rows, " ".join(footnotes))


def _comparison(name: str, rows: dict[str, dict[str, Any]]) -> Sheet:
    tested = next((f", tested on the {split_of(scores)} set" for scores in rows.values()), "")
    return Sheet(f"{name}, over sets and students{tested}", rows)


def _without_tests(found: dict[str, Any], folder: Path) -> list[str]:
    """A sentence on the classes that no score speaks of."""
    names = typed(found.get("untested", []), list[str], folder / METRICS, AGAIN)
    return [without_tests(names)] if names else []


def _of_another_set(folder: Path) -> list[str]:
    """A sentence where the set that was measured is gone."""
    if not is_of_a_replaced_set(folder):
        return []
    return ["These students learnt from another set than lies beside this folder now."]


def _architectures(found: dict[str, Any], folder: Path) -> Sheet:
    rows = {row.name: row.scores for name, scores in found.items() for row in architecture_rows(name, scores)}
    footnotes = dict.fromkeys(line for scores in found.values() for line in _without_tests(scores, folder))
    split = next(map(split_of, found.values()))
    title = f"{titled(folder)}: other architectures, tested on the {split} set"
    return Sheet(title, rows, " ".join([*footnotes, *_of_another_set(folder)]))


def titled(folder: Path) -> str:
    """``folder`` as a title has it: as it was typed, but by its own name where that is a mere dot."""
    return folder.resolve().name if folder == Path() else str(folder)
