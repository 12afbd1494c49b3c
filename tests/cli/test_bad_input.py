"""Every kind of bad input: one clear line, the right exit code, nothing lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from urllib.error import URLError

import pytest
import torch

from csdm_cli.storage import tensorfile
from tests.command_world import COMMANDS, break_writes, contents, fails, litter, names, run

DISTILL = COMMANDS["distill"]


def flip_last_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def change_a_value(path: Path) -> None:
    """Flip a bit of the tensor stored first; the file keeps its form."""
    data = bytearray(path.read_bytes())
    data[8 + int.from_bytes(data[:8], "little")] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other_set(*options: object) -> None:
    run("make-lt", "--out", "other", *options)


# options


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["distill", "--ipc", "0"], ["--ipc", "0"]),
        (["distill", "--lr", "-1"], ["--lr", "-1"]),
        (["distill", "--average", "1"], ["--average", "1"]),
        (["distill", "--lr", "nan"], ["--lr", "nan"]),
        (["distill", "--alpha-head", "1.5"], ["--alpha-head", "1.5"]),
        (["distill", "--kernel", "lapalce"], ["--kernel", "lapalce", "laplace"]),
        (["distill", "--kernel", "polynomial", "--kernel-shape", "1.5"], ["--kernel-shape", "1.5"]),
        (["distill", "--kernel", "laplace", "--frequency-rule", "orthogonal"], ["--frequency-rule", "laplace"]),
        (["distill", "--kernel", "polynomial", "--alpha-head", "0.6"], ["--alpha-head", "csdm"]),
        (["distill", "--kernel", "polynomial", "--real", "bank"], ["--real bank", "--real fresh", "csdm"]),
        (["distill", "--method", "dm", "--kernel", "rbf"], ["--kernel", "csdm"]),
        (["distill", "--method", "random", "--lr", "0.1"], ["--lr", "random"]),
        (["distill", "--augment", "crop_crop"], ["--augment", "crop_crop"]),
        (["distill", "--factor", "9"], ["--factor", "9", "4"]),
        (["distill", "--memory-budget", "0"], ["--memory-budget", "0"]),
        (["distill", "--nonsense"], ["--nonsense", "csdm distill --help"]),
        (["distill", "a", "b"], ["b", "csdm distill --help"]),
        (["distil"], ["distil", "distill"]),
        (["make-lt", "digits", "--imbalance", "0.5"], ["--imbalance", "0.5"]),
        (["make-lt", "digit"], ["DATASET", "digit", "digits"]),
        (["make-lt", "digits", "--dev", "500"], ["--dev", "500"]),
        (["make-lt", "digits", "--n-max", "5000"], ["n_max", "5000"]),
        (["make-lt", "digits", "--profile", "explicit", "--counts", "4,3"], ["counts", "2", "10"]),
        (["make-lt", "folder"], ["folder", "data_dir"]),
        (["make-lt", "imagenette"], ["imagenette", "--data-dir"]),
        (["pretrain", "--network", "resnet81", "--epochs", "1"], ["resnet81", "resnet18"]),
        (["evaluate", "set", "--data", "data", "--network", "convnett"], ["convnett", "convnet"]),
        (["evaluate", "set", "--steps", "3", "--test-points", "4"], ["test_points", "4", "3"]),
        (["evaluate", "set", "--images", "x.npz"], ["FILE", "--images"]),
        (["cross-arch", "set", "--data", "data", "--networks", "convnet,resnet81"], ["resnet81", "resnet18"]),
        (["profile", "--ipcs", "1,zero"], ["--ipcs", "2", "zero"]),
        (["report"], ["DIR"]),
        (["export", "set", "--to", "zip"], ["--to", "zip", "imagefolder"]),
        (["pretrain", "--device", "cuda"], ["--device cpu", "cuda"]),
        (["distill", "--params", "none.yaml"], ["none.yaml"]),
    ],
)
def test_wrong_options_are_named_with_their_values(workplace, monkeypatch, csdm, arguments, named):
    """As words of their own in the one line, in whatever English; nothing is written."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    before = contents(workplace)
    names(csdm(*arguments), 2, *named)
    assert contents(workplace) == before


