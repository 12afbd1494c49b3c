"""Help that fits the terminal: paragraphs fill its width, and on a narrow one there are no boxes.

Boxes would cut the names of options short there; plain text is wrapped.
"""

from __future__ import annotations

import inspect
import shutil
from typing import Any

BOXES_FROM = 80  # columns; a test holds every name of an option to being whole from here on


def fill_the_width(command: Any) -> None:
    """Make each paragraph of the help of ``command``, and of the commands below it, one line, for the width to wrap.

    In boxes and beside them Typer keeps the line breaks of a docstring, which are those of the source's own width.
    """
    if command.help:
        paragraphs = inspect.cleandoc(command.help).split("\n\n")
        command.help = "\n\n".join(" ".join(paragraph.split("\n")) for paragraph in paragraphs)
    for below in getattr(command, "commands", {}).values():
        fill_the_width(below)


def plain_if_narrow(command: Any) -> None:
    """Give ``command``, and the commands below it, help without boxes where there is no room for them."""
    columns = shutil.get_terminal_size().columns
    if columns < BOXES_FROM:
        command.context_settings["terminal_width"] = columns - 1
        _make_plain(command)


def _make_plain(command: Any) -> None:
    command.rich_markup_mode = None
    command.context_class = _with_narrow_columns(command.context_class)
    for part in (command, *command.params):
        for name in ("help", "epilog"):
            if text := getattr(part, name, None):
                setattr(part, name, _without_markup(text))
    if command.help:
        command.short_help = command.help.partition("\n\n")[0]  # whole in lists of commands, where help is cut short
    for below in getattr(command, "commands", {}).values():
        _make_plain(below)


def _with_narrow_columns(context: Any) -> Any:
    """``context`` whose help gives names a third of the width, and the longer ones a line of their own."""

    class Formatter(context.formatter_class):  # type: ignore[misc]
        def write_dl(self, rows: Any, col_max: int = 30, col_spacing: int = 2) -> None:
            super().write_dl(rows, min(col_max, self.width // 3), col_spacing)

    return type(context.__name__, (context,), {"formatter_class": Formatter})


def _without_markup(text: str) -> str:
    from rich.markup import render

    return render(text).plain
