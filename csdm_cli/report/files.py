"""The files of a report: where they go, that nothing else is replaced by them, and how they are written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from csdm_cli.display.report_page import render
from csdm_cli.report.content import gather, page_of
from csdm_cli.report.sheets import FOOTNOTE, HEADER, Sheet
from csdm_cli.storage import kinds, outputs

PAGES = (".html", ".htm")
MARKDOWN = kinds.containing("### ", f"| {HEADER[0]} |", FOOTNOTE, suffixes=(".md", ".markdown", ".txt"))
HTML = kinds.containing('<meta name="generator" content="csdm">', suffixes=PAGES)


@dataclass(frozen=True)
class Places:
    """The files to write.

    Attributes:
        markdown: the tables; None for none.
        html: everything, with pictures; None for none.
    """

    markdown: Path | None
    html: Path | None


def claim_places(folders: Sequence[Path], out: Path | None, *, html: bool) -> Places:
    """``out`` as the Markdown file, or as the page if it is named like one; with ``html`` a page as well.

    That page stands beside ``out``, else in the folder that holds all ``folders``.

    Raises:
        CsdmError: if something else is there.
    """
    if out and out.suffix.lower() in PAGES:
        found = Places(None, out)
    elif html:
        found = Places(out, out.with_suffix(".html") if out else _page_place(folders))
    else:
        found = Places(out, None)
    if found.markdown:
        outputs.claim_file(found.markdown, MARKDOWN)
    if found.html:
        outputs.claim_file(found.html, HTML)
    return found


def write_page(paths: Sequence[Path], place: Path) -> str:
    """Write what ``paths`` hold as one HTML page to ``place``; returns its title.

    Raises:
        CsdmError: if a path is missing, a file is damaged, nothing is there, or ``place`` cannot be written.
    """
    page = page_of(gather(paths))
    outputs.write_text(place, render(page), HTML)
    return page.title


def write_markdown(sheets: Sequence[Sheet], place: Path) -> None:
    """Write the tables one below the other to ``place``."""
    outputs.write_text(place, "\n".join(sheet.markdown() for sheet in sheets), MARKDOWN)


def _page_place(paths: Sequence[Path]) -> Path:
    """``report.html`` in the folder named, or in the one that holds all that are named."""
    folders = [path if path.is_dir() else path.parent for path in paths]
    if len(folders) == 1:
        return folders[0] / "report.html"
    return Path(os.path.commonpath([folder.resolve() for folder in folders])) / "report.html"
