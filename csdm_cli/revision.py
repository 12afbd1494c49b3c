"""Which commit of the code is running."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from csdm_cli.keys import PACKAGE


@dataclass(frozen=True)
class Revision:
    """A commit, and whether tracked files differ from it."""

    commit: str
    dirty: bool


def revision() -> Revision | None:
    """The commit of the checkout that holds this package; None if it is installed otherwise, or git is missing."""
    if (commit := _git("rev-parse", "HEAD")) is None or _git("ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    return Revision(commit, dirty=bool(_git("status", "--porcelain", "--untracked-files=no", ".")))


def revision_of(folder: Path | None) -> Revision | None:
    """The commit of the checkout that ``folder`` is; None if it is none, or has no commit."""
    if folder is None or (commit := _git("rev-parse", "HEAD", folder=folder)) is None:
        return None
    return Revision(commit, dirty=bool(_git("status", "--porcelain", "--untracked-files=no", ".", folder=folder)))


def _git(*arguments: str, folder: Path | None = None) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder or PACKAGE), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
