"""Help on a narrow terminal, where boxes would cut the names of options short: plain text, wrapped."""

from __future__ import annotations

import shutil
from typing import Any

BOXES_FROM = 80  # columns; a test holds every name of an option to being whole from here on


def plain_if_narrow(command: Any) -> None:
    """Give ``command``, and the commands below it, help without boxes where there is no room for them."""
    columns = shutil.get_terminal_size().columns
    if columns < BOXES_FROM:
        command.context_settings["terminal_width"] = columns - 1
        _make_plain(command)


def _make_plain(command: Any) -> None:
    command.rich_markup_mode = None
    for part in (command, *command.params):
        for name in ("help", "epilog"):
            if text := getattr(part, name, None):
                setattr(part, name, _without_markup(text))
    for below in getattr(command, "commands", {}).values():
        _make_plain(below)


def _without_markup(text: str) -> str:
    from rich.markup import render

    return render(text).plain
