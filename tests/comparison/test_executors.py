"""The seam between a comparison and where it is computed."""

from __future__ import annotations

import builtins
import json
import pickle
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from csdm_cli.comparison.context import ComparisonContext
from csdm_cli.comparison.executors import Cell, Serial, open_executor
from csdm_cli.data.store import open_longtail
from csdm_cli.errors import CsdmError
from csdm_cli.names import ExecutorName
from csdm_cli.networks.numerics import PLAIN
from csdm_cli.runs.optimise import PLAINLY
from csdm_cli.runs.runtime import Device, Runtime
from csdm_cli.settings.sections import Compare, Params
from tests.command_world import names, run

ON_CPU = Runtime(device=Device.cpu, threads=1)
TINY = [*("compare", "--params", "params.yaml", "--data", "data", "--methods", "dm", "--ipc", "2", "--seeds", "2")]


def test_serial_does_a_cell_when_asked_and_leaves_its_needs_to_it():
    done: list[str] = []
    need = Cell("need", lambda: done.append("need"))
    with open_executor(ExecutorName.serial, ON_CPU) as executor:
        first = executor.submit(Cell("first", lambda: done.append("first") or 1, (need,)))
        second = executor.submit(Cell("second", lambda: done.append("second") or 2))
        assert done == []
        assert (second.result(), first.result(), done) == (2, 1, ["second", "first"])
    assert (executor.device, executor.runtime) == (torch.device("cpu"), ON_CPU)


def test_serial_raises_what_the_work_raises():
    def work():
        raise CsdmError("no space")

    with pytest.raises(CsdmError, match="no space"):
        Serial(ON_CPU).submit(Cell("cell", work)).result()


class Sent(Serial):
    """An executor that does needs by themselves and sends each cell through pickle, as a cluster would."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self.titles: list[str] = []
        self.keys: set[object] = set()

    def submit(self, cell):
        for need in cell.needs:
            self.submit(need)
        if cell.key is None or cell.key not in self.keys:
            self.keys.add(cell.key)
            self.titles.append(cell.title)
            made = pickle.loads(pickle.dumps(cell.work))()
            return super().submit(Cell(cell.title, lambda: pickle.loads(pickle.dumps(made))))
        return None


def test_cells_made_one_by_one_give_the_bytes_of_a_serial_run(workplace, monkeypatch):
    """Teachers once, then sets, then students; nothing but the place differs, and none of it reaches the files."""
    run(*TINY, "--out", "here")
    serial = Path("here/metrics.json").read_bytes()
    sets = {path.parent.name: path.read_bytes() for path in Path("artifacts").rglob("distilled.safetensors")}
    for kept in ("artifacts", "../cache"):
        Path(kept).rename(f"{kept}-serial")
    opened = []

    def through_pickle(name: ExecutorName, runtime: Runtime) -> object:
        opened.append((name, Sent(runtime)))
        return nullcontext(opened[-1][1])

    monkeypatch.setattr("csdm_cli.commands.compare.open_executor", through_pickle)
    run(*TINY, "--out", "there", "--executor", "ray")
    ((name, executor),) = opened
    assert name is ExecutorName.ray and Path("there/metrics.json").read_bytes() == serial
    assert {path.parent.name: path.read_bytes() for path in Path("artifacts").rglob("distilled.safetensors")} == sets
    made = [f"{row}: set {seed} of 2" for row in ("dm", "random", "tiled-random") for seed in (1, 2)]
    assert sorted(executor.titles) == sorted([*made, *(f"{title}, distilled" for title in made), "teachers", "full"])
    assert executor.titles.index("teachers") < executor.titles.index("dm: set 1 of 2, distilled")
    settings = [json.loads(Path(folder, "compare.json").read_text())["settings"] for folder in ("here", "there")]
    assert settings[0] == settings[1] and "executor" not in settings[0]


def test_the_context_takes_no_images_along(workplace):
    longtail = open_longtail(Path("data"))
    device = torch.device("cpu")
    context = ComparisonContext(Compare(), Params(), ON_CPU, PLAINLY, PLAIN, None, {}, None, longtail, device)
    found = context.test
    sent = pickle.dumps(context)
    assert len(sent) < found.images.nbytes
    assert torch.equal(pickle.loads(sent).test.images, found.images)


def test_without_ray_one_line_names_the_extra(workplace, monkeypatch):
    importing = builtins.__import__

    def without(name, *given, **more):
        if name == "ray":
            raise ImportError("No module named 'ray'")
        return importing(name, *given, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    names(run(*TINY, "--executor", "ray", expect=None), 2, "ray", "csdm-cli[cluster]")


def test_an_executor_that_is_not_there(workplace):
    names(run(*TINY, "--executor", "slurm", expect=None), 2, "--executor", "slurm", "serial", "ray")
    Path("params.yaml").write_text(Path("params.yaml").read_text() + "compare: {executor: slurm}\n")
    names(run(*TINY, expect=None), 2, "compare.executor", "slurm")
