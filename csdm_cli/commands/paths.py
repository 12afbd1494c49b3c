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


def output_path(value: str) -> Path:
    """The parser of every option that names a place csdm writes to, by which tests find them all.

    Raises:
        BadParameter: for an empty name, which would mean the working folder.
    """
    if value == "":
        raise typer.BadParameter("the name is empty: name a file or a folder, or leave the option out")
    return Path(value)


def out_option(text: str, metavar: str = "DIR", name: str = "--out") -> Any:
    """``--out``, or the option ``name``, described by ``text``."""
    return typer.Option(name, metavar=metavar, help=text, parser=output_path)


def data_option(found: str) -> Any:
    """``--data``, which by default is ``found``."""
    return typer.Option("--data", metavar="DIR", help="folder made by make-lt" + default_note(found))


LabelsFile = Annotated[
    Path | None,
    typer.Option("--labels-file", metavar="FILE", help="their labels" + default_note("with the images")),
]
StoredFactor = Annotated[
    int, typer.Option("--factor", min=1, max=4, metavar="INT", help="their multi-formation factor (IDC, NCFM: 2)")
]
Normalised = Annotated[
    bool,
    typer.Option("--normalised", help="their pixels are normalised" + default_note("told by their range")),
]
Whitened = Annotated[
    bool, typer.Option("--zca", help="undo their ZCA whitening (MTT, FTD, DATM), fitted on the training set")
]
Experiment = Annotated[
    int | None,
    typer.Option(
        "--experiment", min=1, metavar="INT", help="which of several in the file (DC, DM)" + default_note("1")
    ),
]


def teachers_option() -> Any:
    """``--teachers``."""
    return typer.Option(
        "--teachers", metavar="DIR", help="folder made by pretrain" + default_note("the cache; trained if missing")
    )
