"""One process at a time makes a distilled set; whoever wants the same one waits and takes what is there then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from csdm_cli.display.console import note
from csdm_cli.storage import atomic, outputs, places
from csdm_cli.storage.keys import content_key
from csdm_cli.storage.kinds import Kind


@contextmanager
def turn(key: str, target: Path, *, quiet: bool = False) -> Iterator[bool]:
    """Hold the locks of the run ``key`` and of the file ``target``; yields whether another process had to be awaited.

    The locks lie in the cache, and a process that dies lets go of them.
    """
    folder = places.cache_dir("locks")
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted((f"{key}.lock", f"out-{content_key(str(target.resolve()))}.lock"))  # in one order: no circle
    waited = False
    with ExitStack() as held:
        for name in names:
            lock = FileLock(folder / name)
            try:
                held.enter_context(lock.acquire(timeout=0))
            except Timeout:
                note(f"another process is at this run or at {target.parent}: waiting for it", quiet=quiet)
                waited = True
                held.enter_context(lock.acquire())
        yield waited


def remember(key: str, target: Path) -> None:
    """Leave word of where the set of the run ``key`` is, for those who wait for it."""
    atomic.write_text(_word(key), str(target.resolve()))


def told(key: str) -> Path | None:
    """Where another process put the set of the run ``key``; None if none left word."""
    try:
        return Path(_word(key).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None


def copy_files(source: Path, target: Path, own: Mapping[str, Kind]) -> None:
    """Copy those of the files ``own`` that the folder ``source`` has to ``target``, in the order of their names there.

    Raises:
        CsdmError: if ``target`` cannot be written or holds something else.
    """
    for name, kind in own.items():
        if (source / name).is_file():
            outputs.write_bytes(target / name, (source / name).read_bytes(), kind)


def _word(key: str) -> Path:
    return places.cache_dir("locks", f"{key}.made")
