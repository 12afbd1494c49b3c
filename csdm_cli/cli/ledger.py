"""``csdm ledger`` and its subcommands; nothing heavy is imported here."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from csdm_cli.cli.arguments import out_option
from csdm_cli.cli.options import default_note, runtime_options
from csdm_cli.ledger.protocol import Protocol
from csdm_cli.runs.runtime import Runtime

app = typer.Typer(no_args_is_help=False)


class Scale(StrEnum):
    """full is the papers' width and iterations, and students of 16,000 steps (this project's estimate)."""

    full = "full"
    reduced = "reduced"


Results = Annotated[Path, out_option("folder of the ledger's rows", name="--results")]
RESULTS = Path("results")


@app.callback(invoke_without_command=True, epilog="Example:  csdm ledger run cifar10-lt200-ipc10-width64-csdm-hard")
@runtime_options("json")
def ledger(
    context: typer.Context,
    *,
    results: Results = RESULTS,
    into: Annotated[
        Path | None, out_option("Markdown file whose marked tables are brought up to date", "FILE", "--into")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="all values of the papers, also those never run")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="the tables as Markdown")] = False,
    protocol: Annotated[
        Protocol | None, typer.Option(metavar="NAME", help="rows of one protocol" + default_note("all"))
    ] = None,
    runtime: Runtime,
) -> None:
    """Print the measured rows, and the papers' values beside them.

    Says of every value how far ours is from it, where the settings depart, and what has not been run.
    """
    if context.invoked_subcommand is not None:
        return
    from csdm_cli.commands import ledger as command

    command.run(runtime, results=results, everything=everything, markdown=markdown, into=into, protocol=protocol)


@app.command(epilog="Example:  csdm ledger run cifar10-lt200-ipc10-width64-random --data-dir ~/cifar10")
@runtime_options("device", "threads", "deterministic", "tracking", "json", "quiet")
def run(
    row: Annotated[str, typer.Argument(metavar="ROW", help="name of the row, or its JSON file")],
    *,
    data_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="where the data are" + default_note("downloaded, or in the cache")),
    ] = None,
    out: Annotated[Path | None, out_option("folder to work in" + default_note("in the cache"))] = None,
    results: Results = RESULTS,
    runtime: Runtime,
) -> None:
    """Measure a row again, from nothing but its JSON, and compare.

    Equal to the bit on the same device, threads and versions, else within two standard errors: it says which.
    An interrupted run goes on where it was. The exit code is 1 if the row did not come out as it stands.
    """
    from csdm_cli.commands import ledger_repeat as command

    command.run(row, runtime, results=results, data_dir=data_dir, work=out)


@app.command(epilog="Example:  csdm ledger add artifacts/set-0/evaluate artifacts/set-1/evaluate --controls")
@runtime_options("json", "quiet")
def add(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR", help="folders that evaluate or compare wrote")],
    *,
    table: Annotated[
        str | None, typer.Option(metavar="NAME", help="table of the rows" + default_note("data, IPC and width"))
    ] = None,
    scale: Annotated[
        Scale | None,
        typer.Option(metavar="NAME", help="full (the papers') or reduced" + default_note("told by the settings")),
    ] = None,
    controls: Annotated[bool, typer.Option("--controls", help="rows of the controls too")] = False,
    results: Results = RESULTS,
    runtime: Runtime,
) -> None:
    """Make rows from finished runs.

    Sets that differ by their seed alone become one row.
    """
    from csdm_cli.commands import ledger_add as command

    command.run(
        runtime,
        places_of_results=folders,
        results=results,
        table=table,
        scale=scale.value if scale else None,
        controls=controls,
    )
