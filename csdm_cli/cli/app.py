"""The ``csdm`` command: one thin function per subcommand.

Nothing heavy is imported here: a command imports what it runs inside its body, so that ``--help`` and completion
stay quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from csdm_cli import __version__
from csdm_cli.cli import ledger
from csdm_cli.cli.failures import FriendlyGroup, end_cleanly_on_signals
from csdm_cli.cli.number_options import decimal_number, whole_number
from csdm_cli.cli.options import (
    BOTH,
    DISTILLING,
    STUDENTS,
    TEACHERS,
    DataFolder,
    DistilledFile,
    Experiment,
    LabelsFile,
    MemoryBudget,
    NewestFile,
    Normalised,
    ParamsFile,
    StoredFactor,
    Whitened,
    backbone_option,
    command_settings,
    data_option,
    default_note,
    out_option,
    runtime_options,
    section_options,
    teachers_option,
    values_by_section,
)
from csdm_cli.display.streams import open_streams
from csdm_cli.errors import UsageError
from csdm_cli.methods import method_names
from csdm_cli.names import ExportFormat, Preset, Source
from csdm_cli.parallel import seat
from csdm_cli.runs.runtime import Runtime
from csdm_cli.safe_text import shown
from csdm_cli.settings import sections
from csdm_cli.settings.presets import SECTIONS
from csdm_cli.settings.resolve import with_values

app = typer.Typer(
    name="csdm",
    cls=FriendlyGroup,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="Distil long-tailed image datasets: a few synthetic images per class that train a network "
    "nearly as well as the whole set, its rare classes included.",
    epilog="Start with:  csdm make-lt digits --imbalance 10, then  csdm distill --ipc 10",
)

DISTIL, JUDGE, FILES = "Distil", "Judge", "Distilled sets"


def list_sources(incomplete: str) -> list[str]:
    """The datasets whose names begin like this, for completion."""
    return [source for source in Source if source.startswith(incomplete)]


def make_lt_source(text: str) -> dict[str, Any]:
    """The meaning of make-lt's first word: a dataset's name, or else the folder of that path.

    Raises:
        UsageError: if it is a path, but of no folder.
    """
    if text in tuple(Source):
        return {"dataset": text}
    place = Path(text).expanduser()
    if place.is_dir() or (place.is_file() and place.suffix == ".npz"):
        return {"dataset": Source.folder, "data_dir": text}
    if "/" in text or text.startswith((".", "~")):
        raise UsageError(f"{shown(text)} is neither a folder nor the name of a dataset")
    return {"dataset": text}


def list_methods(incomplete: str) -> list[str]:
    """The methods whose names begin like this, for completion."""
    return [name for name in method_names() if name.startswith(incomplete)]


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
        overrides |= make_lt_source(dataset)
    settings = command_settings(sections.MakeLt, params, overrides, runtime)
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
    teachers: Annotated[Path | None, teachers_option()] = None,
    out: Annotated[Path | None, out_option("folder to write" + default_note("in artifacts/"))] = None,
    memory_budget: MemoryBudget = None,
    checkpoint_every: Annotated[
        float, typer.Option(parser=decimal_number(0, 1e7), metavar="SECONDS", help="time between checkpoints")
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
        data=data,
        teachers=teachers,
        out=out,
        memory_budget=memory_budget,
        checkpoint_every=checkpoint_every,
        resume=resume,
    )


@app.command(rich_help_panel=JUDGE, epilog="Example:  csdm evaluate artifacts/distilled --students 5")
@section_options(sections.Evaluate)
@runtime_options(numerics=STUDENTS)
def evaluate(
    file: NewestFile = None,
    *,
    data: Annotated[Path | None, data_option("the set it was distilled from, in data/")] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="a set of another tool instead of FILE, as import reads it"),
    ] = None,
    labels_file: LabelsFile = None,
    factor: StoredFactor = 1,
    normalised: Normalised = False,
    zca: Whitened = False,
    experiment: Experiment = None,
    teachers: Annotated[Path | None, backbone_option()] = None,
    out: Annotated[
        Path | None, out_option("folder for metrics and pictures" + default_note("beside the distilled set"))
    ] = None,
    overrides: dict[str, Any],
    params: ParamsFile = None,
    runtime: Runtime,
) -> None:
    """Train students on a distilled set alone and test them.

    Reports accuracy at the last step, mean and spread over the students, also of head, medium and tail classes.
    Steps, learning rate, weight decay, batch and augmentation are those that the set carries, unless given. With
    --protocol probe students are linear classifiers on a frozen backbone's features.
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


@app.command("cross-arch", rich_help_panel=JUDGE, epilog="Example:  csdm cross-arch --networks resnet18,vgg11")
@section_options(sections.CrossArch)
@runtime_options(numerics=STUDENTS)
def cross_arch(
    file: NewestFile = None,
    *,
    data: Annotated[Path | None, data_option("the set it was distilled from, in data/")] = None,
    out: Annotated[
        Path | None, out_option("folder for metrics and pictures" + default_note("beside the distilled set"))
    ] = None,
    overrides: dict[str, Any],
    params: ParamsFile = None,
    runtime: Runtime,
) -> None:
    """Evaluate a distilled set on several architectures.

    The protocol is that of evaluate, with its settings, on each architecture in turn.
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
    )


@app.command(
    rich_help_panel=JUDGE, epilog="Example:  csdm compare --methods dm,csdm --ipc 10 --imbalance 200 --seeds 3"
)
@section_options(sections.Compare)
@runtime_options(numerics=BOTH)
def compare(
    *,
    data: Annotated[Path | None, data_option("the newest in data/")] = None,
    teachers: Annotated[Path | None, teachers_option()] = None,
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


@app.command(rich_help_panel=JUDGE, epilog="Example:  csdm profile --ipcs 10,50")
@section_options(sections.ProfileRun)
@runtime_options(numerics=DISTILLING)
def profile(
    data: DataFolder = None,
    *,
    teachers: Annotated[Path | None, teachers_option()] = None,
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


app.add_typer(ledger.app, name="ledger", rich_help_panel=JUDGE)


@app.command(rich_help_panel=JUDGE, epilog="Example:  csdm report artifacts/evaluate artifacts/cross_arch")
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
    data: Annotated[Path | None, data_option("the newest in data/")] = None,
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
