"""No command removes or overwrites what csdm did not write: every command, every option that names an output.

The options are read from the command line itself, and the names of the files from a first run into a clean folder.
"""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, get_args, get_origin

import pytest
import torch
import typer
from PIL import Image
from safetensors.torch import save_file

from csdm_cli.cli.app import app
from csdm_cli.cli.arguments import output_path
from tests.command_world import fails, run

# What each option is tried with; OUT is below the folder that is filled with foreign files.
WRITERS = {
    "make-lt --out": ["make-lt", "--out", "OUT"],
    "pretrain --out": ["pretrain", "data", "--out", "OUT"],
    "distill --out": ["distill", "data", "--teachers", "teachers", "--out", "OUT"],
    "evaluate --out": ["evaluate", "set", "--data", "data", "--out", "OUT"],
    "cross-arch --out": ["cross-arch", "set", "--data", "data", "--networks", "convnet", "--out", "OUT"],
    "compare --out": [
        *("compare", "--data", "data", "--teachers", "teachers", "--methods", "random", "--ipc", "1", "--seeds", "1"),
        *("--params", "params.yaml", "--out", "OUT"),
    ],
    "profile --out": ["profile", "data", "--teachers", "teachers", "--ipcs", "1", "--out", "OUT"],
    "profile --trace": ["profile", "data", "--teachers", "teachers", "--ipcs", "1", "--trace", "OUT/trace.json"],
    "report --out": ["report", "evaluation", "--out", "OUT/page.md"],
    "show --png": ["show", "set", "--png", "OUT/picture.png"],
    "export --out": ["export", "set", "--to", "npz", "--out", "OUT/set.npz"],
    "export --out (pt)": ["export", "set", "--to", "pt", "--out", "OUT/set.pt"],
    "export --out (imagefolder)": ["export", "set", "--to", "imagefolder", "--out", "OUT"],
    "import --out": ["import", "foreign.npz", "--data", "data", "--out", "OUT"],
    "merge --out": ["merge", "first", "second", "--out", "OUT"],
    "ledger add --results": ["ledger", "add", "evaluation", "--table", "mine", "--results", "OUT"],
    "ledger run --out": ["ledger", "run", "rows/mine-csdm-hard.json", "--out", "OUT"],
}
READERS = {  # of a folder of rows, and of a document that they change between marks of theirs alone
    "ledger --results": ["ledger", "--results", "OUT"],
    "ledger --into": ["ledger", "--results", "rows", "--into", "OUT/page.md"],
    "ledger run --results": ["ledger", "run", "none", "--results", "OUT"],
}
INPUTS = {
    "backbones",
    "data",
    "data_dir",
    "evaluation",
    "file",
    "files",
    "finished",
    "folders",
    "images",
    "labels_file",
    "params",
    "teachers",
}
NOT_REPLACED = (
    "export --out (imagefolder)",
    "import --out",
    "merge --out",
)  # ddranking, which takes no digits, goes the same way


def commands(group: typer.Typer, before: str = "") -> Iterator[tuple[str, Callable[..., object]]]:
    """Every command and group that can be called, by its words."""
    if group.registered_callback is not None:
        yield before.strip(), group.registered_callback.callback
    for command in group.registered_commands:
        yield f"{before}{command.name or command.callback.__name__}", command.callback
    for inner in group.registered_groups:
        yield from commands(inner.typer_instance, f"{before}{inner.name} ")


def paths_of(callback: Callable[..., object]) -> Iterator[tuple[str, bool]]:
    """The names of all parameters that are paths, and whether csdm writes there."""
    for parameter in inspect.signature(callback, eval_str=True).parameters.values():
        if get_origin(parameter.annotation) is Annotated and "Path" in str(get_args(parameter.annotation)[0]):
            yield parameter.name, get_args(parameter.annotation)[1].parser is output_path


def test_every_option_that_names_an_output_is_tried_here():
    """A new one is declared by ``out_option``, and then has a line above; any other path is one of the inputs."""
    found = {(words, name, writes) for words, callback in commands(app) for name, writes in paths_of(callback)}
    outputs = {f"{words} --{name}" for words, name, writes in found if writes}
    assert outputs == {name.partition(" (")[0] for name in (*WRITERS, *READERS)}
    assert {name for _, name, writes in found if not writes} == INPUTS


