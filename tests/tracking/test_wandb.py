"""Runs in Weights & Biases: what it is told, and, where it is installed, what it then holds."""

from __future__ import annotations

import json
import struct
import sys
from types import SimpleNamespace

import pytest

from csdm_cli.errors import CsdmError
from csdm_cli.names import Tracking
from csdm_cli.tracking.tracker import open_tracker
from tests.tracking.test_files import tell

pytestmark = pytest.mark.usefixtures("aloud")


class Config(dict):
    """Refuses another value for a name, as wandb's does, unless it is told otherwise."""

    def update(self, values, allow_val_change=False):
        changed = [name for name in values if name in self and self[name] != values[name]]
        assert allow_val_change or not changed, changed
        super().update(values)


class FakeRun:
    """A run that keeps what it is told."""

    def __init__(self, options, folder):
        self.options, self.dir, self.id = options, str(folder / "files"), "abc123"
        self.offline, self.url = True, None
        self.config, self.summary = Config(options["config"]), {}
        self.logged, self.artifacts, self.custom_steps, self.ended = [], [], [], None

    def define_metric(self, name, step_metric):
        self.custom_steps.append((name, step_metric))

    def log(self, values):
        self.logged.append(values)

    def log_artifact(self, artifact):
        self.artifacts.append((artifact.name, artifact.files))

    def finish(self, exit_code):
        self.ended = exit_code


class FakeArtifact:
    def __init__(self, name, type):
        self.name, self.files, self.add_dir = name, [], None

    def add_file(self, path):
        self.files.append(path)


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """The runs that a wandb of our own was asked to begin, in a repository."""
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    monkeypatch.delenv("WANDB_DIR", raising=False)
    runs = []

    def init(**options):
        runs.append(FakeRun(options, tmp_path / "runs" / "wandb" / f"offline-run-{len(runs)}"))
        return runs[-1]

    fake = SimpleNamespace(init=init, Settings=dict, Artifact=FakeArtifact, Table=lambda columns, data: (columns, data))
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return runs


def test_all_that_a_tracker_is_told_reaches_wandb(begun, tmp_path, capsys):
    with open_tracker(Tracking.wandb, "evaluate", name="evaluate csdm rbf", params={"a": 1}) as tracker:
        tell(tracker, tmp_path)
    (run,) = begun
    assert (run.options["project"], run.options["name"], run.options["job_type"]) == (
        *("csdm", "evaluate csdm rbf"),
        "evaluate",
    )
    assert run.options["dir"] == str(tmp_path / "runs") and run.custom_steps == [("*", "step")]
    config = run.config
    assert config["distill.kernel"] == "laplace" and config["distill.ipc"] == 2  # the first value stays, as a number
    assert config["method"] == "csdm" and config["input.test.fingerprint"] == "f" * 64
    assert config["input.test.images"] == 3 and config["input.model.key"] == "k"
    assert run.logged[0] == {"loss": 0.5, "loss/spectral": 0.25, "step": 7, "_timestamp": 1000.25}
    assert run.logged[1] == {"per_class": (["class", "accuracy"], [["a", 50.0], ["b", None]])}
    assert run.summary == {"accuracy": 61.5, "tail": 40.0}
    assert run.artifacts == [("grid.png-abc123", [str(tmp_path / "grid.png")])] and run.ended == 0
    assert capsys.readouterr().err == f"tracking: {tmp_path / 'runs' / 'wandb' / 'offline-run-0'}\n"


def test_runs_within_a_run_are_a_group_and_say_how_they_ended(begun):
    with open_tracker(Tracking.wandb, "compare") as parent, pytest.raises(KeyboardInterrupt):  # noqa: SIM117
        with open_tracker(Tracking.wandb, "distill", parent=parent.run_id):
            raise KeyboardInterrupt
    assert begun[1].options["group"] == "offline-run-0" and begun[0].options["group"] is None
    assert (begun[0].ended, begun[1].ended) == (0, 255)


def test_a_wandb_that_fails_later_ends_no_run(begun, monkeypatch, capsys):
    monkeypatch.setattr(FakeRun, "log", lambda self, values: 1 / 0)
    with open_tracker(Tracking.wandb, "distill", quiet=True) as tracker:
        tracker.metric("loss", 1.0)
        tracker.metric("loss", 2.0)
    assert capsys.readouterr().err.count("tracking stopped") == 1 and begun[0].ended == 0


def test_without_wandb_one_line_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with (
        pytest.raises(CsdmError, match=r"run pip install 'csdm-cli\[wandb\]'"),
        open_tracker(Tracking.wandb, "distill"),
    ):
        pass


def test_a_wandb_that_does_not_know_us_is_one_line(begun, monkeypatch):
    def refuse(**options):
        raise RuntimeError("No API key configured.\nUse `wandb login`")

    monkeypatch.setattr(sys.modules["wandb"], "init", refuse)
    with pytest.raises(CsdmError, match=r"No API key configured\.\): run wandb login, or set WANDB_MODE=offline"):  # noqa: SIM117
        with open_tracker(Tracking.wandb, "distill"):
            pass


def records(path):
    """The records that wandb wrote to a file of a run: a log of LevelDB's format, whose records are protobuf."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, whole = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(whole)
            whole = b""


def test_an_offline_run_of_the_real_wandb_holds_it_all(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("WANDB_DIR", raising=False)
    with open_tracker(Tracking.wandb, "evaluate", name="evaluate csdm rbf", params={"a": 1}) as tracker:
        tell(tracker, tmp_path)
    wandb.teardown()  # its process writes the rest
    (file,) = (tmp_path / "runs" / "wandb").glob("offline-run-*/run-*.wandb")
    assert tracker.run_id == str(file.parent)
    found = list(records(file))
    (run,) = [one.run for one in found if one.WhichOneof("record_type") == "run"]
    assert (run.project, run.display_name, run.job_type) == ("csdm", "evaluate csdm rbf", "evaluate")
    logged = [
        {(item.key or ".".join(item.nested_key)): json.loads(item.value_json) for item in one.history.item}
        for one in found
        if one.WhichOneof("record_type") == "history"
    ]
    assert logged[0]["loss"] == 0.5 and logged[0]["step"] == 7 and logged[0]["_timestamp"] == 1000.25
    told = [item for one in found if one.WhichOneof("record_type") == "config" for item in one.config.update]
    assert any((item.key or item.nested_key[0], item.value_json) == ("distill.kernel", '"laplace"') for item in told)
    summary = [item for one in found if one.WhichOneof("record_type") == "summary" for item in one.summary.update]
    assert ("accuracy", "61.5") in [(item.key or item.nested_key[0], item.value_json) for item in summary]
    (ended,) = [one.exit for one in found if one.WhichOneof("record_type") == "exit"]
    assert ended.exit_code == 0
