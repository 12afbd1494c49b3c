"""The store is whole or not there, whoever was killed while making it; what cannot be used is refused at once."""

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from csdm_cli.cli.failures import end_cleanly_on_signals
from csdm_cli.errors import CsdmError
from csdm_cli.names import Tracking
from csdm_cli.storage import places
from csdm_cli.tracking import mlflow, mlflow_store
from csdm_cli.tracking.process import Process
from csdm_cli.tracking.tracker import open_tracker

pytestmark = pytest.mark.usefixtures("aloud")

TRACK = "from csdm_cli.cli.app import main; main()"


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Where csdm tracks in this test; nothing is there yet."""
    path = tmp_path / "store" / "mlflow.db"
    path.parent.mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
    return path


@pytest.fixture
def client(store, made_store):
    """A client of a complete store."""
    from mlflow import MlflowClient

    shutil.copy(made_store, store)
    return MlflowClient(tracking_uri=f"sqlite:///{store}")


def track(status="FINISHED"):
    """Track a run, and look at it."""
    from mlflow import MlflowClient

    with open_tracker(Tracking.mlflow, "distill", quiet=True) as tracker:
        tracker.metric("loss", 1.0)
    run = MlflowClient(tracking_uri=places.tracking_uri()).get_run(tracker.run_id)
    assert run.info.status == status and run.data.metrics == {"loss": 1.0}
    return run


def refused(*fragments):
    with pytest.raises(CsdmError) as caught, open_tracker(Tracking.mlflow, "distill", quiet=True):
        pass
    text = str(caught.value)
    assert "\n" not in text and all(fragment in text for fragment in fragments), text


def tables(path):
    with sqlite3.connect(path) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), SystemExit(143), sqlite3.OperationalError("disk is full")])
def test_a_store_that_was_not_finished_has_no_name(store, monkeypatch, ending):
    def cut_off(path):
        path.write_bytes(b"SQLite format 3")
        raise ending

    monkeypatch.setattr(mlflow_store, "_open", cut_off)
    with pytest.raises(type(ending)):
        mlflow_store.prepare(store)
    assert list(store.parent.iterdir()) == []


def test_the_remains_of_a_killed_process_are_in_nobodys_way(store, made_store, monkeypatch):
    store.with_name("mlflow.db.new").write_bytes(b"half of a database")
    store.with_name("mlflow.db.new-journal").write_bytes(b"its journal")
    monkeypatch.setattr(mlflow_store, "_open", lambda path: shutil.copy(made_store, path))
    mlflow_store.prepare(store)
    assert [path.name for path in store.parent.iterdir()] == ["mlflow.db"]
    track()


def test_a_store_that_another_program_left_half_made_is_made_anew(store, made_store, capsys):
    shutil.copy(made_store, store)
    with sqlite3.connect(store) as connection:  # as a kill in the middle of MLflow's migrations leaves it
        connection.execute("DROP TABLE trace_info")
        connection.execute("CREATE TABLE _alembic_tmp_datasets (id INTEGER)")
        connection.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    os.utime(store, (1, 1))
    track()
    assert "_alembic_tmp_datasets" not in tables(store)
    assert "_alembic_tmp_datasets" in tables(store.with_name("mlflow.db.unfinished"))
    assert "left unfinished and holds no run: made anew" in capsys.readouterr().err


def test_only_a_store_that_may_be_in_the_making_is_waited_for(store, made_store, monkeypatch):
    """A new one that is whole is used at once; one without its last part has a moment to come to rest."""
    waited = []
    monkeypatch.setattr(mlflow_store.time, "sleep", waited.append)
    shutil.copyfile(made_store, store)
    mlflow_store.prepare(store)
    assert waited == []
    with sqlite3.connect(store) as connection:
        connection.execute("DELETE FROM experiments")
    mlflow_store.prepare(store)
    assert waited and all(0 < seconds <= mlflow_store.REST_SECONDS for seconds in waited)


def test_a_store_with_a_run_is_never_made_anew(client, store, monkeypatch):
    track()
    older = store.with_name("older.db")  # MLflow looks at the tables of a name once in a process
    shutil.copy(store, older)
    with sqlite3.connect(older) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    before = older.read_bytes()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{older}")
    refused("older MLflow", "backup", f"mlflow db upgrade sqlite:///{older}")
    assert older.read_bytes() == before and not older.with_name("older.db.unfinished").exists()


def test_a_database_of_somebody_else_keeps_its_tables(store):
    with sqlite3.connect(store) as connection:
        connection.execute("CREATE TABLE own (value)")
    assert not mlflow_store._begun(store)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")  # noqa: PTH112
@pytest.mark.parametrize("place", ["/proc/x.db", "/proc/self/x/y.db"])
def test_where_nothing_can_be_written_is_said_at_once(monkeypatch, place):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place}")
    monkeypatch.setattr(mlflow_store.time, "sleep", lambda seconds: pytest.fail("waited"))
    refused(place, "--tracking none")


def test_a_folder_may_have_any_name(tmp_path, made_store, monkeypatch):
    project = tmp_path / "sp ace ü 日%20#?" / "project"
    (project / ".git").mkdir(parents=True)
    shutil.copy(made_store, project / "mlflow.db")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(project)
    before = {path.name for path in tmp_path.iterdir()}
    run = track()
    assert mlflow_store.database_path(places.tracking_uri()) == project / "mlflow.db"
    assert {path.name for path in tmp_path.iterdir()} == before, "nothing beside the project"
    assert {path.name for path in project.iterdir()} <= {".git", "mlflow.db", "mlflow.db.lock", "mlruns"}
    with sqlite3.connect(project / "mlflow.db") as connection:
        assert connection.execute("SELECT run_uuid FROM runs").fetchall() == [(run.info.run_id,)]


def test_a_full_disk_is_one_line(client, store):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (store.stat().st_size // 2,) * 2)

    command = [sys.executable, "-c", TRACK, "make-lt", "digits", "--out", "lt", "--tracking", "mlflow"]
    done = subprocess.run(command, cwd=store.parent, capture_output=True, text=True, check=False, preexec_fn=limit)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if not line.startswith("settings: ")]
    assert len(errors) == 1 and errors[0].startswith("error: cannot open the tracking store"), done.stderr
    assert "Traceback" not in done.stderr and "sqlalche.me" not in done.stderr


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit), (signal.SIGHUP, SystemExit)]
)
def test_a_signal_waits_until_the_run_is_there_and_can_be_closed(client, monkeypatch, number, error):
    started, real = [], mlflow._experiment
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}

    def interrupted(own):
        os.kill(os.getpid(), number)
        started.append(True)
        return real(own)

    monkeypatch.setattr(mlflow, "_experiment", interrupted)
    try:
        end_cleanly_on_signals()
        with pytest.raises(error), open_tracker(Tracking.mlflow, "distill", quiet=True):
            pytest.fail("the block was entered")
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert started
    (run,) = client.search_runs([client.get_experiment_by_name("csdm").experiment_id])
    assert run.info.status == "KILLED"


def test_a_signal_while_a_run_is_closed_waits_too(client, monkeypatch):
    with (
        pytest.raises(KeyboardInterrupt),
        open_tracker(Tracking.mlflow, "distill", quiet=True) as tracker,
    ):
        real = tracker._client.set_terminated

        def interrupted(*arguments):
            os.kill(os.getpid(), signal.SIGINT)
            real(*arguments)

        monkeypatch.setattr(tracker._client, "set_terminated", interrupted)
    assert client.get_run(tracker.run_id).info.status == "FINISHED"


def test_the_next_command_closes_runs_whose_process_died(client):
    experiment = client.create_experiment("csdm")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    here = Process.current()
    owners = {
        "dead": Process(here.host, here.space, dead.pid, 1),
        "number taken by another": Process(here.host, here.space, here.pid, here.started + 1),
        "before the last boot": Process(here.host, "other+" + here.space.partition("+")[2], 1, 1),
        "alive": here,
        "other host": Process("elsewhere", here.space, dead.pid, 1),
        "other container": Process(here.host, here.space + "1", dead.pid, 1),
    }
    runs = {name: client.create_run(experiment, tags=owner.tags).info.run_id for name, owner in owners.items()}
    runs["without a tag"] = client.create_run(experiment).info.run_id
    runs["ended"] = client.create_run(experiment, tags=owners["dead"].tags).info.run_id
    client.set_terminated(runs["ended"], "FAILED")
    track()
    found = {name: client.get_run(run).info.status for name, run in runs.items()}
    killed = ("dead", "number taken by another", "before the last boot")
    assert found == {name: "KILLED" if name in killed else "RUNNING" for name in runs} | {"ended": "FAILED"}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("delay", [0.0, 0.4, 1.0, 2.0, 3.0])
def test_a_kill_while_the_store_is_made_is_made_good_by_the_next_command(store, number, delay):
    command = [sys.executable, "-c", TRACK, "make-lt", "digits", "--imbalance", "10", "--n-max", "20", "--out", "lt"]
    environment = {**os.environ, "CSDM_TRACKING": "mlflow"}
    first = subprocess.Popen(command, cwd=store.parent, env=environment, stderr=subprocess.DEVNULL)
    while not store.with_name("mlflow.db.new").exists() and first.poll() is None:
        time.sleep(0.01)
    time.sleep(delay)
    first.send_signal(number)
    first.wait()
    done = subprocess.run(command, cwd=store.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "warning" not in done.stderr, done.stderr
    with sqlite3.connect(store) as connection:
        states = [state for (state,) in connection.execute("SELECT status FROM runs ORDER BY start_time")]
    assert states[-1] == "FINISHED" and "RUNNING" not in states
