"""The effects of distill's options."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from csdm_cli.artifacts.accounting import storage_of
from csdm_cli.artifacts.file import load_distilled
from csdm_cli.data.store import open_longtail
from csdm_cli.distillation import layout
from csdm_cli.distillation.layout import Chunking
from csdm_cli.images.multi_formation import encode_mix
from csdm_cli.methods import load, method_names
from csdm_cli.names import Parameterization
from tests.command_world import contents, fails, run


def distil(*options: object, out: str = "out"):
    result = run("distill", "data", "--teachers", "teachers", "--out", out, *options)
    return result, load_distilled(Path(out))


def test_soft_labels_are_the_teachers_mean_probabilities(workplace):
    _, hard = distil(out="hard")
    _, soft = distil("--labels", "soft", "--temperature", 2, out="soft")
    assert torch.equal(soft.images, hard.images)
    found = soft.soft_labels
    assert found.probabilities.shape == (80, 10) and found.temperature == 2 and found.teacher == "2 x convnet"
    assert torch.allclose(found.probabilities.sum(1), torch.ones(80))
    assert "soft labels" in run("evaluate", "soft", "--data", "data").stdout


def test_soft_labels_are_freed_of_priors(workplace):
    """A number is used as it is, auto is measured on the development set; either is told and kept."""
    result, made = distil("--labels", "soft", "--prior-calibration", 0.5, out="half")
    assert "prior calibration: τ 0.5\n" in result.stdout
    assert made.provenance.config["prior_calibration"] == {"tau": 0.5}
    _, plain = distil("--labels", "soft", out="plain")
    tail = made.soft_labels.probabilities[:, -1].mean() - plain.soft_labels.probabilities[:, -1].mean()
    assert torch.equal(made.images, plain.images) and tail > 0
    result, chosen = distil("--labels", "soft", "--prior-calibration", "auto", out="auto")
    found = chosen.provenance.config["prior_calibration"]
    assert found["measured_on"] == "dev" and len(found["balanced_nll"]) == 21
    assert f"τ {found['tau']:g}, chosen on the development set" in result.stdout
    assert f"τ {found['tau']:g}" in run("distill", "data", "--teachers", "teachers", "--labels", "soft",
                                        "--prior-calibration", "auto", "--out", "auto").stdout  # fmt: skip
    assert "prior_calibration" in run("show", "auto").stdout
    evaluated = ("evaluate", "auto", "--data", "data", "--split", "dev", "--no-controls")
    fails(run(*evaluated, expect=None), 2, "--split dev", "--prior-calibration auto", "cannot test it")
    run(*evaluated, "--labels", "hard")


def test_without_a_development_set_tau_is_chosen_on_training_images(workplace):
    run("make-lt", "--dev", 0, "--out", "bare")
    options = ("--labels", "soft", "--prior-calibration", "auto", "--method", "random")
    result = run("distill", "bare", *options, "--out", "out")
    assert "chosen on the training images" in result.stdout


def test_prior_calibration_is_refused_where_it_does_nothing(workplace):
    calibrated = ("distill", "data", "--teachers", "teachers", "--prior-calibration")
    fails(run(*calibrated, "auto", expect=None), 2, "--prior-calibration auto", "--labels soft")
    fails(run(*calibrated, "much", "--labels", "soft", expect=None), 2, 'got "much"', "a number >= 0, or auto")
    fails(run(*calibrated, "-1", "--labels", "soft", expect=None), 2, "a number >= 0, or auto")


@pytest.mark.parametrize("method", ["random", "tiled-random"])
def test_selections_are_real_images(workplace, method):
    result = run("distill", "data", "--method", method, "--out", "out")
    made = load_distilled(Path("out"))
    assert "teacher" not in result.stderr and made.decoding.factor == (2 if method == "tiled-random" else 1)
    real = open_longtail(Path("data")).train()
    for label in range(3):  # classes with as many images as are needed
        own = real.of_class(label).float() / 255
        stored = made.images[made.labels == label].float() / 255
        if method == "random":
            assert all(any(torch.equal(image, candidate) for candidate in own) for image in stored)
            continue
        tiles = stored.unfold(2, 8, 8).unfold(3, 8, 8).permute(0, 2, 3, 1, 4, 5).reshape(-1, 1, 8, 8)
        shrunk = encode_mix(own.repeat_interleave(4, 0), 2, 16)[:, :, :8, :8]
        assert all((tile - shrunk).abs().amax(dim=(1, 2, 3)).min() < 0.51 / 255 for tile in tiles)


def test_an_average_of_the_steps_is_stored_and_labelled(workplace):
    def made(iterations: int, average: float):
        options = ("--lr", 0.2, "--schedule", "constant", "--labels", "soft")
        return distil("--iterations", iterations, "--average", average, *options, out=f"{iterations}-{average}")[1]

    first, second, averaged = made(1, 0), made(2, 0), made(2, 0.5)
    expected = (0.5 * first.images.double() + second.images.double()) / 1.5
    assert (averaged.images - expected).abs().max() <= 1  # of 255: all were rounded
    assert (second.images - expected).abs().max() > 10
    assert not torch.equal(averaged.soft_labels.probabilities, second.soft_labels.probabilities)


@pytest.mark.parametrize("kind", list(Parameterization))
def test_every_parameterization_starts_from_noise_too_and_is_averaged(workplace, kind):
    """Within the budget's bytes; other images than from real ones, and than those of the last step."""
    words = ("--method", "dm", "--parameterization", kind, "--iterations", 2, "--lr", 0.1, "--schedule", "constant")
    result, made = distil(*words, "--initial", "noise", "--average", 0.5, out="noise")
    _, last = distil(*words, "--initial", "noise", out="last")
    _, real = distil(*words, "--initial", "real", "--average", 0.5, "--labels", "soft", out="real")
    images = made.decoded()
    assert images.isfinite().all() and images.min() >= 0 and images.max() <= 1 and images.std() > 0.01
    assert (images - last.decoded()).abs().max() > 1 / 255 and (images - real.decoded()).abs().max() > 1 / 255
    assert len(real.soft_labels.probabilities) == len(real.decoded()) == len(images)
    storage = storage_of(made)
    assert 0 < storage.ipc_equivalent <= 2 and f"{storage.ipc_equivalent:.2f} images per class" in result.stdout
    made_of = {"frequency": "from frequency coefficients", "decomposition": "from tensors and kernels"}
    assert made_of.get(kind, "factor") in result.stdout


