"""No command removes or overwrites what csdm did not write: all that a command leaves goes through here.

It does so twice. Before any work, the command claims the places it will write to, so that a foreign file, a folder in
the way, a name that does not fit or a place that cannot be written to is one line at once. And every file is asked
again in the moment it is replaced, for somebody may have put another there meanwhile. What counts as csdm's own is
told by :mod:`csdm_cli.storage.kinds`.

There are three sorts of output. A *file* has a name its user chose. *Files* of fixed names go into a folder that may
hold other things, which stay as they are. A *folder* is replaced as a whole, so that it must be absent, empty, or hold
nothing but an older output of the same command. Links to files are never followed or replaced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from csdm_cli.errors import CsdmError, UsageError
from csdm_cli.storage import atomic
from csdm_cli.storage.kinds import Kind


def claim_file(path: Path, kind: Kind, option: str = "--out") -> None:
    """Check that ``path`` can be written, and holds nothing or an older output of this ``kind``.

    Raises:
        UsageError: if the name ends in another way than such files do.
        CsdmError: if something else is there, or nothing can be written there.
    """
    if kind.suffixes and path.suffix.lower() not in kind.suffixes:
        raise UsageError(f"{option}: got {str(path)!r}, expected a name that ends in {' or '.join(kind.suffixes)}")
    atomic.refuse_unwritable(path.parent if path.exists() else path, option)
    refuse_foreign(path, kind, option)


def claim_files(folder: Path, own: Mapping[str, Kind], option: str = "--out") -> None:
    """Check that the files of :func:`write_bytes` and others can be written to ``folder``.

    Args:
        folder: where; it need not exist.
        own: the files' names and kinds.
        option: that names another folder.

    Raises:
        CsdmError: if a name is taken by something else, or ``folder`` cannot be written.
    """
    atomic.refuse_unwritable(folder, option)
    for name, kind in own.items():
        refuse_foreign(folder / name, kind, option)


def claim_folder(folder: Path, own: Mapping[str, Kind], option: str = "--out") -> None:
    """Check that :func:`replaced_folder` can replace ``folder``: absent, empty, or full of its own files alone.

    Args:
        folder: to be replaced.
        own: patterns of the names of its files, and their kinds.
        option: that names another folder.

    Raises:
        CsdmError: if it holds anything else, or cannot be written.
    """
    atomic.refuse_unwritable(folder, option)
    for place in sorted(folder.iterdir()) if folder.is_dir() else []:
        kind = next((kind for pattern, kind in own.items() if fnmatchcase(place.name, pattern)), None)
        if kind is None or not kind.wrote(place):
            raise CsdmError(_refusal(folder, place, option))


@contextmanager
def replaced_folder(folder: Path, own: Mapping[str, Kind], option: str = "--out") -> Iterator[Path]:
    """:func:`atomic.new_folder`, which replaces nothing but an older output; see :func:`claim_folder`."""
    claim_folder(folder, own, option)
    with atomic.new_folder(folder.resolve() if folder.is_symlink() else folder) as place:
        yield place
        claim_folder(folder, own, option)


def refuse_foreign(path: Path, kind: Kind, option: str = "--out") -> None:
    """Raise CsdmError if something is at ``path`` that csdm did not write as a file of this ``kind``."""
    if path.is_symlink() or (path.exists() and not kind.wrote(path)):
        raise CsdmError(_refusal(path.parent, path, option))


def write_bytes(path: Path, data: bytes, kind: Kind) -> None:
    """:func:`csdm_cli.storage.atomic.write_bytes`, which replaces nothing but an older output of this ``kind``.

    Raises:
        CsdmError: if something else is there, or ``path`` cannot be written.
    """
    refuse_foreign(path, kind)
    atomic.write_bytes(path, data)


def write_text(path: Path, text: str, kind: Kind) -> None:
    """:func:`write_bytes` for UTF-8 text."""
    write_bytes(path, text.encode(), kind)


def write_json(path: Path, value: Any, kind: Kind) -> None:
    """:func:`write_bytes` for JSON, in the form of :func:`csdm_cli.storage.atomic.write_json`."""
    refuse_foreign(path, kind)
    atomic.write_json(path, value)


def write_csv(path: Path, columns: Mapping[str, Sequence[Any]], kind: Kind) -> None:
    """:func:`write_bytes` for a table, column by column."""
    refuse_foreign(path, kind)
    atomic.write_csv(path, columns)


def _refusal(folder: Path, place: Path, option: str) -> str:
    what = "a link" if place.is_symlink() else "which csdm did not write, or can no longer tell that it did"
    return f"{folder} holds {place.name!r}, {what}: move it away, or choose another {option}"