@pytest.fixture(scope="module")
def place(world, tmp_path_factory):
    """Inputs for all commands, and in clean/ what each leaves in a folder of its own."""
    place = tmp_path_factory.mktemp("outputs")
    world.copy_to(place)
    shutil.copytree(world.folder / "out" / "evaluation", place / "evaluation")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("CSDM_CACHE", str(world.folder / "cache"))
        patch.setenv("CSDM_TRACKING", "none")
        run("ledger", "add", "evaluation", "--table", "mine", "--results", "rows")
        run("export", "set", "--to", "csdm", "--classes", "0,1,2,3,4", "--out", "first")
        run("export", "set", "--to", "csdm", "--classes", "5,6,7,8,9", "--out", "second")
        run("export", "set", "--to", "npz", "--out", "foreign.npz")
        for number, words in enumerate(WRITERS.values()):
            run(*aimed(words, Path("clean", str(number))))
        yield place


def aimed(words: list[str], target: Path) -> list[str]:
    return [word.replace("OUT", str(target)) for word in words]


def clean(place: Path, option: str) -> Path:
    return place / "clean" / str([*WRITERS].index(option))


def put_foreign(path: Path) -> bytes:
    """A good file of its kind, by another hand; returns its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        Image.new("RGB", (2, 2), "red").save(path)
    elif path.suffix == ".safetensors":
        save_file({"images": torch.ones(2)}, path, metadata={"format": "pt"})
    elif path.suffix == ".pt":
        torch.save({"images": torch.ones(2)}, path)
    elif path.suffix == ".json":
        path.write_text('{"accuracy": 0.9, "teachers": 3, "evaluate": {"finished": true}, "schema": 1}')
    else:
        path.write_text("# mine\n\ndataset,accuracy\n")
    return path.read_bytes()


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("option", WRITERS)
def test_foreign_files_of_the_same_names_stay_as_they_are(place, tmp_path, option):
    names = files_in(clean(place, option))
    assert names
    target = tmp_path / "target"
    foreign = {name: put_foreign(target / name) for name in (*names, "mine/deeper/thesis.txt")}
    result = run(*aimed(WRITERS[option], target), expect=None)
    refused = (2, "exists") if option in NOT_REPLACED else (1, "move it away, or choose another --")
    fails(result, *refused)
    assert files_in(target) == foreign


@pytest.mark.parametrize("option", [name for name in WRITERS if name not in NOT_REPLACED])
def test_each_of_its_files_is_guarded(place, tmp_path, option):
    """A single foreign file among nothing, and among the command's own older output."""
    names = files_in(clean(place, option))
    for number, name in enumerate(sorted(names)):
        alone, among = tmp_path / f"alone-{number}", tmp_path / f"among-{number}"
        shutil.copytree(clean(place, option), among)
        for target in (alone, among) if "/" not in name else (alone,):
            (target / name).unlink(missing_ok=True)
            foreign = put_foreign(target / name)
            before = files_in(target)
            if "/" in name and not name.endswith(("distilled.safetensors", "manifest.json")):
                continue  # below ledger run's folder, where the commands that it calls are tried on their own
            fails(run(*aimed(WRITERS[option], target), expect=None), 1, repr(Path(name).name), "move it away")
            assert (target / name).read_bytes() == foreign
            if "/" not in name:
                assert files_in(target) == before, "refused before anything is written"


@pytest.mark.parametrize("option", [name for name in WRITERS if name not in NOT_REPLACED])
def test_an_older_output_of_its_own_is_replaced(place, tmp_path, option):
    target = tmp_path / "target"
    shutil.copytree(clean(place, option), target)
    other = {"distill --out": ["--seed", "1"], "pretrain --out": ["--seed", "1"], "make-lt --out": ["--seed", "1"]}
    run(*aimed(WRITERS[option], target), *other.get(option, []))
    after, before = files_in(target), files_in(clean(place, option))
    assert after.keys() == before.keys()
    assert option not in other or after != before