def test_dm_matches_means(workplace):
    result, made = distil("--method", "dm")
    assert "matching of class means" in result.stderr and made.provenance.method == "dm"


@pytest.mark.parametrize(
    ("options", "real"),
    [
        (["--kernel", "polynomial"], "fresh"),
        (["--kernel", "sigmoid"], "fresh"),
        (["--kernel", "linear"], "bank"),
        (["--kernel", "matern", "--kernel-shape", "0.7"], "bank"),
        (["--real", "fresh", "--real-batch", "4"], "fresh"),
        (["--engine", "textbook"], "fresh"),
        (["--teacher-schedule", "interpolate"], "bank"),
        (["--initial", "noise", "--optimizer", "sgd", "--distance", "root", "--augment-mode", "compose"], "bank"),
    ],
)
def test_ways_to_match(workplace, options, real):
    result, made = distil(*options)
    assert f"real side: {real}" in result.stderr
    _, other = distil("--iterations", 0, *(options if "noise" in options else ()), out="start")
    assert made.images.shape == other.images.shape and not torch.equal(made.images, other.images)


def test_a_trajectory_makes_teachers_keep_their_epochs(workplace):
    """Asked for on the command line alone; teachers that kept none are refused before anything is done."""
    result = run("distill", "data", "--teacher-schedule", "trajectory", "--out", "out")
    assert "teachers to train first: 2 of 2" in result.stderr
    assert load_distilled(Path("out")).provenance.config["teachers"]["trajectory"] is True
    result = run(
        "distill", "data", "--teachers", "teachers", "--teacher-schedule", "trajectory", "--out", "no", expect=None
    )
    fails(result, 1, "kept no weights of their epochs", "csdm pretrain --trajectory")
    assert not Path("no").exists()


