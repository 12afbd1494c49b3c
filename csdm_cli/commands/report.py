"""``csdm report``: the results of a pipeline as one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from rich.console import RenderableType

from csdm_cli.artifacts.file import FILE_NAME, Coded, load_distilled
from csdm_cli.display.console import emit, note
from csdm_cli.display.tables import figures_table
from csdm_cli.report.files import Places, claim_places, write_markdown, write_page
from csdm_cli.report.sheets import FOOTNOTE, HEADER, Sheet, sheets_in
from csdm_cli.runs.runtime import Runtime
from csdm_cli.safe_text import counted, markup, typed
from csdm_cli.storage import places as stores

SQLITE = "sqlite:///"


def run(runtime: Runtime, *, folders: list[Path], out: Path | None, html: bool = False) -> None:
    """Print the sheets found in ``folders`` and where everything is; write them to ``out`` as Markdown.

    With ``html``, or if ``out`` is named as a page, all that is found goes on a page too: to ``out`` or beside it,
    else into the folder that holds all ``folders``.
    """
    places = claim_places(folders, out, html=html)
    if places.html:
        page, title = places.html, write_page(folders, places.html)
        if not places.markdown:
            emit({"page": str(page), "title": title}, lambda: [markup(f"{page}: {title}")], as_json=runtime.json)
            note("open it in a browser; it needs nothing else", quiet=runtime.quiet)
            return
    sheets = sheets_in(folders)
    if places.markdown:
        write_markdown(sheets, places.markdown)
    value = {sheet.title: sheet.rows for sheet in sheets}
    emit(value, lambda: [part for sheet in sheets for part in _table(sheet)], as_json=runtime.json)
    note("\n".join(_where(folders, places)), quiet=runtime.quiet)


def _table(sheet: Sheet) -> list[RenderableType]:
    table = figures_table(HEADER[0], HEADER[1:])
    for number, cells in enumerate(sheet.cells):
        table.add_row(*cells, style="bold" if number == 0 else None)
    footnote = f"[dim]{FOOTNOTE}[/]" + (f"\n{markup(sheet.footnote)}" if sheet.footnote else "")
    return [f"[bold]{markup(sheet.title)}[/]", table, footnote + "\n"]


def _where(folders: Sequence[Path], written: Places) -> list[str]:
    """A line for each file that is worth opening next."""
    lines = []
    for folder in folders:
        if (folder / FILE_NAME).exists():
            distilled = load_distilled(folder / FILE_NAME)
            what = f"{counted(len(distilled.labels), 'image')} by {distilled.provenance.method}"
            if isinstance(distilled.decoding, Coded):
                what += f", from {distilled.decoding.made_of}"
            lines.append(f"distilled set  {folder / FILE_NAME} ({what}; csdm show {typed(folder)})")
        lines += [f"picture        {picture}" for picture in sorted(folder.glob("*.png"))]
    if written.markdown:
        lines.append(f"this page      {written.markdown}")
    if written.html:
        lines.append(f"with pictures  {written.html}, for a browser")
    store = stores.tracking_uri()
    if not store.startswith(SQLITE) or Path(unquote(store.removeprefix(SQLITE))).exists():
        lines.append(f"MLflow runs    mlflow ui --backend-store-uri {typed(store)}")
    return lines
