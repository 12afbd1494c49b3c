"""Runs in MLflow's store, looked up by what they carry."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from csdm_cli.tracking.mlflow_runs import close_the_dead, maker_of, model_of
from csdm_cli.tracking.process import Process


class Client:
    """A store with these runs, newest first, and models."""

    def __init__(self, *runs: tuple[str, dict[str, str]], models: tuple[str, ...] = ()) -> None:
        info = SimpleNamespace
        self.runs = [info(info=info(run_id=name), data=info(tags=tags)) for name, tags in runs]
        self.models, self.ended, self.made = models, [], []

    def search_runs(self, experiments, query, **options):
        return self.runs

    def set_terminated(self, run, status):
        self.ended.append((run, status))

    def search_logged_models(self, experiments, **options):
        return [SimpleNamespace(model_id=name) for name in self.models]

    def create_logged_model(self, experiment, **told):
        self.made.append(told)
        return SimpleNamespace(model_id="new")

    def finalize_logged_model(self, model, status):
        self.made.append((model, status))


@pytest.mark.parametrize(
    ("runs", "found"),
    [
        ((), None),
        ((("a", {"command": "evaluate"}),), None),
        ((("new", {"command": "distill"}), ("old", {"command": "distill"})), "new"),
        ((("later", {"command": "compare"}), ("first", {"command": "compare"})), "first"),
        ((("later", {"command": "compare"}), ("own", {"command": "distill"})), "own"),
    ],
)
def test_a_set_is_of_the_newest_distillation_else_of_the_first_comparison(runs, found):
    assert maker_of(Client(*runs), "experiment", "key") == found


def test_only_runs_whose_process_died_are_ended():
    here = Process.current()
    dead = replace(here, started=here.started + 1)
    client = Client(("alive", here.tags), ("dead", dead.tags), ("unknown", {}))
    close_the_dead(client, "experiment")
    assert client.ended == [("dead", "KILLED")]


def test_a_model_is_made_once():
    client = Client(models=("there",))
    assert model_of(client, "experiment", "pool", "key", {}, "run") == "there" and client.made == []
    client = Client()
    assert model_of(client, "experiment", "pool", "key", {"width": "4"}, "run") == "new"
    assert client.made[0]["tags"] == {"key": "key"} and client.made[1] == ("new", "READY")
