"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from csdm_cli.errors import CsdmError

try:
    import fcntl
except ImportError:  # not on Windows: there the remains of a killed run stay
    fcntl = None  # type: ignore[assignment]

REMOVALS = 3  # of a folder that another process adds to meanwhile


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to a temporary name beside ``path``, flush it to disk and move it into place.

    Raises:
        CsdmError: if the folder cannot be written or the disk is full; ``path`` is then untouched.
    """
    temporary: Path | None = None
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _tidy(path)
        try:
            handle, temporary = _own_file(path)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                temporary.chmod(0o666 & ~_umask())
                temporary.replace(path)
            _sync_folder(path.parent)
        finally:
            if temporary is not None:
                temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """:func:`write_bytes` for UTF-8 text."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """:func:`write_bytes` for JSON: sorted keys, so equal values give equal bytes. NaN is refused."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_csv(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """:func:`write_bytes` for a table, column by column."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    write_text(path, buffer.getvalue())


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder that replaces ``path`` when the block ends without an error.

    An older folder is moved aside for the moment of the replacement. A run killed in that very moment leaves it
    there; the next write to ``path`` puts it back before anything else.

    Raises:
        CsdmError: if the folder cannot be made or put in place; ``path`` is then untouched.
    """
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _tidy(path)
        claim, temporary = _own_folder(path)
    try:
        with _told(path):
            temporary.chmod(0o777 & ~_umask())
        yield temporary
        with _told(path):
            _put_in_place(temporary, path)
    except CsdmError as error:
        if str(temporary) not in str(error):
            raise
        raise CsdmError(str(error).replace(str(temporary), str(path))) from error  # the name its user knows
    finally:
        if claim is not None:
            os.close(claim)
        shutil.rmtree(temporary, ignore_errors=True)


def refuse_unwritable(folder: Path, option: str = "--out") -> None:
    """Raise CsdmError now, not after hours of work, if ``folder`` could not be made or written.

    An empty folder is made for a moment where it would go, for the rights alone do not tell of /proc or a disk that
    is mounted read-only.
    """
    place = folder.absolute()
    try:
        while not place.exists():
            place = place.parent
        if not place.is_dir():
            raise CsdmError(f"cannot write {folder}: {place} is a file; choose another {option}")
        if not os.access(place, os.W_OK | os.X_OK):
            raise CsdmError(f"cannot write {folder}: no permission to write in {place}; choose another {option}")
        tried = Path(tempfile.mkdtemp(prefix=".csdm.", suffix=".tmp", dir=place))
        with suppress(FileNotFoundError):  # gone with a folder that another process has just replaced
            tried.rmdir()
    except OSError as error:
        reason = error.strerror or error
        raise CsdmError(
            f"cannot write {folder}: {place} takes nothing new ({reason}); choose another {option}"
        ) from error


def _put_in_place(temporary: Path, path: Path) -> None:
    if not path.exists():
        temporary.replace(path)
    else:
        old = temporary.with_suffix(".old")
        path.replace(old)
        try:
            temporary.replace(path)
        except OSError:
            old.replace(path)
            raise
        _remove(old)
    _sync_folder(path.parent)


def _remove(folder: Path) -> None:
    """Remove a folder in which another process, that knows it by its former name, may just be making something."""
    for _ in range(REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


def _tidy(path: Path) -> None:
    """Clear away what killed writers of ``path`` left beside it; put back a folder that was being replaced."""
    remains = re.compile(rf"\.{re.escape(path.name)}\.[a-z0-9_]{{8}}\.(tmp|old)")
    for place in [entry for entry in path.parent.iterdir() if remains.fullmatch(entry.name)]:
        if place.suffix == ".old" and not path.exists():
            place.replace(path)
        else:
            _clear_away(place)


def _clear_away(place: Path) -> None:
    """Remove ``place`` unless its writer lives: it is ours meanwhile, so that one who has just made it sees it gone."""
    with suppress(OSError):
        handle = os.open(place, os.O_RDONLY)
        try:
            if _claim(handle):
                shutil.rmtree(place, ignore_errors=True) if place.is_dir() else place.unlink()
        finally:
            os.close(handle)


def _claim(handle: int, *, wait: bool = False) -> bool:
    """Mark a temporary file or folder as ours while we live; False if it is another's, or nobody can tell."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _own_file(path: Path) -> tuple[int, Path]:
    """An open temporary file beside ``path``, claimed; made anew where another process took it for abandoned before."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        _claim(handle, wait=True)
        if Path(name).exists():
            return handle, Path(name)
        os.close(handle)


def _own_folder(path: Path) -> tuple[int | None, Path]:
    """:func:`_own_file` for a folder; no handle where folders cannot be claimed."""
    while True:
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
        if fcntl is None:
            return None, temporary
        with suppress(FileNotFoundError):
            handle = os.open(temporary, os.O_RDONLY)
            _claim(handle, wait=True)
            if temporary.exists():
                return handle, temporary
            os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # not every file system lets a folder be flushed
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """The system's refusal, in words."""
    try:
        yield
    except OSError as error:
        hint = "; free some space and run again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        reason = f"{error.strerror or error}; nothing was changed there{hint}"
        raise CsdmError(f"cannot write {path}: {reason}") from error
