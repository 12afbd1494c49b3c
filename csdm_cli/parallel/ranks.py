"""The processes of a job that torchrun started, and what they tell each other.

Words go through torchrun's key-value store, and tensors through NCCL or gloo once both sides are ready: shares are
uneven, so nobody waits inside a collective, where no signal is heard. While a rank waits it listens for the others'
pulse. torchrun ends all processes when one on the same machine dies; a machine that vanishes is noticed by its pulse.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from csdm_cli.errors import CsdmError
from csdm_cli.parallel import seat as torchrun

# After this long without a pulse a rank counts as dead; it beats in a thread of its own, whatever the rank computes.
SILENCE_SECONDS = 120.0
PULSES = 24  # in that time
POLL_SECONDS = 0.02
# For meeting at the start, and for a transfer that both sides are ready for.
TIMEOUT = timedelta(minutes=5)
AGAIN = "run the same command again: it goes on from the last checkpoints"

ValueT = TypeVar("ValueT")


class Ranks:
    """This process among the ``world`` ranks of its job. All ranks call the same methods in the same order."""

    def __init__(self, rank: int, world: int, store: Store | None = None, silence: float = SILENCE_SECONDS) -> None:
        assert store is not None or world == 1
        self.rank, self.world = rank, world
        self._store, self._silence = store, silence
        self._calls = 0

    @property
    def leads(self) -> bool:
        """Whether this rank writes the results."""
        return self.rank == 0

    def agree(self, value: bool) -> bool:
        """The value that rank 0 passed: for decisions that ranks could take differently, and must not."""
        if self._store is None:
            return value
        topic = self._topic("agree")
        if self.leads:
            self._say(topic, str(int(value)))
            return value
        self._await([topic])
        return self._hear(topic) == "1"

    def gather(self, own: Tensor) -> list[Tensor] | None:
        """Every rank's tensor, by rank, at rank 0; None at the others. Shapes may differ, types may not.

        Raises:
            CsdmError: if one of them died, or cannot be reached.
        """
        if self._store is None:
            return [own]
        topic = self._topic("gather")
        self._say(f"{topic}/{self.rank}", json.dumps(own.shape))
        if not self.leads:
            self._await([f"{topic}/go"])
            if own.numel():
                _reached(lambda: dist.send(own.contiguous(), 0))
            return None
        self._await([f"{topic}/{rank}" for rank in range(self.world)])
        self._say(f"{topic}/go", "go")
        return [own, *(self._receive(own, json.loads(self._hear(f"{topic}/{r}")), r) for r in range(1, self.world))]

    def beat(self, ended: threading.Event) -> None:
        """Tell the others that this rank lives, until ``ended``."""
        count = 0
        while True:
            try:
                self._say(f"pulse/{self.rank}", str(count))
            except CsdmError:  # whoever waits for an answer will say so
                return
            count += 1
            if ended.wait(self._silence / PULSES):
                return

    def _receive(self, like: Tensor, shape: list[int], rank: int) -> Tensor:
        part = torch.empty(shape, dtype=like.dtype, device=like.device)
        if part.numel():
            _reached(lambda: dist.recv(part, rank))
        return part

    def _topic(self, name: str) -> str:
        self._calls += 1
        return f"{name}/{self._calls}"

    def _say(self, topic: str, words: str) -> None:
        assert self._store is not None
        store = self._store
        _reached(lambda: store.set(topic, words))

    def _hear(self, topic: str) -> str:
        assert self._store is not None
        store = self._store
        return bytes(_reached(lambda: store.get(topic))).decode()

    def _await(self, topics: list[str]) -> None:
        """Return once all ``topics`` were said; in pieces, so that signals are heard meanwhile."""
        assert self._store is not None
        store = self._store
        pulses = {rank: ("", time.monotonic()) for rank in range(self.world) if rank != self.rank}
        listened = time.monotonic()
        while not _reached(lambda: store.check(topics)):
            time.sleep(POLL_SECONDS)
            if time.monotonic() - listened > self._silence / 10:
                listened = time.monotonic()
                self._listen(pulses)

    def _listen(self, pulses: dict[int, tuple[str, float]]) -> None:
        """Raises: CsdmError if a rank's pulse has stood still for too long. Brings ``pulses`` up to date."""
        assert self._store is not None
        store = self._store
        for rank, (before, since) in pulses.items():
            topic = f"pulse/{rank}"
            now = self._hear(topic) if _reached(lambda: store.check([topic])) else ""  # noqa: B023  # called at once
            if now != before:
                pulses[rank] = now, time.monotonic()
            elif time.monotonic() - since > self._silence:
                raise CsdmError(f"rank {rank} of {self.world} has not been heard of for {self._silence:g} s; {AGAIN}")


ALONE = Ranks(0, 1)


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """This process's place among the ranks of its job; :data:`ALONE` where torchrun started no other.

    Raises:
        CsdmError: if the other ranks cannot be reached.
    """
    seat = torchrun.seat()
    if seat is None:
        yield ALONE
        return
    store, rank, world = _reached(lambda: next(rendezvous("env://", timeout=TIMEOUT)))
    backend = "nccl" if device.type == "cuda" else "gloo"
    with _hushed():
        _reached(lambda: dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=TIMEOUT))
    ranks = Ranks(rank, world, PrefixStore("csdm", store))
    ended = threading.Event()
    threading.Thread(target=ranks.beat, args=(ended,), name="pulse", daemon=True).start()
    try:
        yield ranks
    finally:
        ended.set()
        dist.destroy_process_group()


@contextmanager
def _hushed() -> Iterator[None]:
    """Within the block nothing reaches standard output: gloo tells there (torch 2.9) whom it is connected with."""
    sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:  # it is closed
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _reached(contact: Callable[[], ValueT]) -> ValueT:
    """The answer of ``contact``.

    Raises:
        CsdmError: if torch finds nobody at the other end.
    """
    try:
        return contact()
    except RuntimeError as error:  # also dist.DistError
        reason = str(error).strip().partition("\n")[0]
        raise CsdmError(f"lost contact with the other processes of this job ({reason}); {AGAIN}") from error
