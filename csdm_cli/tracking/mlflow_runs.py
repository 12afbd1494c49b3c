"""Runs and models that are in MLflow's store already: those left behind, and those that others are linked to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from csdm_cli.tracking.process import HOST, Process

if TYPE_CHECKING:
    from mlflow import MlflowClient


def close_the_dead(client: MlflowClient, experiment: str) -> None:
    """End the runs of this machine whose process is no more: nothing could end them when it was killed."""
    here = Process.current().host.replace("'", "")
    query = f"attributes.status = 'RUNNING' and tags.`{HOST}` = '{here}'"
    for run in client.search_runs([experiment], query, max_results=200):
        process = Process.from_tags(run.data.tags)
        if process is not None and process.has_died():
            client.set_terminated(run.info.run_id, "KILLED")


def maker_of(client: MlflowClient, experiment: str, key: str) -> str | None:
    """The run that distilled the set of run key ``key``; None if it is not in the store.

    The newest of ``csdm distill``, else the first of a comparison: the later ones found the set there.
    """
    query = f"tags.run_key = '{key}' and attributes.status = 'FINISHED'"
    found = client.search_runs([experiment], query, order_by=["attributes.start_time DESC"], max_results=200)
    by_command: dict[str, list[str]] = {"distill": [], "compare": []}
    for run in found:
        by_command.setdefault(run.data.tags.get("command", ""), []).append(str(run.info.run_id))
    return next(iter([*by_command["distill"], *reversed(by_command["compare"])]), None)


def model_of(client: MlflowClient, experiment: str, name: str, key: str, settings: Mapping[str, str], run: str) -> str:
    """The id of the model of ``key``, made for ``run`` if it is not in the store."""
    found = client.search_logged_models([experiment], filter_string=f"tags.key = '{key}'", max_results=1)
    if found:
        return str(found[0].model_id)
    made = client.create_logged_model(
        experiment, name=name, source_run_id=run, tags={"key": key}, params=dict(settings), model_type="teachers"
    )
    client.finalize_logged_model(made.model_id, "READY")
    return str(made.model_id)
