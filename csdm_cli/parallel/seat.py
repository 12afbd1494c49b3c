"""This process's place in a job that torchrun started: who speaks, who failed first, and who died.

Read from the environment alone, without torch. Processes of one job on one machine tell each other by small files
in torchrun's own temporary folder that they are there; one that left its file behind and is gone was killed.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from csdm_cli.display import console
from csdm_cli.errors import UsageError

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
# Commands whose work can be shared; the others run in one process.
SHARED_COMMANDS = frozenset({"pretrain", "distill", "evaluate", "cross-arch"})
STOPPED = 128 + signal.SIGTERM


@dataclass(frozen=True)
class Seat:
    """One process of a job.

    Attributes:
        rank: its number, from 0; rank 0 speaks for all and writes the results.
        world: how many processes there are, on all machines.
        local_rank: its number on its machine.
    """

    rank: int
    world: int
    local_rank: int


def seat() -> Seat | None:
    """This process's seat; None outside a job and in a job of one, which runs as without torchrun."""
    if not all(name in os.environ for name in VARIABLES):
        return None
    try:
        rank, world, local_rank = (int(os.environ[name]) for name in VARIABLES[:3])
    except ValueError:  # of somebody else's
        return None
    return Seat(rank, world, local_rank) if world > 1 else None


def processes() -> int:
    """The number of the job's processes, on all machines."""
    own = seat()
    return 1 if own is None else own.world


def leads() -> bool:
    """Whether this process speaks and writes: the only one, or the first of a job."""
    own = seat()
    return own is None or own.rank == 0


def refuse_to_share(command: str | None) -> None:
    """Raises: UsageError if ``command`` cannot be shared, and torchrun started several processes of it."""
    own = seat()
    if own is not None and command not in SHARED_COMMANDS:
        raise UsageError(
            f"csdm {command} runs in one process, and torchrun started {own.world}: run it without torchrun"
            f" (it shares the work of {', '.join(sorted(SHARED_COMMANDS))})"
        )


@contextmanager
def seated() -> Iterator[None]:
    """Run a command in its seat: all ranks but the first are silent, and a rank that was killed is told of.

    torchrun ends the others with SIGTERM when one dies; whoever of them is first to leave says which one it was.
    """
    own = seat()
    if own is None:
        yield
        return
    room = _room()
    with console.muted() if own.rank != 0 else nullcontext(), warnings.catch_warnings(), _signed_in(room, own):
        if own.rank != 0:
            warnings.simplefilter("ignore")  # rank 0 has the same
        try:
            yield
        except SystemExit as error:
            gone = _killed(room, own) if error.code == STOPPED else []
            if gone and first_to_fail():
                print(f"error: {_death_message(gone, own.world)}", file=sys.stderr, flush=True)
            raise


def first_to_fail() -> bool:
    """Whether this process is to tell of a failure: the only one, or the first of its machine to fail.

    All ranks of a job may find the same fault; one line about it is enough.
    """
    if seat() is None:
        return True
    room = _room()
    if room is None:
        return leads()
    try:
        (room / "csdm-failed").touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:
        return leads()
    return True


def _room() -> Path | None:
    """The temporary folder that torchrun gives this attempt on this machine; None if it gave none."""
    own = os.environ.get("TORCHELASTIC_ERROR_FILE")  # of this rank: ROOM/LOCAL_RANK/error.json
    room = Path(own).parent.parent if own else None
    return room if room is not None and room.is_dir() else None


@contextmanager
def _signed_in(room: Path | None, own: Seat) -> Iterator[None]:
    """Within the block a file in ``room`` tells that this rank is there."""
    if room is None:
        yield
        return
    mine = room / f"csdm-rank-{own.rank}"
    mine.write_text(str(os.getpid()))
    try:
        yield
    finally:
        mine.unlink(missing_ok=True)


def _killed(room: Path | None, own: Seat) -> list[int]:
    """Ranks of this machine that are gone and did not leave in order."""
    found = []
    for path in room.glob("csdm-rank-*") if room else ():
        rank = int(path.name.rpartition("-")[2])
        with suppress(OSError, ValueError):  # it leaves, in order, at this moment
            if rank != own.rank and not _alive(int(path.read_text())):
                found.append(rank)
    return sorted(found)


def _death_message(gone: list[int], world: int) -> str:
    who = f"ranks {', '.join(map(str, gone))}" if len(gone) > 1 else f"rank {gone[0]}"
    return f"{who} of {world} died, and the others stopped: the same command goes on from the last checkpoints"


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
