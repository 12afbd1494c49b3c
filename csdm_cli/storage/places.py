"""The places of caches and of the tracking store: under the main repository root, wherever a command runs."""

from __future__ import annotations

import os
from pathlib import Path

from csdm_cli.errors import UsageError
from csdm_cli.safe_text import shown


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
        base = _expanded(chosen, "CSDM_CACHE")
    elif root := project_root():
        base = root / ".csdm"
    else:
        base = _expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "XDG_CACHE_HOME") / "csdm"
    return base.joinpath(*parts)


def from_home(text: str) -> Path:
    """The path ``text``, which may begin at a home folder, with ~.

    Raises:
        UsageError: if nobody has that home folder here.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise UsageError(f"{shown(text)} names a home folder that is not known here: write the whole path") from None


def _expanded(text: str, variable: str) -> Path:
    try:
        return Path(text).expanduser().resolve()
    except RuntimeError:
        raise UsageError(
            f"{variable}: {text} names a home folder that is not known here: set HOME or CSDM_CACHE"
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{variable}: {text} is no folder's name ({error})") from None


def tracking_uri() -> str:
    """``$MLFLOW_TRACKING_URI``, else an embedded database at one absolute place."""
    if chosen := os.environ.get("MLFLOW_TRACKING_URI"):
        return chosen
    return sqlite_uri((project_root() or cache_dir()) / "mlflow.db")


def sqlite_uri(path: Path) -> str:
    """The address of a database file.

    ``%`` and ``?`` in the name of a folder mean something else in an address, and MLflow takes the encoded form for
    the name of a folder to be made: there the path is told from the working directory on, which is mostly below it.
    """
    text = str(path)
    if "%" in text or "?" in text:
        text = os.path.relpath(path)
    return "sqlite:///" + text.replace("%", "%25").replace("?", "%3F")


def runs_dir() -> Path:
    """The folder of runs that are tracked in files: ``runs`` in the repository, else in the cache."""
    return (project_root() or cache_dir()) / "runs"
