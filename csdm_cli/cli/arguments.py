"""Arguments and options that several subcommands share and no setting stands behind: files, folders, memory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from csdm_cli.cli.number_options import whole_number
from csdm_cli.cli.options import RUN_PANEL, default_note
from csdm_cli.runs.runtime import MEGABYTES

MemoryBudget = Annotated[
    int | None,
    typer.Option(
        "--memory-budget",
        parser=whole_number(*MEGABYTES),
        metavar="MB",
        help="memory for activations, in megabytes" + default_note("256 on a CPU, 8192 on a GPU"),
    ),
]

ParamsFile = Annotated[
    Path | None,
    typer.Option(
        "--params",
        metavar="FILE",
        envvar="CSDM_PARAMS",
        show_envvar=False,
        help="settings from this params.yaml; the command line overrides them",
        rich_help_panel=RUN_PANEL,
    ),
]

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
    help_text = "folder made by make-lt, or of your own images" + default_note(found)
    return typer.Option("--data", metavar="DIR", help=help_text)


LabelsFile = Annotated[
    Path | None,
    typer.Option("--labels-file", metavar="FILE", help="their labels" + default_note("with the images")),
]

StoredFactor = Annotated[
    int,
    typer.Option(
        "--factor", parser=whole_number(1, 4), metavar="INT", help="their multi-formation factor (IDC, NCFM: 2)"
    ),
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
        "--experiment",
        parser=whole_number(1, 10**6),
        metavar="INT",
        help="which of several in the file (DC, DM)" + default_note("1"),
    ),
]


TeachersFolder = Annotated[
    Path | None,
    typer.Option(
        "--teachers",
        metavar="DIR",
        help="folder made by pretrain; a method that needs none takes over their architecture"
        + default_note("the cache; trained if missing"),
    ),
]

BackboneFolder = Annotated[
    Path | None,
    typer.Option(
        "--teachers",
        metavar="DIR",
        help="folder made by pretrain, whose first network is probed, or whose networks give --labels teacher"
        + default_note("the set's own"),
    ),
]

DistilledFrom = Annotated[Path | None, data_option("the set it was distilled from, in data/")]

NewestData = Annotated[Path | None, data_option("the newest in data/")]

MetricsFolder = Annotated[
    Path | None, out_option("folder for metrics and pictures" + default_note("beside the distilled set"))
]
