"""The ``csdm`` command: its entry point, with the subcommands of ``making``, ``measuring`` and ``set_files``."""

from __future__ import annotations

from typing import Annotated

import typer

from csdm_cli import __version__
from csdm_cli.cli import making, measuring, set_files
from csdm_cli.cli.failures import end_cleanly_on_signals
from csdm_cli.cli.group import app
from csdm_cli.display.streams import open_streams
from csdm_cli.parallel import seat

__all__ = ["app", "main", "making", "measuring", "set_files"]


def main() -> None:
    """Entry point of the ``csdm`` command."""
    open_streams()
    end_cleanly_on_signals()
    with seat.seated():
        app()


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"csdm {__version__}")
        raise typer.Exit


@app.callback()
def _csdm(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    seat.refuse_to_share(context.invoked_subcommand)
