"""Classes dealt out to ranks: together they give the bits of one process, by every method that allows it."""

from __future__ import annotations

import pytest
import torch

from csdm_cli.distillation.checkpoint import Checkpoint
from csdm_cli.distillation.loop import Distillation, optimise
from csdm_cli.distillation.sharded import collected
from csdm_cli.images.image_set import ImageSet
from csdm_cli.methods import load, method_names
from csdm_cli.methods.contract import OptimisedMethod
from csdm_cli.methods.learning import LearningMethod
from csdm_cli.names import AugmentMode, TeacherLoss
from csdm_cli.networks.spec import NetworkSpec
from csdm_cli.parallel.class_shares import share_of
from csdm_cli.parallel.ranks import ALONE, Ranks
from csdm_cli.runs.assemble import assemble
from csdm_cli.runs.assemble_learning import assemble_learning
from csdm_cli.runs.choose import decided
from csdm_cli.runs.method_options import make_method
from csdm_cli.settings import sections
from csdm_cli.teachers.plan import TeacherPlan
from csdm_cli.teachers.pool import TeacherPool, train_pool
from csdm_cli.training.recipe import Duration, Recipe

pytestmark = pytest.mark.usefixtures("aloud")

TINY = {"iterations": 3, "draws": 2, "frequencies": 16, "lr": 0.02, "real_batch": 4, "factor": 2}
SHORT = {name: {"outer": 2, "inner": 2} for name in ("idc", "dream")}  # a second network at the last step
OPTIMISED = [name for name in method_names() if issubclass(load(name), OptimisedMethod)]
SEPARABLE = [name for name in OPTIMISED if not make_method(sections.Distill(method=name)).coupled_by]


class Messenger(Ranks):
    """A rank that finds what the others would send in its mailbox; the others leave theirs in it."""

    def __init__(self, rank, world, mail):
        super().__init__(rank, world, torch.distributed.HashStore())
        self.mail = mail

    def gather(self, own):
        self.mail.setdefault(self.rank, []).append(own)
        if not self.leads:
            return None
        return [self.mail[rank].pop(0) for rank in range(self.world)]


@pytest.fixture(scope="module")
def uneven() -> ImageSet:
    """Five classes of 9x9 images: 243 numbers each, which no vector unit divides evenly."""
    rng = torch.Generator().manual_seed(0)
    counts = (9, 7, 6, 4, 3)
    images = torch.randint(0, 256, (sum(counts), 3, 9, 9), generator=rng, dtype=torch.uint8)
    return ImageSet(images, counts, tuple("abcde"), (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))


