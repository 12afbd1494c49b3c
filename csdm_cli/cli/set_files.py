"""Subcommands on the files of distilled sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from csdm_cli.cli.arguments import (
    DistilledFile,
    Experiment,
    LabelsFile,
    NewestData,
    Normalised,
    StoredFactor,
    Whitened,
    out_option,
)
from csdm_cli.cli.group import FILES, app
from csdm_cli.cli.options import default_note, runtime_options
from csdm_cli.errors import UsageError
from csdm_cli.names import ExportFormat
from csdm_cli.runs.runtime import Runtime


@app.command(
    "import", rich_help_panel=FILES, epilog="Example:  csdm import res_DM_CIFAR10_ConvNet_10ipc.pt --method DM"
)
@runtime_options("json", "quiet")
def import_set(
    images: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="the images, perhaps with labels: pt, npz, safetensors, parquet, folder"),
    ],
    *,
    data: NewestData = None,
    labels_file: LabelsFile = None,
    factor: StoredFactor = 1,
    normalised: Normalised = False,
    zca: Whitened = False,
    experiment: Experiment = None,
    method: Annotated[
        str | None, typer.Option(metavar="TEXT", help="name of what distilled it" + default_note("imported"))
    ] = None,
    out: Annotated[
        Path | None, out_option("folder to write" + default_note("artifacts/imported-…, named after it"))
    ] = None,
    runtime: Runtime,
) -> None:
    """Make a distilled set of another tool one of csdm.

    Reads what DC, DM, MTT, DATM, IDC, NCFM, KIP, RDED, SRe2L and others write; see docs/other-sets.md.
    """
    from csdm_cli.commands import import_set as command
    from csdm_cli.runs.evaluating import Foreign

    foreign = Foreign(images, labels_file, factor, normalised, zca, experiment, *([method] if method else []))
    command.run(runtime, foreign=foreign, data=data, out=out)


@app.command(rich_help_panel=FILES, epilog="Example:  csdm show artifacts/distilled --png grid.png")
@runtime_options("json")
def show(
    file: DistilledFile,
    *,
    png: Annotated[
        Path | None, out_option("picture to write" + default_note("distilled.png beside it"), "FILE", "--png")
    ] = None,
    runtime: Runtime,
) -> None:
    """Tell what a distilled set is, and draw it as a grid."""
    from csdm_cli.commands import show as command

    command.show(file, png, runtime.json)


@app.command(rich_help_panel=FILES, epilog="Example:  csdm verify artifacts/distilled")
@runtime_options("json")
def verify(file: DistilledFile, *, runtime: Runtime) -> None:
    """Check a distilled set: hashes, shapes, labels and header.

    The exit code is 0 if all is well and 1 if not.
    """
    from csdm_cli.commands import verify as command

    command.verify(file, runtime.json)


@app.command(rich_help_panel=FILES, epilog="Example:  csdm export artifacts/distilled --to npz")
@runtime_options("json")
def export(
    file: DistilledFile,
    *,
    to: Annotated[ExportFormat, typer.Option(metavar="NAME", help=f"format to write: {', '.join(ExportFormat)}")],
    classes: Annotated[
        str | None, typer.Option(metavar="NAME,..", help="only these classes, in this order" + default_note("all"))
    ] = None,
    evaluation: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="results of evaluate for the dataset card" + default_note("beside the set")),
    ] = None,
    out: Annotated[Path | None, out_option("file or folder to write" + default_note("beside the set"), "PATH")] = None,
    runtime: Runtime,
) -> None:
    """Write a distilled set, or some of its classes, in a form other tools read."""
    from csdm_cli.commands import export as command

    chosen = [name.strip() for name in (classes or "").split(",") if name.strip()]
    if classes is not None and not chosen:
        raise UsageError("--classes names no class: leave it out for all")
    command.export(file, to, out, runtime.json, chosen, evaluation)


@app.command(rich_help_panel=FILES, epilog="Example:  csdm merge artifacts/task1 artifacts/task2 --out artifacts/both")
@runtime_options("json", "quiet")
def merge(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="two or more distilled sets")],
    *,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="folder made by make-lt with all classes" + default_note("classes as they come")
        ),
    ] = None,
    out: Annotated[Path | None, out_option("folder to write" + default_note("artifacts/merged"))] = None,
    runtime: Runtime,
) -> None:
    """Join distilled sets of different classes into one.

    For continual learning: each task's set is distilled alone, or cut out with export --classes. The joined set keeps
    the provenance of all.
    """
    from csdm_cli.commands import merge as command

    command.run(runtime, files=files, data=data, out=out)
