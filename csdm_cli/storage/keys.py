"""Content keys: what a cached result depends on, as a short hash."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]


def content_key(value: Any) -> str:
    """16 hexadecimal digits that change when anything in ``value`` (JSON) changes."""
    text = json.dumps(value, sort_keys=True, allow_nan=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def source_hash(*rooms: str) -> str:
    """Hash of the package's source files in ``rooms`` (paths below csdm_cli; none: the whole package).

    A cached result carries the hash of the code that made it, so that a change of code makes it anew.
    """
    digest = hashlib.sha256()
    for room in rooms or ("",):
        place = PACKAGE / room
        assert place.exists(), f"{room} is no room of the package"
        for file in [place] if place.is_file() else sorted(place.rglob("*.py")):
            digest.update(file.relative_to(PACKAGE).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def module_hash(cls: type) -> str:
    """Hash of the package's file that defines ``cls``."""
    return source_hash(cls.__module__.partition(".")[2].replace(".", "/") + ".py")


@dataclass(frozen=True)
class Commit:
    """A commit, and whether tracked files differ from it."""

    commit: str
    dirty: bool


def revision() -> Commit | None:
    """The commit of the checkout that holds this package; None if it is installed otherwise, or git is missing."""
    if (commit := _git("rev-parse", "HEAD")) is None or _git("ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    return Commit(commit, dirty=bool(_git("status", "--porcelain", "--untracked-files=no", ".")))


def revision_of(folder: Path | None) -> Commit | None:
    """The commit of the checkout that ``folder`` is; None if it is none, or has no commit."""
    if folder is None or (commit := _git("rev-parse", "HEAD", folder=folder)) is None:
        return None
    return Commit(commit, dirty=bool(_git("status", "--porcelain", "--untracked-files=no", ".", folder=folder)))


def _git(*arguments: str, folder: Path | None = None) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder or PACKAGE), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