@pytest.fixture(scope="module")
def pool9(uneven: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> TeacherPool:
    recipe = Recipe("sgd", 0.05, 0.9, 5e-4, 8, "crop", AugmentMode.single, 0.0, "steps")
    plan = TeacherPlan(2, Duration(epochs=2), TeacherLoss.balanced_softmax, recipe, True, 0)
    spec = NetworkSpec("convnet", 4, 2, "instance", "avg", 3, 9, uneven.classes)
    return train_pool(uneven, spec, plan, tmp_path_factory.mktemp("teachers"), "cpu", quiet=True)


def distilled(settings, data, pool, folder, ranks=ALONE, budget=None, stop=None, resume=False) -> Distillation:
    settled, method = decided(settings)
    if isinstance(method, LearningMethod):
        parts = assemble_learning(settled, method, data, pool.spec, ranks=ranks)
    else:
        parts = assemble(settled, method, data, pool, folder, quiet=True, ranks=ranks, memory_budget=budget)
    if parts.share is not None and not len(parts.share):
        return collected(Distillation(parts.leaves.stored, {}, 0.0, 0), ranks)

    def iterate(step: int) -> dict[str, torch.Tensor]:
        if step == stop:
            raise InterruptedError
        return parts.iterate(step)

    checkpoint = Checkpoint(folder, "run", 0 if stop else 1e9, parts.share)
    result = optimise(parts.leaves, method, iterate, checkpoint, resume=resume, quiet=True)
    return result if parts.share is None else collected(result, ranks)


def shared(settings, data, pool, folder, world, budget=None) -> Distillation:
    """Rank 0's result, where the other ranks have run before it."""
    mail: dict[int, list] = {}
    for rank in range(1, world):
        assert distilled(settings, data, pool, folder, Messenger(rank, world, mail), budget) is None
    return distilled(settings, data, pool, folder, Messenger(0, world, mail), budget)


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("name", SEPARABLE)
def test_ranks_together_give_the_bits_of_one_process(name, world, uneven, pool9, tmp_path):
    settings = sections.Distill(method=name, ipc=1, **TINY, option=SHORT.get(name, {}))
    alone = distilled(settings, uneven, pool9, tmp_path)
    found = shared(settings, uneven, pool9, tmp_path, world)
    assert torch.equal(found.images, alone.images)
    assert found.history.keys() == alone.history.keys()
    for term, values in alone.history.items():
        assert torch.equal(found.history[term], values), term


@pytest.mark.parametrize(
    "settings",
    [
        {"real": "fresh"},
        {"option": {"borrow": 0.5, "debias": True, "adaptive": True, "mixture": 3}},
        {"real": "fresh", "option": {"borrow": 0.5, "debias": True, "adaptive": True}},
        {"optimizer": "sgd", "ipc": 3},
        {"optimizer": "adamw", "teacher_schedule": "interpolate"},
        {"calibration": 0.0},
        {"average": 0.9},
        {"method": "idm", "option": {"pool": 2}},
        {"method": "idc", "ipc": 3, "optimizer": "sgd", "option": SHORT["idc"] | {"early": 2, "relative": True}},
    ],
    ids="-".join,
)
def test_so_do_other_settings(settings, uneven, pool9, tmp_path):
    chosen = sections.Distill(**{"ipc": 1, **TINY, **settings})
    alone = distilled(chosen, uneven, pool9, tmp_path)
    found = shared(chosen, uneven, pool9, tmp_path, 2)
    assert torch.equal(found.images, alone.images)
    assert all(torch.equal(found.history[term], values) for term, values in alone.history.items())


def test_so_do_classes_over_the_memory_budget(uneven, pool9, tmp_path):
    """Each class in pieces of one stored image."""
    chosen = sections.Distill(ipc=3, **TINY)
    alone = distilled(chosen, uneven, pool9, tmp_path, budget=1)
    assert torch.equal(shared(chosen, uneven, pool9, tmp_path, 3, budget=1).images, alone.images)


@pytest.mark.parametrize("kind", ["frequency", "pyramid"])
@pytest.mark.parametrize("name", ["dm", "idc"])
def test_images_that_are_made_of_other_numbers_are_equal_up_to_rounding(name, kind, uneven, pool9, tmp_path):
    option = SHORT.get(name, {})
    chosen = sections.Distill(method=name, ipc=1, **TINY | {"factor": 1}, parameterization=kind, option=option)
    alone = distilled(chosen, uneven, pool9, tmp_path)
    found = shared(chosen, uneven, pool9, tmp_path, 2)
    assert found.leaves.keys() == alone.leaves.keys()
    for name, leaf in alone.leaves.items():
        torch.testing.assert_close(found.leaves[name], leaf, rtol=1e-4, atol=1e-5)
    for term, values in alone.history.items():
        torch.testing.assert_close(found.history[term], values, rtol=1e-4, atol=0)


@pytest.mark.parametrize("kind", ["pixels", "frequency", "pyramid"])
def test_ranks_without_a_class_do_not_count(kind, uneven, pool9, tmp_path):
    chosen = sections.Distill(method="idc", ipc=1, **TINY | {"factor": 1}, parameterization=kind, option=SHORT["idc"])
    one_each = shared(chosen, uneven, pool9, tmp_path, uneven.classes)
    found = shared(chosen, uneven, pool9, tmp_path, uneven.classes + 2)
    assert all(torch.equal(found.leaves[name], leaf) for name, leaf in one_each.leaves.items())
    assert all(torch.equal(found.history[term], values) for term, values in one_each.history.items())


@pytest.mark.parametrize("stop", [1, 2])
def test_a_share_goes_on_from_its_checkpoint(stop, uneven, pool9, tmp_path):
    """With its classes' images, the network, and the real images that stand for its classes."""
    chosen = sections.Distill(method="dream", ipc=1, **TINY, option={"outer": 3, "inner": 2, "recluster": 2})
    alone = distilled(chosen, uneven, pool9, tmp_path)
    mail: dict[int, list] = {}
    for rank in (1, 0):
        with pytest.raises(InterruptedError):
            distilled(chosen, uneven, pool9, tmp_path, Messenger(rank, 2, mail), stop=stop)
        found = distilled(chosen, uneven, pool9, tmp_path, Messenger(rank, 2, mail), resume=True)
    assert found.iterations == TINY["iterations"] - stop
    assert torch.equal(found.images, alone.images)
    assert all(torch.equal(found.history[term], values) for term, values in alone.history.items())


def test_no_iterations_are_the_initial_images(uneven, pool9, tmp_path):
    chosen = sections.Distill(ipc=1, **TINY | {"iterations": 0})
    alone = distilled(chosen, uneven, pool9, tmp_path)
    found = shared(chosen, uneven, pool9, tmp_path, 3)
    assert torch.equal(found.images, alone.images) and found.history == {}


def test_checkpoints_of_another_division_are_named_and_cleared(tmp_path, capsys):
    """A share's checkpoint is found by the same share alone; in the end all of the run's are gone."""
    images = {"images": torch.zeros(1)}
    shares = [share_of(rank, 2, 10, 3) for rank in range(2)]
    for share in shares:
        Checkpoint(tmp_path, "run", 0, share).save(4, images)
    assert Checkpoint(tmp_path, "run", 0, shares[1]).load(torch.device("cpu"))[0] == 4
    assert capsys.readouterr().err == ""
    for other in (None, share_of(1, 3, 10, 3), share_of(1, 2, 10, 4)):
        assert Checkpoint(tmp_path, "run", 0, other).load(torch.device("cpu")) is None
        assert "begins anew" in capsys.readouterr().err
    Checkpoint(tmp_path, "other", 0).save(1, images)
    Checkpoint(tmp_path, "run", 0).clear()
    assert [path.name for path in tmp_path.iterdir()] == ["other.safetensors"]


def test_a_peer_that_is_only_starting_is_no_other_division(tmp_path, capsys):
    Checkpoint(tmp_path, "run", 0, share_of(1, 2, 10, 3)).save(4, {"images": torch.zeros(1)})
    assert Checkpoint(tmp_path, "run", 0, share_of(0, 2, 10, 3)).load(torch.device("cpu")) is None
    assert capsys.readouterr().err == ""
