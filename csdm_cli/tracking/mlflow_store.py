"""MLflow's embedded database: made whole or not at all, and refused at once where it cannot be used."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from csdm_cli.display.console import note
from csdm_cli.storage import places

LOCK_SECONDS = 120.0
BUSY_SECONDS = 20.0  # how long a writer may keep others waiting, as in MLflow itself
REST_SECONDS = 3.0  # a database that changes no more is not being made by anybody
OWN_TABLES = frozenset({"alembic_version", "experiments"})


def database_path(uri: str) -> Path | None:
    """The file that ``uri`` names, as MLflow reads it; None for a server, another database or one in memory."""
    if not uri.startswith("sqlite:///"):
        return None
    from sqlalchemy.engine import make_url

    name = make_url(uri).database
    return None if not name or name == ":memory:" or name.startswith("file:") else Path(name).absolute()


@contextmanager
def first_use_lock(path: Path | None) -> Iterator[None]:
    """One process at a time: two that make the tables, the experiment or a pipeline's run at once would collide.

    Raises:
        OSError: if the folder of ``path`` cannot be made or written.
        filelock.Timeout: if another process keeps it for two minutes.
    """
    from filelock import FileLock

    folder = path.parent if path else places.cache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass  # a lock would be tried for again and again where no file can be made
    with FileLock(folder / f"{path.name if path else 'mlflow.db'}.lock", timeout=LOCK_SECONDS):
        yield


def prepare(path: Path) -> None:
    """Make the database ``path`` if it is missing, or if whoever began to make it was killed. Call it under the lock.

    One that holds a run is never touched. What is replaced is kept beside it, as ``.unfinished``.

    Raises:
        sqlite3.Error, OSError: if the file is no database, is locked, or cannot be written.
    """
    if not path.exists() or not path.stat().st_size:
        _put_in_place(path)
        return
    _refuse_unusable(path)
    if not _begun(path) or (_came_to_its_end(path) and _opens_as_copy(path)):
        return
    _wait_for_rest(path)
    if not _opens_as_copy(path):
        note(f"{path} was left unfinished and holds no run: made anew")
        path.replace(path.with_name(f"{path.name}.unfinished"))
        _put_in_place(path)


def _put_in_place(path: Path) -> None:
    """Under another name until it is complete, so that a kill leaves nothing that looks like a database."""
    with _scratch(path, "new") as new:
        _open(new)
        new.replace(path)


def _opens_as_copy(path: Path) -> bool:
    """Tried with a copy, of a name of its own: MLflow keeps the connections to what it could not open."""
    with _scratch(path, "copy") as copy:
        shutil.copyfile(path, copy)
        try:
            _open(copy)
        except Exception:
            return False
        return True


@contextmanager
def _scratch(path: Path, ending: str) -> Iterator[Path]:
    """A name beside ``path`` that is free, and free again afterwards: under the lock it is nobody else's."""
    new = path.with_name(f"{path.name}.{ending}")
    names = [new, *(new.with_name(f"{new.name}-{suffix}") for suffix in ("journal", "wal", "shm"))]
    for name in names:
        name.unlink(missing_ok=True)
    try:
        yield new
    finally:
        for name in names:
            with suppress(OSError):
                name.unlink(missing_ok=True)


def _open(path: Path) -> None:
    """Let MLflow make or check its tables in ``path``, and let go of the file."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore(places.sqlite_uri(path), (path.parent / "mlruns").as_uri())
    store.engine.dispose()


def _refuse_unusable(path: Path) -> None:
    """Raises: sqlite3.Error where nothing can be written. MLflow would try for many minutes."""
    with closing(_connect(path, "rw")) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("PRAGMA schema_version")
        connection.rollback()


def _begun(path: Path) -> bool:
    """Whether this is MLflow's, complete or not, and holds no run yet."""
    with closing(_connect(path, "ro")) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables and not tables & OWN_TABLES:
            return False  # somebody else's
        return "runs" not in tables or connection.execute("SELECT 1 FROM runs LIMIT 1").fetchone() is None


def _came_to_its_end(path: Path) -> bool:
    """Whether this, MLflow's, has an experiment: the default one is what MLflow makes last, after all tables."""
    # There may be no such table yet.
    with closing(_connect(path, "ro")) as connection, suppress(sqlite3.OperationalError):
        return connection.execute("SELECT 1 FROM experiments LIMIT 1").fetchone() is not None
    return False


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True, timeout=BUSY_SECONDS)


def _wait_for_rest(path: Path) -> None:
    """MLflow's own server may be making it at this moment, and knows nothing of the lock."""
    for _ in range(int(LOCK_SECONDS / REST_SECONDS)):
        left = path.stat().st_mtime + REST_SECONDS - time.time()
        if not 0 < left <= REST_SECONDS:
            return
        time.sleep(left)
