import math
import signal
import subprocess
import sys
import time

import pytest
import typer

from csdm_cli.errors import CsdmError
from csdm_cli.names import Tracking
from csdm_cli.storage.keys import Commit
from csdm_cli.tracking import mlflow
from csdm_cli.tracking.mlflow import flatten, metric_name
from csdm_cli.tracking.tracker import NullTracker, RunStatus, open_tracker, shown_uri

pytestmark = pytest.mark.usefixtures("aloud")

RUN = """
from csdm_cli.names import Tracking
from csdm_cli.tracking.tracker import open_tracker
with open_tracker(Tracking.mlflow, "distill", quiet=True) as tracker:
    tracker.metric("loss", 1.0)
    {body}
"""


def start(store, body="pass"):
    """Another process that tracks a run in ``store``."""
    environment = {"MLFLOW_TRACKING_URI": f"sqlite:///{store}", "OMP_NUM_THREADS": "1"}
    script = RUN.format(body=body)
    return subprocess.Popen(
        [sys.executable, "-c", script],
        env={**mlflow.os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def client(ready_store, monkeypatch):
    """An MLflow client on an empty store, which is the one csdm tracks in."""
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "own")
    return MlflowClient(tracking_uri=ready_store)


def runs(client, query=""):
    experiment = client.get_experiment_by_name("own")
    return client.search_runs([experiment.experiment_id], query) if experiment else []


def test_two_processes_may_touch_a_new_store_at_once(tmp_path):
    from mlflow import MlflowClient

    store = tmp_path / "mlflow.db"
    for process in [start(store), start(store)]:
        errors = process.communicate(timeout=600)[1]
        assert (process.returncode, errors) == (0, "")  # and MLflow's own messages are kept off the terminal
    client = MlflowClient(tracking_uri=f"sqlite:///{store}")
    experiment = client.get_experiment_by_name("csdm")
    found = client.search_runs([experiment.experiment_id])
    assert [run.info.status for run in found] == ["FINISHED", "FINISHED"]
    assert experiment.artifact_location == (store.parent / "mlruns" / "csdm").as_uri()


def test_a_run_is_found_by_what_it_was_told(client, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(mlflow, "revision", lambda: Commit("abc123", dirty=True))
    (tmp_path / "grid.png").write_bytes(b"png")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.txt").write_text("a")
    settings = {"distill": {"ipc": 10, "networks": ["a", "b"], "n_max": None}}
    with open_tracker(Tracking.mlflow, "distill", params=settings, tags={"method": "csdm"}) as tracker:
        tracker.params({"distill": {"ipc": 11}, "late": 1})
        for step in range(2500):
            tracker.metrics({"loss": 1 / (step + 1), "acc@1": 0.5}, step)
        tracker.metric("nan", math.nan)
        tracker.dataset("digits", "f" * 64, "training")
        tracker.artifact(tmp_path / "grid.png")
        tracker.artifact(tmp_path / "folder")
        assert tracker.overhead_seconds > tracker.startup_seconds > 0
    (run,) = runs(client, "params.`distill.ipc` = '10' and tags.method = 'csdm' and metrics.loss < 0.1")
    assert run.info.run_id == tracker.run_id and run.info.status == "FINISHED"
    assert run.data.params == {
        "distill.ipc": "10",
        "distill.networks": '["a", "b"]',
        "distill.n_max": "None",
        "late": "1",
    }
    assert run.data.metrics["loss"] == 1 / 2500 and math.isnan(run.data.metrics["nan"])
    assert [point.step for point in client.get_metric_history(tracker.run_id, "loss")] == list(range(2500))
    assert run.data.metrics["acc_1"] == 0.5
    assert run.data.tags["command"] == "distill" and run.data.tags["fingerprint.training"] == "f" * 64
    assert run.data.tags["csdm.source"]
    assert (run.data.tags["csdm.commit"], run.data.tags["csdm.dirty"]) == ("abc123", "True")
    assert [(entry.dataset.name, entry.dataset.digest) for entry in run.inputs.dataset_inputs] == [("digits", "f" * 36)]
    assert {artifact.path for artifact in client.list_artifacts(tracker.run_id)} == {"grid.png", "a.txt"}
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == f"tracking: {shown_uri()}\n"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CsdmError("no"), "FAILED"),
        (RuntimeError("no"), "FAILED"),
        (KeyboardInterrupt(), "KILLED"),
        (SystemExit(143), "KILLED"),
        (SystemExit(1), "FAILED"),
        (typer.Exit(1), "FAILED"),
        (typer.Exit(0), "FINISHED"),
    ],
)
def test_how_a_run_ended_is_kept_with_its_last_numbers(client, error, status):
    with pytest.raises(type(error)), open_tracker(Tracking.mlflow, "distill", quiet=True) as tracker:
        tracker.metric("loss", 0.5, 3)
        raise error
    (run,) = runs(client)
    assert run.info.status == status and run.data.metrics == {"loss": 0.5}


