"""``csdm report``: the results of a pipeline as one page."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired

from rich.console import RenderableType
from typing_extensions import TypedDict

from csdm_cli.artifacts.file import FILE_NAME, load_distilled
from csdm_cli.display.console import emit, note
from csdm_cli.display.markdown import markdown_table
from csdm_cli.display.tables import figures_table
from csdm_cli.errors import CsdmError
from csdm_cli.evaluation.controls import ControlName
from csdm_cli.runs.evaluating import COLUMNS, without_tests
from csdm_cli.runs.runtime import Runtime
from csdm_cli.safe_text import counted, markdown, markup
from csdm_cli.storage import kinds, outputs, places
from csdm_cli.storage.bounded import read_json, typed

METRICS = "metrics.json"
AGAIN = "run the command that wrote it again"
ROWS = "trained on"
FOOTNOTE = "Accuracy in %, mean ± standard deviation over students, after the last step."
PAGE = kinds.containing("### ", f"| {ROWS} |", FOOTNOTE, suffixes=(".md", ".markdown", ".txt"))


class Score(TypedDict):
    """Mean and spread of a score over students, in percent."""

    mean: float | None
    std: float | None
    students: NotRequired[int]


Scores = dict[str, Score | None]


@dataclass(frozen=True)
class Sheet:
    """A table of accuracies: a title, and scores by row name."""

    title: str
    rows: dict[str, dict[str, Any]]
    footnote: str = ""


PAGES = (".html", ".htm")
HTML = kinds.containing('<meta name="generator" content="csdm">', suffixes=PAGES)


def run(runtime: Runtime, *, folders: list[Path], out: Path | None, html: bool = False) -> None:
    """Print the sheets found in ``folders`` and where everything is; write them to ``out`` as Markdown.

    With ``html``, or if ``out`` is named as a page, all that is found goes on a page too: to ``out`` or beside it,
    else into the folder that holds all ``folders``.
    """
    page: Path | None = None
    if out and out.suffix.lower() in PAGES:
        page, out = out, None
    elif html:
        page = out.with_suffix(".html") if out else _page_place(folders)
    if out:
        outputs.claim_file(out, PAGE)
    if page:
        outputs.claim_file(page, HTML)
        title = write_page(folders, page)
        if not out:
            emit({"page": str(page), "title": title}, lambda: [markup(f"{page}: {title}")], as_json=runtime.json)
            note("open it in a browser; it needs nothing else", quiet=runtime.quiet)
            return
    sheets = [sheet for folder in folders for sheet in read_sheets(folder)]
    if not sheets:
        raise CsdmError(f"no results in {', '.join(map(str, folders))}: name folders that evaluate or cross-arch wrote")
    if out:
        outputs.write_text(out, "\n".join(_markdown(sheet) for sheet in sheets), PAGE)
    value = {sheet.title: sheet.rows for sheet in sheets}
    emit(value, lambda: [part for sheet in sheets for part in _table(sheet)], as_json=runtime.json)
    note("\n".join(_places(folders, out, page)), quiet=runtime.quiet)


def write_page(paths: list[Path], place: Path) -> str:
    """Write what ``paths`` hold as one HTML page to ``place``; returns its title.

    Raises:
        CsdmError: if a path is missing, a file is damaged, nothing is there, or ``place`` cannot be written.
    """
    from csdm_cli.display.report_page import render
    from csdm_cli.report.content import gather, page_of

    page = page_of(gather(paths))
    outputs.write_text(place, render(page), HTML)
    return page.title


def _page_place(paths: list[Path]) -> Path:
    """``report.html`` in the folder named, or in the one that holds all that are named."""
    folders = [path if path.is_dir() else path.parent for path in paths]
    if len(folders) == 1:
        return folders[0] / "report.html"
    return Path(os.path.commonpath([folder.resolve() for folder in folders])) / "report.html"


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


def _table(sheet: Sheet) -> list[RenderableType]:
    table = figures_table(ROWS, list(COLUMNS.values()))
    for number, (name, scores) in enumerate(sheet.rows.items()):
        table.add_row(name, *(_cell(scores.get(column)) for column in COLUMNS), style="bold" if number == 0 else None)
    footnote = f"[dim]{FOOTNOTE}[/]" + (f"\n{markup(sheet.footnote)}" if sheet.footnote else "")
    return [f"[bold]{markup(sheet.title)}[/]", table, footnote + "\n"]


def _markdown(sheet: Sheet) -> str:
    rows = [(name, *(_cell(scores.get(column)) for column in COLUMNS)) for name, scores in sheet.rows.items()]
    table = markdown_table((ROWS, *COLUMNS.values()), rows)
    footnote = FOOTNOTE + (f" {markdown(sheet.footnote)}" if sheet.footnote else "")
    return f"### {markdown(sheet.title)}\n\n{table}\n\n{footnote}\n"


def _cell(score: Mapping[str, Any] | None) -> str:
    if score is None or score["mean"] is None:
        return "–"
    spread = "" if score["std"] is None else f" ± {score['std']:.1f}"
    return f"{score['mean']:.1f}{spread}"


def _places(folders: list[Path], out: Path | None, page: Path | None) -> list[str]:
    lines = []
    for folder in folders:
        if (folder / FILE_NAME).exists():
            distilled = load_distilled(folder / FILE_NAME)
            count, method = len(distilled.labels), distilled.provenance.method
            lines.append(
                f"distilled set  {folder / FILE_NAME} ({counted(count, 'image')} by {method}; csdm show {folder})"
            )
        lines += [f"picture        {picture}" for picture in sorted(folder.glob("*.png"))]
    if out:
        lines.append(f"this page      {out}")
    if page:
        lines.append(f"with pictures  {page}, for a browser")
    lines.append(f"MLflow runs    mlflow ui --backend-store-uri {places.tracking_uri()}")
    return lines
