"""The process that a tracked run belongs to, and whether that one is still alive."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

HOST, PROCESS = "csdm.host", "csdm.pid"


@dataclass(frozen=True)
class Process:
    """A process, told from a later one of the same number.

    Attributes:
        host: the machine's name.
        space: in which the number counts: the boot, and the container.
        pid: its number there.
        started: in ticks since the boot; 0 where nobody says.
    """

    host: str
    space: str
    pid: int
    started: int

    @classmethod
    def current(cls) -> Process:
        """The one that runs this."""
        return cls(socket.gethostname(), _space(), os.getpid(), _started(os.getpid()) or 0)

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> Process | None:
        """The inverse of :attr:`tags`; None for a run that carries none."""
        try:
            space, pid, started = tags[PROCESS].split("/")
            return cls(tags[HOST], space, int(pid), int(started))
        except (KeyError, ValueError):
            return None

    @property
    def tags(self) -> dict[str, str]:
        """The tags by which a run carries it."""
        return {HOST: self.host, PROCESS: f"{self.space}/{self.pid}/{self.started}"}

    def has_died(self) -> bool:
        """True only where this machine can tell: not for a process of another host or container."""
        here = _space()
        if self.host != socket.gethostname() or self.space.partition("+")[2] != here.partition("+")[2]:
            return False
        if self.space != here:
            return True  # the machine was started again since
        if not _exists(self.pid):
            return True
        found = _started(self.pid)
        return found is not None and self.started not in (0, found)


def _space() -> str:
    """BOOT+CONTAINER, as far as the system tells them."""
    boot, container = "", ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    with suppress(OSError):
        container = str(Path("/proc/self/ns/pid").stat().st_ino)
    return f"{boot}+{container}"


def _exists(pid: int) -> bool:
    if os.name == "nt":
        return True  # there the same call would end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return _state(pid) != "Z"  # a zombie does nothing more


def _stat(pid: int) -> list[str]:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def _state(pid: int) -> str:
    return _stat(pid)[0] if _stat(pid) else ""


def _started(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[19]) if len(fields) > 19 else None