def test_a_terminated_process_leaves_a_killed_run(ready_store):
    from mlflow import MlflowClient

    body = (
        "from csdm_cli.cli.failures import end_cleanly_on_signals; import time;"
        "end_cleanly_on_signals(); print(tracker.run_id, flush=True); time.sleep(60)"
    )
    process = start(ready_store.removeprefix("sqlite:///"), body)
    run_id = process.stdout.readline().strip()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=600)
    assert process.returncode == 143
    run = MlflowClient(tracking_uri=ready_store).get_run(run_id)
    assert run.info.status == "KILLED" and run.data.metrics == {"loss": 1.0}


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    """A DVC root with params.yaml; call it to enter a stage."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "params.yaml").write_text("distill: {ipc: 3}\n")
    monkeypatch.setenv("DVC_ROOT", str(root))

    def enter(stage, experiment=None):
        monkeypatch.setenv("DVC_STAGE", stage)
        if experiment:
            monkeypatch.setenv("DVC_EXP_NAME", experiment)
        with open_tracker(Tracking.mlflow, stage, quiet=True) as tracker:
            (run,) = runs(client_of(), f"attributes.run_id = '{tracker.run_id}'")
            parent = client_of().get_run(run.data.tags["mlflow.parentRunId"])
            assert parent.info.status == "RUNNING"
        return run, client_of().get_run(parent.info.run_id)

    def client_of():
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=mlflow.places.tracking_uri())

    enter.root = root
    return enter


def test_stages_of_a_pipeline_share_a_parent(client, pipeline):
    first, parent = pipeline("pretrain")
    second, again = pipeline("distill")
    assert parent.info.run_id == again.info.run_id and again.info.status == "FINISHED"
    assert parent.data.params == {"distill.ipc": "3"}
    assert (first.info.run_name, second.data.tags["dvc.stage"]) == ("pretrain", "distill")
    assert len(runs(client, f"tags.mlflow.parentRunId = '{parent.info.run_id}'")) == 2


def test_other_settings_and_other_experiments_have_other_parents(client, pipeline):
    _, plain = pipeline("distill")
    (pipeline.root / "params.yaml").write_text("# a comment changes nothing\ndistill: {ipc: 3}\n")
    _, commented = pipeline("distill")
    (pipeline.root / "params.yaml").write_text("distill: {ipc: 4}\n")
    _, changed = pipeline("distill")
    run, experiment = pipeline("distill", experiment="sad-bat")
    assert plain.info.run_id == commented.info.run_id
    assert len({parent.info.run_id for parent in (plain, changed, experiment)}) == 3
    assert run.data.tags["dvc.exp"] == "sad-bat" and experiment.info.run_name == "sad-bat"


def test_a_run_of_its_own_has_no_parent(client):
    with open_tracker(Tracking.mlflow, "distill", quiet=True):
        pass
    (run,) = runs(client)
    assert "mlflow.parentRunId" not in run.data.tags


def test_a_failing_store_warns_once_and_lets_the_run_go_on(client, monkeypatch, capsys):
    with open_tracker(Tracking.mlflow, "distill", quiet=True) as tracker:
        calls = []

        def locked(*arguments, **named):
            calls.append(arguments)
            raise OSError("database is locked")

        log_batch = tracker._client.log_batch
        monkeypatch.setattr(tracker._client, "log_batch", locked)
        tracker.params({"a": 1})
        for step in range(5000):
            tracker.metric("loss", 1.0, step)
        tracker.tags({"b": 1})
        assert len(calls) == 1  # nobody waits for it again and again
        monkeypatch.setattr(tracker._client, "log_batch", log_batch)
    assert capsys.readouterr().err == "warning: tracking stopped (database is locked); the run itself goes on\n"
    (run,) = runs(client)
    assert run.info.status == "FINISHED"  # the store came back at the end


def test_numbers_are_sent_while_a_run_lasts_with_the_time_of_their_measurement(client, monkeypatch):
    monkeypatch.setattr(mlflow, "FLUSH_SECONDS", 0.01)
    with open_tracker(Tracking.mlflow, "distill", quiet=True) as tracker:
        tracker.metric("loss", 1.0, 0, at=1000.5)
        tracker.metric("loss", 0.5, 1, at=1001.0)
        deadline = time.monotonic() + 60
        while not (found := client.get_metric_history(tracker.run_id, "loss")) and time.monotonic() < deadline:
            time.sleep(0.05)  # the run is at a long computation
    system = client.get_run(tracker.run_id).data.metrics
    assert [(point.step, point.value, point.timestamp) for point in found] == [(0, 1.0, 1000500), (1, 0.5, 1001000)]
    assert 0 < system["system/system_memory_usage_percentage"] <= 100
    assert "system/cpu_utilization_percentage" in system


def test_sending_takes_a_hundredth_of_a_runs_time_at_most(client, monkeypatch):
    with open_tracker(Tracking.mlflow, "distill", quiet=True) as tracker:
        pauses, clock = [], iter([0.0, 0.0, 0.0, 0.0, 2.0])  # the second batch takes two seconds
        own, real = mlflow.threading.get_ident(), mlflow.time.monotonic
        with monkeypatch.context() as patch:
            patch.setattr(tracker, "_closing", Closing(pauses, times=1))
            patch.setattr(mlflow, "system_monitors", list)
            monotonic = lambda: next(clock) if mlflow.threading.get_ident() == own else real()  # noqa: E731
            patch.setattr(mlflow.time, "monotonic", monotonic)
            tracker._send_now_and_then()
    assert pauses == [mlflow.FLUSH_SECONDS, 200.0]


class Closing:
    """An event that is set after ``times`` pauses."""

    def __init__(self, pauses, times):
        self.pauses, self.left = pauses, times

    def wait(self, pause):
        self.pauses.append(pause)
        self.left -= 1
        return self.left < 0

    def set(self):
        pass

    def is_set(self):
        return False


def test_a_store_that_cannot_be_opened_is_one_clear_line(tmp_path, monkeypatch):
    (tmp_path / "mlflow.db").write_text("this is no database " * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    with (
        pytest.raises(CsdmError, match="--tracking none") as caught,
        open_tracker(Tracking.mlflow, "distill", quiet=True),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_a_password_is_not_shown(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@host:5000/x")
    assert shown_uri() == "http://host:5000/x"


def test_without_mlflow_nothing_is_tracked_or_one_line_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with open_tracker(Tracking.none, "distill", params={"a": 1}, tags={"b": 2}) as tracker:
        tracker.metric("loss", 1.0)
        tracker.dataset("digits", "f", "training")
    assert isinstance(tracker, NullTracker) and tracker.run_id is None and tracker.overhead_seconds == 0
    with (
        pytest.raises(CsdmError, match="pip install mlflow"),
        open_tracker(Tracking.mlflow, "distill"),
    ):
        pass


def test_names_and_nesting():
    assert flatten({"a": {"b": {"c": 1}}, "d": (1, 2), "e": True}) == {"a.b.c": "1", "d": "[1, 2]", "e": "True"}
    assert metric_name("acc@1 [%]") == "acc_1 ___"
    assert [status.value for status in RunStatus] == ["FINISHED", "FAILED", "KILLED"]


def test_a_run_below_another_ends_by_itself(client, monkeypatch):
    """Also inside a pipeline, whose run is the parent's parent."""
    monkeypatch.setenv("DVC_STAGE", "compare")
    with open_tracker(Tracking.mlflow, "compare", quiet=True) as parent:
        with open_tracker(Tracking.mlflow, "compare", parent=parent.run_id, name="dm, seed 0", quiet=True) as child:
            pass
        assert client.get_run(child.run_id).info.status == "FINISHED"
        assert client.get_run(parent.run_id).info.status == "RUNNING"
    found = client.get_run(child.run_id)
    assert found.data.tags["mlflow.parentRunId"] == parent.run_id and found.info.run_name == "dm, seed 0"
    above = client.get_run(parent.run_id).data.tags["mlflow.parentRunId"]
    assert client.get_run(above).info.status == "FINISHED"
