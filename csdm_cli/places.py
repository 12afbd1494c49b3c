"""Where caches and the tracking store live: under the main repository root, wherever a command runs."""

from __future__ import annotations

import os
from pathlib import Path

from csdm_cli.errors import CsdmError


def expanded(path: Path) -> Path:
    """``path`` with ``~`` as the user's home folder.

    Raises:
        CsdmError: the user has none: no HOME, and no entry among the machine's users.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        raise CsdmError(f"no home folder to find {path} in: set HOME, or CSDM_CACHE to a folder for caches") from None


def project_root() -> Path | None:
    """The repository that holds the working directory; None outside one.

    DVC runs experiments in copies under ``.dvc/tmp/exps`` that are deleted afterwards: their root is
    the repository they were copied from, so that caches and tracked runs survive.
    """
    here = Path.cwd().resolve()
    for folder in (here, *here.parents):
        if folder.name == "exps" and folder.parent.name == "tmp" and folder.parent.parent.name == ".dvc":
            return folder.parent.parent.parent
    for folder in (here, *here.parents):
        if (folder / ".dvc").is_dir() or (folder / ".git").exists():
            return folder
    return None


def cache_dir(*parts: str) -> Path:
    """A folder of the cache: ``$CSDM_CACHE``, else ``.csdm`` in the repository, else the user's cache.

    Raises:
        CsdmError: that would be in the home of a user who has none.
    """
    if chosen := os.environ.get("CSDM_CACHE"):
        base = expanded(Path(chosen)).resolve()
    elif root := project_root():
        base = root / ".csdm"
    else:
        base = expanded(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")).resolve() / "csdm"
    return base.joinpath(*parts)


def tracking_uri() -> str:
    """``$MLFLOW_TRACKING_URI``, else an embedded database at one absolute place."""
    if chosen := os.environ.get("MLFLOW_TRACKING_URI"):
        return chosen
    return f"sqlite:///{(project_root() or cache_dir()) / 'mlflow.db'}"
