"""Subcommands that measure: accuracies, comparisons, costs and their reports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from csdm_cli.cli import ledger
from csdm_cli.cli.arguments import (
    BackboneFolder,
    DataFolder,
    DistilledFrom,
    Experiment,
    LabelsFile,
    MemoryBudget,
    MetricsFolder,
    NewestData,
    NewestFile,
    Normalised,
    ParamsFile,
    StoredFactor,
    TeachersFolder,
    Whitened,
    out_option,
)
from csdm_cli.cli.group import EVALUATE, app
from csdm_cli.cli.options import (
    BOTH,
    DISTILLING,
    STUDENTS,
    command_settings,
    default_note,
    runtime_options,
    section_options,
    values_by_section,
)
from csdm_cli.errors import UsageError
from csdm_cli.runs.runtime import Runtime
from csdm_cli.settings import sections
from csdm_cli.settings.presets import SECTIONS
from csdm_cli.settings.resolve import with_values


@app.command(rich_help_panel=EVALUATE, epilog="Example:  csdm evaluate artifacts/distilled --students 5")
@section_options(sections.Evaluate)
@runtime_options(numerics=STUDENTS)
def evaluate(
    file: NewestFile = None,
    *,
    data: DistilledFrom = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="a set of another tool instead of FILE, as import reads it"),
    ] = None,
    labels_file: LabelsFile = None,
    factor: StoredFactor = 1,
    normalised: Normalised = False,
    zca: Whitened = False,
    experiment: Experiment = None,
    teachers: BackboneFolder = None,
    out: MetricsFolder = None,
    overrides: dict[str, Any],
    params: ParamsFile = None,
    runtime: Runtime,
) -> None:
    """Train students on a distilled set alone and test them.

    Reports accuracy at the last step, mean and spread over the students, also of head, medium and tail classes.
    Steps, learning rate, weight decay, batch and augmentation are those that the set carries, unless given.
    Students of --protocol probe are linear classifiers on a frozen backbone's features.
    """
    settings = command_settings(sections.Evaluate, params, overrides, runtime)
    from csdm_cli.commands import evaluate as command

    foreign = None
    if images is not None:
        foreign = command.Foreign(images, labels_file, factor, normalised, zca, experiment)
    elif labels_file or normalised or zca or experiment or factor != 1:
        options = "--labels-file, --factor, --normalised, --zca and --experiment"
        raise UsageError(f"{options} describe another tool's --images, which are missing")
    command.run(
        settings.section,
        runtime,
        chosen=frozenset(settings.section.model_fields_set),
        file=file,
        data=data,
        foreign=foreign,
        out=out,
        given=settings.given,
        teachers=teachers,
        pretrain=settings.params.pretrain,
    )


@app.command("cross-arch", rich_help_panel=EVALUATE, epilog="Example:  csdm cross-arch --networks resnet18,vgg11")
@section_options(sections.CrossArch)
@runtime_options(numerics=STUDENTS)
def cross_arch(
    file: NewestFile = None,
    *,
    data: DistilledFrom = None,
    backbones: Annotated[
        list[Path] | None,
        typer.Option(
            "--backbone",
            metavar="DIR",
            help="a folder made by pretrain, whose first network is probed in place of --networks; once for each",
        ),
    ] = None,
    out: MetricsFolder = None,
    overrides: dict[str, Any],
    params: ParamsFile = None,
    runtime: Runtime,
) -> None:
    """Evaluate a distilled set on several architectures.

    The protocol is that of evaluate, with its settings, on each architecture in turn; or its linear probes, on each
    frozen backbone.
    """
    settings = command_settings(sections.CrossArch, params, overrides, runtime)
    from csdm_cli.commands import cross_arch as command

    recipe = settings.params.evaluate
    command.run(
        settings.section,
        runtime,
        recipe=recipe,
        chosen=frozenset(recipe.model_fields_set),
        file=file,
        data=data,
        out=out,
        backbones=backbones or (),
        given=settings.given,
    )


@app.command(
    rich_help_panel=EVALUATE, epilog="Example:  csdm compare --methods dm,csdm --ipc 10 --imbalance 200 --seeds 3"
)
@section_options(sections.Compare)
@runtime_options(numerics=BOTH)
def compare(
    *,
    data: NewestData = None,
    teachers: TeachersFolder = None,
    out: Annotated[Path | None, out_option("folder for tables and picture" + default_note("artifacts/compare"))] = None,
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="SECTION.NAME=VALUE",
            help="a setting of pretrain, distill or evaluate for all methods, once for each",
        ),
    ] = None,
    finished: Annotated[
        list[Path] | None,
        typer.Option(
            "--with", metavar="FILE", help="a finished set as one more row, such as import made; once for each"
        ),
    ] = None,
    memory_budget: MemoryBudget = None,
    overrides: dict[str, Any],
    params: ParamsFile = None,
    runtime: Runtime,
) -> None:
    """Distil with several methods, and show them side by side.

    Every method has the same data, teachers, steps and students. What is there already is not made again.
    """
    chosen = values_by_section(values or [], SECTIONS, sections.not_for_compare())
    settings = command_settings(sections.Compare, params, overrides, runtime)
    from csdm_cli.commands import compare as command

    command.run(
        settings.section,
        runtime,
        params=with_values(settings.params, chosen, "--set"),
        data=data,
        teachers=teachers,
        out=out,
        memory_budget=memory_budget,
        finished=finished or (),
    )


@app.command(rich_help_panel=EVALUATE, epilog="Example:  csdm profile --ipcs 10,50")
@section_options(sections.ProfileRun)
@runtime_options(numerics=DISTILLING)
def profile(
    data: DataFolder = None,
    *,
    teachers: TeachersFolder = None,
    out: Annotated[Path | None, out_option("folder for the figures" + default_note("printed only"))] = None,
    trace: Annotated[
        Path | None, out_option("timeline of a few iterations, for chrome://tracing", "FILE", "--trace")
    ] = None,
    overrides: dict[str, Any],
    params: ParamsFile = None,
    runtime: Runtime,
) -> None:
    """Measure the time and memory of a distillation step.

    Seconds per step, images per second, peak memory and time by phase for several numbers of images per class.
    Also how much distill and evaluate reach of what this device could do.
    """
    settings = command_settings(sections.ProfileRun, params, overrides, runtime)
    from csdm_cli.commands import profile as command

    command.run(settings.section, runtime, params=settings.params, data=data, teachers=teachers, out=out, trace=trace)


app.add_typer(ledger.app, name="ledger", rich_help_panel=EVALUATE)


@app.command(rich_help_panel=EVALUATE, epilog="Example:  csdm report artifacts/evaluate artifacts/cross_arch")
@runtime_options("json", "quiet")
def report(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR", help="folders that evaluate and others wrote")],
    *,
    html: Annotated[
        bool, typer.Option("--html", help="one page with pictures and charts for a browser, which needs no network")
    ] = False,
    out: Annotated[
        Path | None, out_option("Markdown file to write, or the page" + default_note("report.html in DIR"), "FILE")
    ] = None,
    runtime: Runtime,
) -> None:
    """Print the results of several runs as one table, or show them on a page.

    Accuracy with its spread, head, medium and tail classes, and the controls of the protocol beside it. The page also
    has the images, every class, the confusion matrix, other architectures, cost, provenance and the commands.
    """
    from csdm_cli.commands import report as command

    command.run(runtime, folders=folders, out=out, html=html)
