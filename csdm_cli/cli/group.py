"""The group of all subcommands, and the panels that its help sorts them into.

Nothing heavy is imported here: a command imports what it runs inside its body, so that ``--help`` and completion
stay quick.
"""

from __future__ import annotations

import typer

from csdm_cli.cli.failures import FriendlyGroup

app = typer.Typer(
    name="csdm",
    cls=FriendlyGroup,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="Distil long-tailed image datasets: a few synthetic images per class that train a network "
    "nearly as well as the whole set, its rare classes included.",
    epilog="Start with:  csdm make-lt digits --imbalance 10, then  csdm distill --ipc 10",
)

DISTIL, EVALUATE, FILES = "Distil", "Evaluate", "Distilled sets"