def test_several_mistakes_in_a_file_are_named_at_once(workplace):
    Path("bad.yaml").write_text("distill: {ipc: 0, kernl: rbf, kernel: rfb}\nevaluat: {steps: 3}\n")
    result = run("distill", "--params", "bad.yaml", expect=None)
    fails(result, 2, "bad.yaml: 4 mistakes", "distill.ipc", "did you mean kernel?", "did you mean rbf?", "evaluate")
    Path("bad.yaml").write_text("distill: [\n")
    fails(run("distill", "--params", "bad.yaml", expect=None), 2, "bad.yaml", "not YAML")


# data


@pytest.mark.parametrize("command", ["pretrain", "distill", "profile"])
def test_no_long_tailed_set(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("")
    fails(run(command, expect=None), 1, "no long-tailed set in data/", "csdm make-lt")
    fails(run(command, "nowhere", expect=None), 1, "nowhere is not a long-tailed set", "csdm make-lt")


@pytest.mark.parametrize("command", ["evaluate", "cross-arch"])
def test_no_distilled_set(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("")
    fails(run(command, expect=None), 1, "no distilled set in artifacts/", "csdm distill")
    fails(run(command, "nowhere", expect=None), 1, "nowhere does not exist")


@pytest.mark.parametrize("damage", [flip_last_byte, cut, empty, Path.unlink])
@pytest.mark.parametrize("command", ["pretrain", "distill"])
def test_damaged_images(workplace, command, damage):
    damage(Path("data/train.safetensors"))
    fails(run(*COMMANDS[command], expect=None), 1, "data/train.safetensors")
    assert not Path("out").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": 1}'])
def test_a_damaged_manifest(workplace, text):
    Path("data/manifest.json").write_text(text)
    fails(run(*DISTILL, expect=None), 1, "data/manifest.json")
    fails(run("distill", expect=None), 1, "data/manifest.json")


def test_a_set_without_development_images(workplace):
    other_set("--dev", 0)
    run("distill", "other", "--method", "random", "--out", "own")
    fails(run("evaluate", "own", "--data", "other", "--split", "dev", expect=None), 1, "csdm make-lt --dev")


def test_a_download_without_a_network(workplace, monkeypatch):
    def unreachable(*arguments, **named):
        raise URLError("Network is unreachable")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    result = run("make-lt", "cifar10", "--n-max", 5, "--size", 32, "--out", "out", expect=None)
    fails(result, 1, "cannot download cifar10", "--data-dir DIR")
    assert "downloading cifar10 to " in result.stderr
    assert not Path("out").exists() and not litter(workplace)


def test_a_foreign_folder_is_not_overwritten(workplace):
    Path("precious").mkdir()
    Path("precious/letter.txt").write_text("dear")
    fails(run("make-lt", "--out", "precious", expect=None), 1, "letter.txt", "--out")
    assert contents(Path("precious")) == {"letter.txt": b"dear"}


# teachers


@pytest.mark.parametrize("command", [DISTILL, ["profile", "data", "--teachers", "teachers"]])
def test_teachers_of_another_set(workplace, command):
    for options, fragment in (
        (["--seed", 1], "trained on another set"),
        (["--size", 8], "1x8x8 images of 10 classes, but data has 1x16x16"),
    ):
        other_set(*options)
        run("pretrain", "other", "--out", "teachers", "--epochs", 1)
        fails(run(*command, expect=None), 1, fragment, "csdm pretrain")


def test_teachers_of_another_number_of_classes(workplace):
    for index, name in enumerate(("a", "b")):
        for split in ("train", "test"):
            place = Path("pictures", split, name)
            place.mkdir(parents=True)
            from PIL import Image

            for number in range(4):
                Image.new("L", (16, 16), 40 * number + 90 * index).save(place / f"{number}.png")
    options = ("--data-dir", "pictures", "--n-max", 3, "--imbalance", 2, "--dev", 0)
    run("make-lt", "folder", *options, "--out", "two")
    run("pretrain", "two", "--out", "teachers", "--epochs", 1)
    fails(run(*DISTILL, expect=None), 1, "images of 2 classes, but data has")


@pytest.mark.parametrize("damage", [change_a_value, cut, empty, Path.unlink])
def test_a_damaged_teacher(workplace, damage):
    damage(Path("teachers/teacher-01.safetensors"))
    fails(run(*DISTILL, expect=None), 1, "teacher-01.safetensors", "run csdm pretrain again")
    assert not Path("out").exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"teachers": 0, "files": {}}', '{"teachers": 1, "files": 3}'])
def test_a_damaged_index_of_teachers(workplace, text):
    Path("teachers/pool.json").write_text(text)
    fails(run(*DISTILL, expect=None), 1, "pool.json is damaged", "run csdm pretrain again")
    Path("teachers/pool.json").unlink()
    fails(run(*DISTILL, expect=None), 1, "teachers holds no teacher pool", "csdm pretrain")


def test_a_damaged_teacher_in_the_cache_is_trained_again(world, workplace, tmp_path):
    shutil.copytree(world.folder / "cache", tmp_path / "cache")
    (kept,) = (tmp_path / "cache").glob("teachers/*/teacher-00.safetensors")
    flip_last_byte(kept)
    result = run(*COMMANDS["pretrain"])
    assert f"warning: {kept} is damaged; this teacher is trained again" in result.stderr
    assert contents(workplace / "out/teachers") == contents(world.folder / "out/teachers")


def test_a_damaged_bank(world, workplace, tmp_path):
    shutil.copytree(world.folder / "cache", tmp_path / "cache")
    for entry in (tmp_path / "cache" / "bank").glob("*/view-*.safetensors"):
        flip_last_byte(entry)
    result = run(*DISTILL, expect=None)
    if result.exit_code:
        fails(result, 1, str(tmp_path / "cache" / "bank"), "damaged")
    else:
        assert contents(workplace / "out/set") == contents(world.folder / "out/set")


def test_damaged_results_of_students_are_computed_again(world, workplace, tmp_path):
    shutil.copytree(world.folder / "cache", tmp_path / "cache")
    for entry in (tmp_path / "cache" / "evaluations").glob("*/student-0.json"):
        cut(entry)
    run(*COMMANDS["evaluate"])
    assert contents(workplace / "out") == {
        f"evaluation/{name}": data for name, data in contents(world.folder / "out/evaluation").items()
    }


# distilled sets


@pytest.mark.parametrize("damage", [flip_last_byte, cut, empty])
@pytest.mark.parametrize("command", ["evaluate", "cross-arch", "show", "verify", "export"])
def test_a_damaged_set(workplace, command, damage):
    damage(Path("set/distilled.safetensors"))
    arguments = COMMANDS.get(command, [command, "set", *(["--to", "npz"] if command == "export" else [])])
    fails(run(*arguments, expect=None), 1, "set/distilled.safetensors")
    assert not Path("out").exists()


def test_a_damaged_set_is_distilled_again(world, workplace):
    run(*DISTILL)
    flip_last_byte(Path("out/set/distilled.safetensors"))
    run(*DISTILL)
    assert contents(workplace / "out/set") == contents(world.folder / "out/set")


def test_something_else_instead_of_a_set(workplace):
    tensorfile.save(Path("other.safetensors"), {"x": torch.zeros(2)}, {"kind": "something"})
    fails(run("show", "other.safetensors", expect=None), 1, "is not a distilled set")
    Path("notes.txt").write_text("hello")
    for command in (["show"], ["verify"], ["export", "--to", "pt"]):
        fails(run(*command, "notes.txt", expect=None), 1, "notes.txt")
        fails(run(*command, "data", expect=None), 1, "there is no distilled.safetensors in the folder data")


def test_a_set_of_another_dataset(workplace):
    other_set("--size", 8)
    fails(run("evaluate", "set", "--data", "other", expect=None), 1, "was distilled from another dataset than other")
    shutil.rmtree("data")
    fails(run("evaluate", "set", expect=None), 1, "--data", "csdm make-lt")


def test_a_set_of_another_tail_of_the_same_dataset(workplace):
    """Their test images are the same, but not the controls, the rare classes and the images held out for choices."""
    once = json.loads(run("evaluate", "set", "--json", "--out", "first").stdout)
    other_set("--imbalance", 3)
    fails(run("evaluate", "set", "--data", "other", expect=None), 1, "was distilled from another tail than other")
    shutil.move("other", "data/newer")
    assert json.loads(run("evaluate", "set", "--json", "--out", "second").stdout) == once
    Path("data/manifest.json").unlink()
    fails(run("evaluate", "set", expect=None), 1, "data/newer has the same test images, but another tail")


def test_soft_labels_that_are_not_there(workplace):
    fails(run(*COMMANDS["evaluate"], "--labels", "soft", expect=None), 1, "no soft labels", "--labels hard")


def test_foreign_sets_that_do_not_fit(workplace):
    torch.save({"images": torch.rand(4, 3, 16, 16), "labels": torch.arange(4)}, "colour.pt")
    torch.save({"images": torch.rand(4, 1, 16, 16), "labels": torch.arange(4) + 9}, "classes.pt")
    torch.save({"images": 9 * torch.randn(4, 1, 16, 16), "labels": torch.arange(4)}, "range.pt")
    torch.save(torch.rand(4, 1, 16, 16), "bare.pt")
    for name, code in (("colour", 1), ("classes", 1), ("range", 2), ("bare", 2)):
        fails(run("evaluate", "--images", f"{name}.pt", "--data", "data", expect=None), code, f"{name}.pt")
    fails(run("evaluate", "--images", "none.npz", "--data", "data", expect=None), 1, "none.npz does not exist")
    assert not Path("evaluate").exists()


def test_reports_of_nothing(workplace):
    fails(run("report", "nowhere", expect=None), 1, "there is no folder nowhere")
    fails(run("report", "data", expect=None), 1, "no results in data")
    Path("results").mkdir()
    for text in ("", "[]", '{"accuracy": 3}', json.dumps({"convnet": 1})):
        Path("results/metrics.json").write_text(text)
        fails(run("report", "results", expect=None), 1, "results/metrics.json is damaged")


# the machine


@pytest.mark.parametrize("command", [*COMMANDS, "profile", "show", "export"])
def test_an_out_that_cannot_be_written(workplace, command):
    Path("file").write_text("")
    arguments = {
        "profile": ["profile", "data", "--teachers", "teachers"],
        "show": ["show", "set"],
        "export": ["export", "set", "--to", "npz"],
    }.get(command, COMMANDS.get(command, [])[:-1])
    if command == "distill":
        arguments = ["distill", "data", "--teachers", "teachers"]
    option = "--png" if command == "show" else "--out"
    words = [word for word in arguments if word != "--out"]
    below = {"show": "file/below.png", "export": "file/below.npz"}.get(command, "file/below")
    fails(run(*words, option, below, expect=None), 1, f"cannot write {below}")


@pytest.mark.parametrize("first", [0, 1, 2])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk(world, workplace, command, first):
    """Whatever could not be written: the results before are whole, and the next run completes them."""
    with break_writes(first):
        fails(run(*COMMANDS[command], expect=None), 1, "No space left on device", "free some space and run again")
    assert not [name for name in litter(workplace) if name.endswith((".tmp", ".old"))]
    run(*COMMANDS[command])
    name = "out/set" if command == "distill" else COMMANDS[command][-1]
    assert contents(workplace / name) == contents(world.folder / name)


def test_an_unusable_cache(workplace, monkeypatch):
    Path("file").write_text("")
    monkeypatch.setenv("CSDM_CACHE", str(workplace / "file"))
    for command in ("pretrain", "distill"):
        fails(run(*COMMANDS[command], expect=None), 1, "file")


def test_a_tracking_store_that_cannot_be_opened(workplace, monkeypatch):
    Path("file").write_text("")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workplace}/file/mlflow.db")
    fails(run(*DISTILL, "--tracking", "mlflow", expect=None), 1, "tracking", "--tracking none")
