"""The Python door: the commands' runs, settings and refusals, without a word unless asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

import csdm_cli
from csdm_cli.errors import CsdmError, UsageError
from tests.command_world import COMMANDS, PARAMS, contents, run

TINY = {"ipc": 1, "iterations": 2, "draws": 1, "frequencies": 8, "augment": "crop_scale"}


def test_the_import_brings_nothing_heavy():
    code = "import csdm_cli, sys; print([name for name in ('torch', 'pydantic', 'typer') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        csdm_cli.nothing  # noqa: B018
    assert {"distill", "load"} <= set(dir(csdm_cli))


def test_a_command_and_a_call_make_the_same_bytes(workplace):
    from ruamel.yaml import YAML

    params = YAML(typ="safe").load(PARAMS)
    run(*COMMANDS["distill"])
    made = csdm_cli.distill("data", teachers="teachers", out="own", params=params)
    there = contents(workplace / "out" / "set")
    assert made.path == Path("own/distilled.safetensors")
    assert contents(workplace / "own") == there and there
    evaluated = run("evaluate", "own", "--data", "data", "--no-controls", "--json").stdout
    found = csdm_cli.evaluate(made, **params["evaluate"], controls=False)
    assert found.metrics() == json.loads(evaluated)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kernel": "nope"}, "--kernel: got .nope., expected one of rbf"),
        ({"method": "dm", "kernel": "rbf"}, "--kernel belongs to --method csdm; dm does not read it"),
        ({"method": "random", "precision": "bf16"}, "--precision has no effect on random"),
        ({"device": "nowhere"}, "device: input should be"),
        ({"threads": 0}, "--threads: got 0, expected a number >= 1"),
        ({"threads": 10**6}, "--threads: got 1000000, expected a number >= 1 and <= "),
        ({"memory_budget": -5}, "--memory-budget: got -5, expected a number >= 1"),
        ({"checkpoint_every": "often"}, "--checkpoint-every: got 'often', expected a number >= 0"),
        ({"preset": "mine"}, "preset 'mine': choose one of common, paper"),
        ({"params": {"pretrain": {"width": "wide"}}}, "params: pretrain.width"),
        ({"no_such": 1}, "no_such|no-such"),
    ],
)
def test_what_a_command_refuses_a_call_refuses(settings, words):
    with pytest.raises(UsageError, match=words):
        csdm_cli.distill("data", **settings)


def test_settings_of_the_section_are_the_user_s_whoever_names_them(workplace):
    """In ``params`` as with the command's --params: the set's own recipe fills in what neither names."""
    recipe = {"steps": 3, "students": 1, "test_points": 1}
    named = csdm_cli.evaluate("set", data="data", controls=False, **recipe)
    found = csdm_cli.evaluate("set", data="data", controls=False, params={"evaluate": recipe})
    assert found.task.settings.steps == 3 and found.metrics() == named.metrics()


def test_a_folder_of_images_is_named_as_the_command_has_it(workplace):
    for name in ("cat", "dog"):
        Path("pets", name).mkdir(parents=True)
        for number in range(3):
            pixels = torch.randint(0, 256, (8, 8), generator=torch.Generator().manual_seed(number), dtype=torch.uint8)
            Image.fromarray(pixels.numpy()).save(Path("pets", name, f"{number}.png"))
    made = csdm_cli.make_long_tail(Path("pets"), test_per_class=1, out="own")
    assert made.manifest.class_names == ("cat", "dog") and made.manifest.counts == (2, 2)
    with pytest.raises(UsageError, match="neither a folder nor the name"):
        csdm_cli.make_long_tail("./pet")


def test_an_imbalance_without_effect_is_refused():
    with pytest.raises(UsageError, match="imbalance has no effect on profile balanced"):
        csdm_cli.make_long_tail("digits", profile="balanced", imbalance=20, n_max=5)


def test_it_tells_whoever_asks(workplace, capfd):
    lines: list[str] = []
    csdm_cli.distill("data", teachers="teachers", out="one", **TINY, progress=lines.append)
    assert capfd.readouterr() == ("", "") and any("teachers; real side" in line for line in lines)
    csdm_cli.distill("data", teachers="teachers", out="one", **TINY, quiet=False)
    assert "already holds this run" in capfd.readouterr().err


def test_a_set_is_loaded_as_students_see_it(workplace):
    loaded = csdm_cli.load("set")
    distilled = loaded.distilled
    images, labels = loaded.tensors()
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (distilled.dataset.mean, distilled.dataset.std))
    torch.testing.assert_close(images * std + mean, distilled.decoded())
    assert torch.equal(labels, distilled.decoded_labels()) and labels.dtype == torch.int64
    plain, _ = loaded.tensors(normalised=False)
    assert torch.equal(plain, distilled.decoded())
    dataset = loaded.dataset()
    assert len(dataset) == len(images)
    assert torch.equal(dataset[3][0], images[3]) and dataset[3][1] == labels[3]
    with pytest.raises(CsdmError, match="no soft labels"):
        loaded.dataset("soft")


def test_soft_labels_are_the_probabilities_of_the_decoded_images(workplace):
    made = csdm_cli.distill("data", teachers="teachers", out="soft", **TINY, labels="soft")
    _, targets = csdm_cli.load(made.path).tensors()
    assert targets.shape == (10 * 4, 10) and torch.equal(targets, made.distilled.soft_labels.probabilities)
    _, hard = csdm_cli.load(made.path).tensors("hard")
    assert torch.equal(hard, made.distilled.decoded_labels())
