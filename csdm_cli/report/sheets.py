"""The tables of accuracies in the folders that evaluate, cross-arch and compare wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired

from typing_extensions import TypedDict

from csdm_cli.display.markdown import markdown_table
from csdm_cli.errors import CsdmError
from csdm_cli.evaluation.controls import ControlName
from csdm_cli.runs.evaluating import COLUMNS, without_tests
from csdm_cli.safe_text import markdown
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
        return [(name, *(_cell(scores.get(column)) for column in COLUMNS)) for name, scores in self.rows.items()]

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
        raise CsdmError(f"no results in {', '.join(map(str, folders))}: name folders that evaluate or cross-arch wrote")
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
            sheets = [Sheet(f"{folder}: {name}, over sets and students", rows) for name, rows in found.items()]
        for sheet in sheets:
            for scores in sheet.rows.values():
                scores.update(typed({name: scores[name] for name in COLUMNS if name in scores}, Scores, path, AGAIN))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CsdmError(f"{path} is damaged: {AGAIN}") from error
    return sheets


def _evaluation(found: dict[str, Any], folder: Path) -> Sheet:
    own = {name: found[name] for name in COLUMNS if name in found}
    controls = found.get("controls", {})
    order = [name for name in ControlName if name in controls]
    rows = {f"{found['method']} ({found['labels']} labels)": own} | {str(name): controls[name] for name in order}
    footnotes = []
    if found.get("share_of_gap_closed") is not None:
        share, best = found["share_of_gap_closed"], found["best_full_control"]
        footnotes.append(f"Share of the gap closed between random and {best}: {share:.2f}.")
    footnotes += _without_tests(found, folder)
    return Sheet(f"{folder}: students tested on the {found['split']} set", rows, " ".join(footnotes))


def _without_tests(found: dict[str, Any], folder: Path) -> list[str]:
    """A sentence on the classes that no score speaks of."""
    names = typed(found.get("untested", []), list[str], folder / METRICS, AGAIN)
    return [without_tests(names)] if names else []


def _architectures(found: dict[str, Any], folder: Path) -> Sheet:
    rows: dict[str, dict[str, Any]] = {}
    for name, scores in found.items():
        rows[f"{name}: distilled"] = scores
        if "random" in scores:
            rows[f"{name}: random"] = scores["random"]
    footnote = " ".join(dict.fromkeys(line for scores in found.values() for line in _without_tests(scores, folder)))
    return Sheet(f"{folder}: other architectures", rows, footnote)


def _cell(score: Mapping[str, Any] | None) -> str:
    if score is None or score["mean"] is None:
        return "–"
    spread = "" if score["std"] is None else f" ± {score['std']:.1f}"
    return f"{score['mean']:.1f}{spread}"