def test_a_small_memory_budget_gives_nearly_the_same_images(workplace, monkeypatch):
    """Under SGD, whose steps follow the gradient's rounding; stored pixels differ by one level of 256 at most."""
    layouts = []
    real = layout.chunking

    def noting(*arguments):
        layouts.append(real(*arguments))
        return layouts[-1]

    monkeypatch.setattr(layout, "chunking", noting)
    options = ("--ipc", 40, "--optimizer", "sgd", "--lr", 20, "--iterations", 3)
    _, large = distil(*options, "--memory-budget", 1000, out="large")
    _, small = distil(*options, "--memory-budget", 1, out="small")
    assert layouts[0] == Chunking(10, 40) and layouts[1].classes == 1 and layouts[1].images < 40
    difference = (large.images.int() - small.images.int()).abs()
    assert difference.max() <= 1 and (difference > 0).float().mean() < 0.01
    _, start = distil(*options[:-1], 0, out="start")
    assert (large.images.int() - start.images.int()).abs().max() > 3


def test_options_of_how_to_run_change_nothing(workplace):
    distil("--checkpoint-every", 0, out="one")
    distil("--no-resume", "--threads", 1, out="two")
    assert contents(Path("one")) == contents(Path("two"))


@pytest.mark.parametrize("command", ["pretrain", "distill", "profile"])
def test_missing_and_foreign_inputs(workplace, command):
    fails(run(command, "nowhere", expect=None), 1, "nowhere", "make-lt")
    fails(run(command, "teachers", expect=None), 1, "teachers is not a long-tailed set")


def test_numerics_are_part_of_the_run_and_told_of_it(workplace):
    """Another rounding gives another run; asking for what the device does anyway does not."""
    _, plain = distil(out="plain")
    _, asked = distil("--precision", "fp32", "--no-channels-last", "--no-compile", out="asked")
    _, half = distil("--precision", "bf16", "--channels-last", out="half")
    runs = [made.provenance.config["run"] for made in (plain, asked, half)]
    assert runs[0] == runs[1] != runs[2]
    assert half.provenance.config["numerics"] == {"precision": "bf16", "channels_last": True, "compiled": False}
    assert plain.images.shape == half.images.shape
    random = run("distill", "data", "--method", "random", "--precision", "bf16", expect=None)
    fails(random, 2, "--precision has no effect on random")
    for method, *option in (("dc", "--memory-budget", "64"), ("dc", "--compile"), ("mtt", "--precision", "bf16")):
        learning = run("distill", "data", "--method", method, *option, expect=None)
        fails(learning, 2, f"{option[0]} has no effect on {method}, which compares what networks learn")


def test_tuned_options_are_hinted_at_until_they_are_chosen(workplace):
    words = ("distill", "data", "--teachers", "teachers", "--method", "m3d", "--out", "out")
    hint = "hint: m3d did best on CIFAR-10-LT with --calibration 1x --lr 0.03: see --preset common"
    assert hint in run(*words).stderr
    assert "m3d did best on CIFAR-10-LT with --lr 0.03:" in run(*words, "--calibration", 0).stderr
    assert "hint" not in run(*words, "--preset", "common").stderr
    assert "hint" not in run(*words, "--preset", "paper", "--iterations", 2, "--real-batch", 4).stderr


def test_methods_for_frozen_backbones_are_those_that_say_so():
    classes = [load(name) for name in method_names()]
    assert any(cls.for_backbones for cls in classes)
    assert all(cls.for_backbones == ("frozen backbones" in cls.summary) for cls in classes)


def test_a_method_for_frozen_backbones_hints_at_one_where_none_is_named(world, workplace, monkeypatch):
    monkeypatch.setenv("CSDM_CACHE", str(world.folder / "cache"))
    hint = "hint: sfm is made for frozen backbones, and no backbone is named"
    words = ("distill", "data", "--iterations", 1, "--out", "out", "--method")
    told = run(*words, "sfm").stderr
    assert hint in told and "`csdm pretrain data --network patch-kmeans --out backbone`" in told
    assert hint not in run(*words, "sfm", "--teachers", "teachers").stderr
    assert "frozen backbones" not in run(*words, "dm").stderr
    Path("params.yaml").write_text("pretrain: {network: patch-kmeans, centres: 8}\ndistill: {augment: crop_scale}\n")
    assert hint not in run(*words, "sfm", "--ipc", 1).stderr
