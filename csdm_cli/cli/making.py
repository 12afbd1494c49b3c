"""Subcommands that make sets: from a dataset to teachers and distilled images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from csdm_cli.cli.arguments import DataFolder, MemoryBudget, ParamsFile, TeachersFolder, out_option
from csdm_cli.cli.group import DISTIL, app
from csdm_cli.cli.number_options import decimal_number, whole_number
from csdm_cli.cli.options import DISTILLING, TEACHERS, command_settings, default_note, runtime_options, section_options
from csdm_cli.methods import method_names
from csdm_cli.names import Preset, Source
from csdm_cli.runs.runtime import SECONDS, Runtime
from csdm_cli.settings import sections
from csdm_cli.settings.making_sections import refuse_idle_imbalance
from csdm_cli.settings.source_word import source_of


def list_sources(incomplete: str) -> list[str]:
    """The datasets whose names begin like this, for completion."""
    return [source for source in Source if source.startswith(incomplete)]


def list_methods(incomplete: str) -> list[str]:
    """The methods whose names begin like this, for completion."""
    return [name for name in method_names() if name.startswith(incomplete)]


@app.command("make-lt", rich_help_panel=DISTIL, epilog="Example:  csdm make-lt cifar10 --imbalance 200 --dev 50")
@section_options(sections.MakeLt, without=("dataset",))
@runtime_options("tracking", "json", "quiet")
def make_lt(
    dataset: Annotated[
        str | None,
        typer.Argument(
            metavar="DATASET",
            help=f"a folder of your own, or one of {', '.join(Source)}" + default_note("cifar10"),
            autocompletion=list_sources,
        ),
    ] = None,
    *,
    out: Annotated[Path | None, out_option("folder to write" + default_note("data/, named for the settings"))] = None,
    overrides: dict[str, Any],
    params: ParamsFile = None,
    runtime: Runtime,
) -> None:
    """Make a long-tailed training set from a dataset.

    Writes the long-tailed training set, a balanced development set (with --dev) and the untouched test set.
    """
    if dataset is not None:
        overrides |= source_of(dataset, overrides)
    settings = command_settings(sections.MakeLt, params, overrides, runtime)
    refuse_idle_imbalance(settings.section, settings.given)
    from csdm_cli.commands import make_lt as command

    command.run(settings.section, runtime, out=out)


@app.command(rich_help_panel=DISTIL, epilog="Example:  csdm pretrain --teachers 10 --epochs 60")
@section_options(sections.Pretrain)
@runtime_options(numerics=TEACHERS)
def pretrain(
    data: DataFolder = None,
    *,
    out: Annotated[Path | None, out_option("folder to write" + default_note("the cache"))] = None,
    overrides: dict[str, Any],
    params: ParamsFile = None,
    runtime: Runtime,
) -> None:
    """Train the pool of teachers on a long-tailed set; with --experts, experts for trajectory matching.

    Those already trained with the same settings are taken from the cache.
    """
    settings = command_settings(sections.Pretrain, params, overrides, runtime)
    from csdm_cli.commands import pretrain as command

    command.run(settings.section, runtime, folder=data, out=out, given=settings.given)


@app.command(rich_help_panel=DISTIL, epilog="Example:  csdm distill --ipc 50 --kernel rbf")
@section_options(sections.Distill)
@runtime_options(numerics=DISTILLING)
def distill(
    data: DataFolder = None,
    *,
    teachers: TeachersFolder = None,
    out: Annotated[Path | None, out_option("folder to write" + default_note("in artifacts/"))] = None,
    memory_budget: MemoryBudget = None,
    checkpoint_every: Annotated[
        float, typer.Option(parser=decimal_number(*SECONDS), metavar="SECONDS", help="time between checkpoints")
    ] = 60.0,
    resume: Annotated[bool, typer.Option(help="go on from the checkpoint of the same run")] = True,
    preset: Annotated[
        Preset | None,
        typer.Option(
            metavar="NAME",
            help="settings that all others override: common (all methods alike), paper (the method's own)"
            + default_note("none"),
        ),
    ] = None,
    overrides: dict[str, Any],
    params: ParamsFile = None,
    runtime: Runtime,
) -> None:
    """Distil a long-tailed set into a few images per class.

    Takes the newest long-tailed set and trains missing teachers first. Interrupted runs go on where they were.
    """
    settings = command_settings(sections.Distill, params, overrides, runtime, preset)
    from csdm_cli.commands import distill as command

    command.run(
        settings.section,
        runtime,
        params=settings.params,
        given=settings.given,
        preset=preset,
        data=data,
        teachers=teachers,
        out=out,
        memory_budget=memory_budget,
        checkpoint_every=checkpoint_every,
        resume=resume,
    )


@app.command(rich_help_panel=DISTIL, epilog="Example:  csdm methods csdm")
@runtime_options("json")
def methods(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="a method" + default_note("all of them"), autocompletion=list_methods),
    ] = None,
    *,
    ipc: Annotated[
        int,
        typer.Option(
            parser=whole_number(1, 10**6), metavar="INT", help="images per class whose paper settings are shown"
        ),
    ] = 10,
    runtime: Runtime,
) -> None:
    """List the methods, or tell all about one.

    What a method does, where it comes from, what it costs, and its own parameters.
    """
    from csdm_cli.commands import methods as command

    command.run(name, ipc, as_json=runtime.json)
