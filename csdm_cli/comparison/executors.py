"""Where the cells of a comparison are computed: here one after another, or as the tasks of a cluster.

An executor decides when and where a cell is computed, never what comes out: a cell finds what is finished by its key.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import torch

from csdm_cli.display.console import note
from csdm_cli.names import ExecutorName
from csdm_cli.runs.runtime import Runtime

ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)


@dataclass(frozen=True, eq=False)
class Cell(Generic[ResultT]):
    """A piece of work that is done in one place.

    Attributes:
        title: its name, for whoever watches.
        work: makes it, with all that it needs and that is not there; it can be sent to another machine.
        needs: cells that make a part of that by themselves, for executors that have other places to do so.
        key: cells of equal keys make the same and are done once; None for one of its own.
    """

    title: str
    work: Callable[[], ResultT]
    needs: tuple[Cell[Any], ...] = ()
    key: Hashable = field(default=None)


class Pending(Protocol[ResultT_co]):
    """A cell that was handed in."""

    def result(self) -> ResultT_co:
        """Wait for the product of the cell; the error of its work is raised here."""


class Executor(Protocol):
    """A place for cells.

    Attributes:
        runtime: how a cell runs.
        device: where its networks compute.
    """

    runtime: Runtime
    device: torch.device

    def submit(self, cell: Cell[ResultT]) -> Pending[ResultT]:
        """Hand in a cell, whose result is asked for once all cells are handed in."""


@dataclass(frozen=True)
class Later(Generic[ResultT]):
    """A cell that is computed here when its result is asked for."""

    cell: Cell[ResultT]
    quiet: bool

    def result(self) -> ResultT:
        """Do the work."""
        note(self.cell.title, quiet=self.quiet)
        return self.cell.work()


class Serial:
    """One cell after another in this process, in the order in which results are asked for."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.device = runtime.apply()

    def submit(self, cell: Cell[ResultT]) -> Later[ResultT]:
        """Leave the cell for later; its work makes what it needs."""
        return Later(cell, self.runtime.quiet)


def open_executor(name: ExecutorName, runtime: Runtime) -> AbstractContextManager[Executor]:
    """The executor called ``name``; what is unfinished at the end of the block is given up.

    Raises:
        CsdmError: if it is not installed, or there is no cluster.
    """
    if name is ExecutorName.ray:
        from csdm_cli.comparison.ray_cluster import ray_cluster

        return ray_cluster(runtime)
    return _serial(runtime)


@contextmanager
def _serial(runtime: Runtime) -> Iterator[Executor]:
    yield Serial(runtime)
