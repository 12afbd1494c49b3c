"""Runs tracked in files: as CSV, and for TensorBoard where that is installed."""

import csv
import json
import sys

import pytest

from csdm_cli.errors import CsdmError
from csdm_cli.names import Tracking
from csdm_cli.storage import places
from csdm_cli.tracking.tracker import open_tracker

pytestmark = pytest.mark.usefixtures("aloud")


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Where runs are written."""
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    assert places.runs_dir() == tmp_path / "runs"
    return tmp_path / "runs"


def tell(tracker, tmp_path):
    """All that a tracker can be told."""
    (tmp_path / "grid.png").write_bytes(b"png")
    tracker.params({"distill": {"kernel": "laplace", "ipc": 2}})
    tracker.params({"distill": {"ipc": 3}})
    tracker.metrics({"loss": 0.5, "loss/spectral": 0.25}, 7, at=1000.25)
    tracker.headline({"accuracy": 61.5, "tail": 40.0}, made_by="abc")
    tracker.tags({"method": "csdm"})
    tracker.dataset("digits", "f" * 64, "test", {"images": 3})
    tracker.model("teachers", "k", {"width": 4})
    tracker.table("per_class", {"class": ["a", "b"], "accuracy": [50.0, None]})
    tracker.artifact(tmp_path / "grid.png")


def test_a_run_as_csv(runs, tmp_path, capsys):
    with open_tracker(Tracking.csv, "evaluate", name="evaluate csdm rbf ipc2/seed0", params={"a": 1}) as tracker:
        tell(tracker, tmp_path)
    (folder,) = runs.iterdir()
    assert folder.name.endswith("-evaluate-csdm-rbf-ipc2-seed0") and tracker.run_id == str(folder)
    about = json.loads((folder / "run.json").read_text())
    assert about["params"] == {"a": "1", "distill.kernel": "laplace", "distill.ipc": "2"}
    assert (about["status"], about["command"], about["tags"]) == ("FINISHED", "evaluate", {"method": "csdm"})
    assert {"name": "digits", "fingerprint": "f" * 64, "context": "test"} in about["inputs"]
    lines = list(csv.DictReader((folder / "metrics.csv").open()))
    assert lines[0] == {"time": "1000.250", "step": "7", "name": "loss", "value": "0.5"}
    assert {line["name"]: float(line["value"]) for line in lines[2:]} == {"accuracy": 61.5, "tail": 40.0}
    assert (folder / "per_class.csv").read_text() == "class,accuracy\na,50.0\nb,\n"
    assert (folder / "artifacts" / "grid.png").read_bytes() == b"png"
    assert capsys.readouterr().err == f"tracking: {folder}\n"


def test_runs_of_one_second_have_folders_of_their_own_and_say_how_they_ended(runs):
    with open_tracker(Tracking.csv, "distill", quiet=True), pytest.raises(CsdmError):  # noqa: SIM117
        with open_tracker(Tracking.csv, "distill", quiet=True):
            raise CsdmError("no")
    states = {json.loads((folder / "run.json").read_text())["status"] for folder in runs.iterdir()}
    assert len(list(runs.iterdir())) == 2 and states == {"FINISHED", "FAILED"}


def test_where_no_folder_can_be_made_is_one_line(runs):
    runs.write_text("a file")
    with pytest.raises(CsdmError, match="cannot track this run in"), open_tracker(Tracking.csv, "distill"):
        pass


def test_a_command_is_tracked_as_csv(csdm, runs):
    done = csdm("make-lt", "digits", "--imbalance", 10, "--n-max", 20, "--out", "lt", "--tracking", "csv")
    assert done.exit_code == 0, done.output
    (folder,) = runs.iterdir()
    found = {line["name"]: float(line["value"]) for line in csv.DictReader((folder / "metrics.csv").open())}
    assert (found["head"], found["tail"]) == (20, 2)


def test_without_tensorboard_one_line_says_what_to_do(runs, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(CsdmError, match=r"csdm-cli\[tensorboard\]"), open_tracker(Tracking.tensorboard, "distill"):
        pass


def test_a_run_for_tensorboard(runs, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with open_tracker(Tracking.tensorboard, "evaluate", quiet=True) as tracker:
        tell(tracker, tmp_path)
    (folder,) = runs.iterdir()
    events = EventAccumulator(str(folder)).Reload()
    (loss,) = events.Scalars("loss")
    assert (loss.value, loss.step, loss.wall_time) == (0.5, 7, 1000.25)
    assert events.Scalars("accuracy")[0].value == 61.5 and events.Scalars("headline/accuracy")[0].value == 61.5
    assert "settings/text_summary" in events.Tags()["tensors"] and (folder / "per_class.csv").exists()
