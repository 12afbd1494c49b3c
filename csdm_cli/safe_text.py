"""Text from a file, made fit for a screen, a shell, a picture, a file name, Markdown or rich's markup.

Names of classes, methods and data sets come from strangers' files. They may hold escape sequences, line breaks, NUL,
halves of surrogate pairs, marks that turn the writing direction, or the syntax of whatever they are put into. What
cannot be seen is written as an escape (``\\x1b``), so that it is seen and does nothing.
"""

from __future__ import annotations

import json
import re
import shlex
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

MOST_SHOWN = 500  # characters of one text
MOST_IN_PICTURE = 40
MOST_FILE_NAME = 100  # bytes; file systems take 255 with what is added to the name

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})  # Unicode categories
_JOINERS = frozenset("\u200c\u200d")  # invisible, but part of how Persian, Hindi and emoji are spelled
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)  # device names on Windows


def shown(text: object, most: int = MOST_SHOWN) -> str:
    """``text`` as one line for a person: what cannot be seen is escaped, and what is too long is cut with ``…``."""
    found = str(text)
    cut = found if len(found) <= most else found[: most - 1] + "…"
    return "".join(letter if _is_seen(letter) else _escaped(letter) for letter in cut)


def counted(count: int, noun: str, plural: str = "") -> str:
    """``1 image``, ``2,000 images``; ``plural`` where it is not ``noun`` with an s."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def meant(name: str, known: Iterable[str], most: int = 1) -> str:
    """The question whether one of ``known`` that looks like ``name``, in any case, was meant; empty if none does."""
    written = {one.lower(): one for one in known}
    close = [written[one] for one in get_close_matches(name.lower(), list(written), n=most)]
    return f"did you mean {' or '.join(close)}?" if close else ""


def typed(text: object) -> str:
    """``text``, such as a path with spaces, as one word of a command that is to be typed into a shell."""
    return shlex.quote(str(text))


def shown_lines(text: object) -> str:
    """``text`` of our own with line breaks, into which texts of others were put: all else unseen is escaped."""
    return "\n".join(shown(line, most=max(MOST_SHOWN, len(line))) for line in str(text).split("\n"))


def markup(text: object, most: int = MOST_SHOWN) -> str:
    """``text`` within a string that rich reads as markup: brackets are brackets."""
    from rich.markup import escape

    return escape(shown(text, most))


def markdown(text: object, most: int = MOST_SHOWN) -> str:
    """``text`` within a line or in a cell of Markdown: no heading, cell, emphasis, link, code or HTML begins."""
    escaped = re.sub(r"([\\|`*\[\]<>&~$])", r"\\\1", shown(text, most))
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\\g<0>", escaped)


def json_in_markdown(value: Any, indent: int | None = None) -> str:
    """``value`` as JSON, and as YAML, in which no fence of Markdown ends and no tag of HTML begins."""
    text = json.dumps(value, indent=indent, sort_keys=True)
    return re.sub("[`<>&]", lambda found: f"\\u{ord(found[0]):04x}", text)


def in_picture(text: object, most: int = MOST_IN_PICTURE) -> str:
    """``text`` as a label of matplotlib, which would read pairs of dollars as mathematics."""
    return shown(text, most).replace("$", r"\$")


def file_name(text: object) -> str:
    """The name of one file or folder, near to ``text``, that every usual file system takes and no shell minds."""
    letters = ("_" if letter in '/\\:*?"<>|' or not _is_seen(letter) else letter for letter in str(text))
    name = unicodedata.normalize("NFC", "".join(letters)).strip()
    name = name.encode("utf-8")[:MOST_FILE_NAME].decode("utf-8", errors="ignore").rstrip(". ")
    if name.startswith((".", "-", "~")):  # hidden, or taken for an option or a home folder
        name = "_" + name[1:]
    return f"{name}_" if not name or _RESERVED.fullmatch(name) else name


def _is_seen(letter: str) -> bool:
    return " " <= letter <= "~" or letter in _JOINERS or unicodedata.category(letter) not in _UNSEEN


def _escaped(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as Python keeps it in file names
        code -= 0xDC00
    if letter in _SHORT:
        return _SHORT[letter]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
