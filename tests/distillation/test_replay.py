"""Recorded steps: a view's second step is recorded, later ones are called again, and all are as a plain step is."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from csdm_cli.distillation.bank import BankedRealSide, build_bank
from csdm_cli.distillation.layout import Chunking, Formation
from csdm_cli.distillation.leaves import Leaves, PixelPlan
from csdm_cli.distillation.replay import Replay, backward_of
from csdm_cli.distillation.step import AUGMENTATIONS, Matching, batched_iteration
from csdm_cli.images.initial import initial_images
from csdm_cli.methods import load, method_names
from csdm_cli.methods.contract import Context, MatchingMethod
from csdm_cli.names import AugmentMode, Initial, PixelOptimizer, Schedule, TeacherSchedule
from csdm_cli.runs.method_options import make_method
from csdm_cli.settings.sections import Distill
from csdm_cli.teachers.networks import PoolNetworks
from csdm_cli.teachers.views import PooledViews, ViewPlan

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
VIEWS = 4  # two of each of two teachers
EPOCHS = 3


class Rerun:
    """Stands for CUDA graphs: work that is done again puts its results where they were when it was recorded.

    It reads the weights from where they were as well, so they have to be those of then.
    """

    def __init__(self, images, networks, monkeypatch):
        self.images, self.recorded, self.again, self.read = images, 0, 0, []
        at = networks.at

        def spy(*stage):
            network = at(*stage)
            self.read.append(network)
            return network

        monkeypatch.setattr(networks, "at", spy)

    def __call__(self, work):
        self.recorded += 1
        self.read.clear()
        terms, gradient = work(), self.images.grad
        weights = [value for network in self.read for value in network.parameters()]
        values = [value.clone() for value in weights]
        for tensor in (gradient, *terms.values()):
            tensor.fill_(torch.nan)  # nothing is done yet

        def run():
            self.again += 1
            assert all(torch.equal(weight, value) for weight, value in zip(weights, values, strict=True))
            found = work()
            gradient.copy_(self.images.grad)
            for name, value in found.items():
                terms[name].copy_(value)

        return run, terms


@pytest.fixture
def parts(data, pool, tmp_path):
    """Leaves, matching and real side of a run."""

    def make(method="csdm", draws=2, schedule=TeacherSchedule.final, option=None):
        own = make_method(Distill(method=method, frequencies=16, option=option or {}))
        own.prepare(Context(data.counts, CPU, torch.float32))
        formation = Formation(data.classes, 2, 2, data.size, data.mean, data.std)
        networks = own.networks(PoolNetworks(pool, CPU, torch.float32))
        plan = ViewPlan(2, data.classes, ("crop",), AugmentMode.single, schedule, EPOCHS, seed=1)
        views = PooledViews(plan, draws=draws)
        folder = tmp_path / f"{method}-{schedule}-{option}"
        build_bank(folder, data, views, VIEWS, own.request(), networks, torch.float32, quiet=True)
        real = BankedRealSide(folder, views, own.request(), networks, torch.float32)
        leaves = Leaves(
            initial_images(data, 2, 2, Initial.mix, seed=0), PixelPlan(PixelOptimizer.adam, 0.02, Schedule.cosine, 20)
        )
        return leaves, Matching(own, formation, networks, 1.0, Chunking(2, 2)), real

    return make


@pytest.mark.parametrize("schedule", [TeacherSchedule.final, TeacherSchedule.interpolate])
@pytest.mark.parametrize("kept", [3, 10])
@pytest.mark.parametrize(
    ("method", "option"), [("csdm", None), ("csdm", {"raw": True, "block": 1}), ("dm", None), ("ncfm", None)]
)
def test_the_run_is_the_same(parts, monkeypatch, method, option, kept, schedule):
    """Also where networks, of which a few are kept, take on the weights of others between a view's steps."""
    monkeypatch.setattr("csdm_cli.teachers.networks.KEPT", kept)
    found = []
    for recorded in (False, True):
        leaves, matching, real = parts(method, schedule=schedule, option=option)
        recorder = Rerun(leaves.images, matching.networks, monkeypatch)
        backward = Replay(matching, recorder).backward if recorded else None
        run = partial(batched_iteration, leaves, matching, real, backward=backward)
        history = [{name: float(value) for name, value in run(step).items()} for step in range(3 * VIEWS + 1)]
        found.append((leaves.images.detach(), history))
    (plain, losses), (replayed, again) = found
    assert torch.equal(plain, replayed) and losses == again
    assert recorder.recorded == VIEWS
    if kept == 10 or schedule is TeacherSchedule.final:
        assert recorder.again == 2 * VIEWS + 1


@pytest.mark.usefixtures("aloud")
def test_what_cannot_be_recorded_runs_as_it_is(parts, capsys):
    def refuse(work):
        work()
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    leaves, matching, real = parts()
    others = parts()
    run = partial(batched_iteration, leaves, matching, real, backward=Replay(matching, refuse).backward)
    for step in range(2 * VIEWS):
        run(step)
        batched_iteration(*others, step)
    assert torch.equal(leaves.images, others[0].images)
    told = capsys.readouterr().err
    assert told.count("not recorded") == 1 and "and more" not in told


def test_where_steps_are_recorded(parts, monkeypatch):
    monkeypatch.setattr("csdm_cli.distillation.replay.GraphRecorder", lambda: None)
    _, matching, real = parts()

    def plain(matching=matching, real=real, device=CUDA):
        return backward_of(matching, real, device) == matching.backward

    assert not plain()
    assert plain(device=CPU)
    assert plain(real=object())
    chunks = 2  # of three classes
    assert plain(real=parts(draws=AUGMENTATIONS // chunks // 2 + 1)[2])
    other = Matching(load("iid")(make_method(Distill(method="iid")).parameters), *_rest(matching))
    assert plain(matching=other)
    torch.use_deterministic_algorithms(True)
    try:
        assert plain()
    finally:
        torch.use_deterministic_algorithms(False)


def _rest(matching):
    return matching.formation, matching.networks, matching.calibration, matching.layout


def test_methods_that_are_replayed_have_no_state_of_their_own():
    for name in method_names():
        method = make_method(Distill(method=name))
        if isinstance(method, MatchingMethod) and method.replayable:
            assert method.bankable and not method.needs_moved_images and not method.state_dict(), name
    learned = make_method(Distill(method="ncfm", option={"sampler": "learned"}))
    assert isinstance(learned, MatchingMethod) and not learned.replayable