@pytest.mark.parametrize("option", ["import --out", "merge --out"])
def test_a_foreign_picture_is_told_before_a_set_is_written(place, tmp_path, option):
    foreign = put_foreign(tmp_path / "grid.png")
    fails(run(*aimed(WRITERS[option], tmp_path), expect=None), 1, "'grid.png'", "move it away")
    assert files_in(tmp_path) == {"grid.png": foreign}


@pytest.mark.parametrize("option", READERS)
def test_what_is_only_read_stays_as_it_is(place, tmp_path, option):
    target = tmp_path / "target"
    names = ("page.md", "mine.json", "mine/deeper/thesis.txt")
    foreign = {name: put_foreign(target / name) for name in names}
    (target / "mine.json").write_text("{}")
    foreign["mine.json"] = b"{}"
    run(*aimed(READERS[option], target), expect=None)
    assert files_in(target) == foreign


@pytest.mark.parametrize("folder", ["data", "teachers", "set", "."])
def test_the_folders_that_are_read_are_not_replaced(place, folder):
    """The teachers' folder is the one that may: it holds nothing but an older pool."""
    before = files_in(place / "data") | files_in(place / "set")
    for option in ("make-lt --out", "pretrain --out"):
        if (option, folder) in (("make-lt --out", "data"), ("pretrain --out", "teachers")):
            continue
        fails(run(*aimed(WRITERS[option], Path(folder)), expect=None), 1, "move it away, or choose another --out")
    assert files_in(place / "data") | files_in(place / "set") == before


@pytest.mark.parametrize(
    "words",
    [
        ["show", "set", "--png", "set/distilled.safetensors"],
        ["show", "set", "--png", "data/manifest.json"],
        ["export", "set", "--to", "npz", "--out", "set/distilled.safetensors"],
        ["export", "set", "--to", "npz", "--out", "set.pt"],
        ["report", "evaluation", "--out", "evaluation/metrics.json"],
        ["profile", "data", "--trace", "set/distilled.safetensors"],
    ],
)
def test_a_name_that_does_not_fit_is_refused(place, words):
    before = files_in(place / "set") | files_in(place / "data") | files_in(place / "evaluation")
    fails(run(*words, expect=None), 2, "expected a name that ends in")
    assert files_in(place / "set") | files_in(place / "data") | files_in(place / "evaluation") == before


def test_a_link_is_neither_followed_nor_replaced(place, tmp_path):
    (tmp_path / "own.png").write_bytes((clean(place, "show --png") / "picture.png").read_bytes())
    (tmp_path / "link.png").symlink_to(tmp_path / "own.png")
    fails(run("show", "set", "--png", tmp_path / "link.png", expect=None), 1, "holds 'link.png', a link")
    (tmp_path / "shelf").symlink_to(tmp_path / "pool")
    shutil.copytree(place / "teachers", tmp_path / "pool")
    run("pretrain", "data", "--out", tmp_path / "shelf")
    assert (tmp_path / "shelf").is_symlink() and files_in(tmp_path / "pool") == files_in(place / "teachers")


def test_a_set_is_shown_although_the_pictures_place_is_taken(place, tmp_path):
    shutil.copytree(place / "set", tmp_path / "set")
    foreign = put_foreign(tmp_path / "set" / "grid.png")
    shown = run("show", tmp_path / "set")
    assert "digits" in shown.stdout and "no picture" in shown.stderr
    assert (tmp_path / "set" / "grid.png").read_bytes() == foreign


@pytest.mark.parametrize("option", [*WRITERS, "ledger --into"])
def test_a_place_that_takes_nothing_is_told_before_any_work(place, tmp_path, monkeypatch, option):
    words = (WRITERS | READERS)[option]
    monkeypatch.setenv("CSDM_CACHE", str(tmp_path / "cache"))
    if Path("/proc/self").is_dir():
        fails(run(*aimed(words, Path("/proc/csdm")), expect=None), 1, "/proc")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("option", [*WRITERS, *READERS])
def test_an_empty_name_is_refused(place, option):
    flag = option.split()[-1] if "(" not in option else "--out"
    words = [*(WRITERS | READERS)[option]]
    words[words.index(flag) + 1] = ""
    before = files_in(place)
    fails(run(*words, expect=None), 2, "the name is empty")
    assert files_in(place) == before
