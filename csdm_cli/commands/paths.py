"""Arguments and options that name files and folders, worded alike in every command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from csdm_cli.commands.options import default_note

DataFolder = Annotated[
    Path | None,
    typer.Argument(
        metavar="DATA", help="folder made by make-lt, or of your own images" + default_note("the newest in data/")
    ),
]
FILE_HELP = "a distilled set: the .safetensors file, or the folder it is in"
DistilledFile = Annotated[Path, typer.Argument(metavar="FILE", help=FILE_HELP)]
NewestFile = Annotated[
    Path | None, typer.Argument(metavar="FILE", help=FILE_HELP + default_note("the newest in artifacts/"))
]


def out_option(text: str, metavar: str = "DIR") -> Any:
    """``--out``, described by ``text``."""
    return typer.Option("--out", metavar=metavar, help=text)


def data_option(found: str) -> Any:
    """``--data``, which by default is ``found``."""
    return typer.Option("--data", metavar="DIR", help="folder made by make-lt" + default_note(found))


def teachers_option() -> Any:
    """``--teachers``."""
    return typer.Option(
        "--teachers", metavar="DIR", help="folder made by pretrain" + default_note("the cache; trained if missing")
    )
