"""sfm is linear gradient matching without its noise, and does not see where or how large the features are."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
import torch
from sklearn.cluster import KMeans

from csdm_cli.errors import UsageError
from csdm_cli.methods.contract import Context
from csdm_cli.methods.matching.sfm import Centres, SecondMoment, Sfm, SfmParameters, flows, kmeans, matched_to, shrunk
from csdm_cli.methods.statistics import Batch, ClassStatistics
from csdm_cli.runs.choose import decided
from csdm_cli.settings import sections
from tests.methods.random_batches import COUNTS, DIM, random_batch, total, value
from tests.methods.tiny_world import assembled, check_chunking
from tests.reference import lgm

LABELS = torch.arange(3).repeat_interleave(4)
ALL = [
    {},
    {"per_class_cosine": True},
    {"spread": "centres"},
    {"spread": "second-moment"},
    {"shrink": True},
    {"weigh": "images"},
]


def sfm(**options) -> Sfm:
    method = Sfm(SfmParameters(**options))
    method.prepare(Context(COUNTS, torch.device("cpu"), torch.float64, per_class=4))
    return method


def batch_of(method: Sfm, seed: int = 0) -> tuple[Batch, list[torch.Tensor]]:
    batch, real = random_batch(method.request(), seed)
    return replace(batch, real=method.revise(replace(batch.real, counts=COUNTS))), real


def test_its_gradient_is_lgm_s_at_zero_weights_with_whole_balanced_classes_and_no_bias():
    batch, real = batch_of(method := sfm())
    zero = torch.zeros(3, DIM, dtype=torch.float64)
    labels = torch.arange(3).repeat_interleave(torch.tensor(COUNTS))
    balance = torch.cat([torch.full((n,), 1 / (3 * n), dtype=torch.float64) for n in COUNTS])
    wanted = lgm.classifier_gradient(torch.cat(real), labels, zero, balance, bias=False).detach()
    textbook = lgm.loss(wanted, lgm.classifier_gradient(batch.features, LABELS, zero, bias=False))
    own = total(method.losses(batch, 0))
    torch.testing.assert_close(own, textbook, rtol=0, atol=1e-12)
    (expected,), (found,) = (torch.autograd.grad(value, batch.features) for value in (textbook, own))
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("options", [{}, {"per_class_cosine": True}, {"spread": "centres"}], ids=str)
def test_moving_and_scaling_all_centres_changes_nothing(options):
    method = sfm(**options)
    batch, _ = batch_of(method)
    assert batch.real.mean is not None
    there = torch.linspace(-3, 5, DIM, dtype=torch.float64)
    summaries = {name: 7 * value + there for name, value in batch.real.summaries.items()}
    real = replace(batch.real, mean=7 * batch.real.mean + there, summaries=summaries)
    loss = total(method.losses(batch, 0))
    torch.testing.assert_close(total(method.losses(replace(batch, real=real), 0)), loss)
    own = replace(batch, features=0.3 * batch.features - there)
    torch.testing.assert_close(total(method.losses(own, 0)), loss)


def test_the_loss_is_zero_at_the_real_means_whatever_the_number_of_images():
    means = torch.randn(3, DIM, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    about = torch.randn(3, 4, DIM, dtype=torch.float64)
    features = (means[:, None] + about - about.mean(1, keepdim=True)).flatten(0, 1)
    batch = Batch(0, 3, 4, features, ClassStatistics(mean=means), None)
    assert abs(float(sfm().losses(batch, 0)["flow"])) < 1e-12
    assert abs(float(sfm(per_class_cosine=True).losses(batch, 0)["flow"])) < 1e-12


def test_the_flow_leads_from_a_class_to_the_others():
    means = torch.tensor([[0.0, 0.0], [6.0, 0.0], [0.0, 3.0]])
    assert flows(means, means[:, None]).tolist() == [[[3.0, 1.5]], [[-6.0, 1.5]], [[3.0, -3.0]]]


def test_per_class_cosines_weigh_all_classes_alike():
    batch, _ = batch_of(sfm())
    assert batch.real.mean is not None
    wanted = flows(batch.real.mean, batch.real.mean[:, None])[:, 0]
    own = batch.class_means(batch.features)
    found = flows(own, own[:, None])[:, 0]
    cosines = [float(w @ f / (w.norm() * f.norm())) for w, f in zip(wanted, found.detach(), strict=True)]
    assert float(sfm(per_class_cosine=True).losses(batch, 0)["flow"].detach()) == pytest.approx(1 - sum(cosines) / 3)


@pytest.mark.parametrize("per_class", [False, True])
def test_flows_weighed_by_images_lean_towards_the_head(per_class):
    options = {"weigh": "images", "per_class_cosine": per_class}
    batch, _ = batch_of(method := sfm(**options))
    assert batch.real.mean is not None
    wanted = flows(batch.real.mean, batch.real.mean[:, None])[:, 0]
    means = batch.class_means(batch.features.detach())
    found, shares = flows(means, means[:, None])[:, 0], torch.tensor(COUNTS, dtype=torch.float64) / (sum(COUNTS) / 3)
    products, lengths = (wanted * found).sum(1), (wanted.norm(dim=1), found.norm(dim=1))
    each = shares * products / (lengths[0] * lengths[1])
    sides = [((shares * length) ** 2).sum().sqrt() for length in lengths]
    whole = (shares**2 * products).sum() / (sides[0] * sides[1])
    expected = each.mean() if per_class else whole
    assert value(method.losses(batch, 0)) == pytest.approx(1 - float(expected), abs=1e-12)
    assert abs(value(sfm(per_class_cosine=per_class).losses(batch, 0)) - (1 - float(expected))) > 1e-3


def test_shrinkage_is_its_closed_form():
    means = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    variances, counts = torch.tensor([2.0, 4.0, 2.0, 2.0], dtype=torch.float64), (10, 4, 2, 2)
    pooled = (10 * 2 + 4 * 4 + 2 * 2 + 2 * 2) / (18 - 4)
    found = shrunk(means, variances, counts)
    assert found[0, 0] == pytest.approx(3 * 9 / (9 + pooled / 10), abs=1e-12)
    assert found[1, 0] == pytest.approx(-3 * 9 / (9 + pooled / 4), abs=1e-12)
    assert found[2:].abs().max() == 0
    assert torch.equal(shrunk(means, torch.zeros(4, dtype=torch.float64), counts), means)


def test_shrunk_centres_are_what_the_loss_reads():
    batch, real = batch_of(method := sfm(shrink=True))
    means = torch.stack([features.mean(0) for features in real])
    variances = torch.stack([features.var(0, correction=0).sum() for features in real])
    assert batch.real.mean is not None
    torch.testing.assert_close(batch.real.mean, shrunk(means, variances, COUNTS))
    assert value(method.losses(batch, 0)) != value(sfm().losses(batch_of(sfm())[0], 0))


def test_images_at_the_centres_of_their_class_are_at_rest():
    method = sfm(spread="centres")
    batch, _ = batch_of(method)
    centres = batch.real.summaries["centres"]
    mean = centres.mean(1)  # as the loss compares flows from each centre, the means must be theirs
    still = replace(batch, features=centres.flip(1).flatten(0, 1), real=replace(batch.real, mean=mean))
    assert abs(float(method.losses(still, 0)["flow"])) < 1e-12
    together = replace(still, features=mean.repeat_interleave(4, 0))
    assert float(method.losses(together, 0)["flow"]) > 1e-3 > float(sfm().losses(together, 0)["flow"])


def test_the_second_moment_sees_the_spread_that_flows_do_not():
    method = sfm(spread="second-moment", moment_weight=2.0)
    batch, real = batch_of(method)
    same = torch.cat([features[torch.arange(4) % len(features)] for features in real])
    means = torch.stack([part.mean(0) for part in same.split(4)])
    moments = torch.stack([method.request().summaries[0].of(part, 1, 0) for part in same.split(4)])
    own = replace(batch.real, mean=means, summaries={"second_moment": moments})
    assert abs(float(total(method.losses(replace(batch, features=same, real=own), 0)))) < 1e-12
    apart = 2 * (same - means.repeat_interleave(4, 0)) + means.repeat_interleave(4, 0)
    terms = method.losses(replace(batch, features=apart, real=own), 0)
    assert abs(float(terms["flow"])) < 1e-12 < 1e-3 < float(terms["second_moment"])


@pytest.mark.parametrize("size", [0.5, 1.5])
def test_the_second_moment_s_term_is_relative_to_the_real_moments(size):
    """Features that are the real ones times s have s² times their moments: weight·(s² - 1)², whatever these are."""
    method = sfm(spread="second-moment", moment_weight=2.0)
    batch, _ = batch_of(method)
    moments = torch.stack([SecondMoment().of(part, 1, 0) for part in batch.features.detach().split(4)])
    own = replace(batch, features=size * batch.features, real=replace(batch.real, summaries={"second_moment": moments}))
    found = float(method.losses(own, 0)["second_moment"].detach())
    assert found == pytest.approx(2 * (size**2 - 1) ** 2, rel=1e-10)


def test_second_moments_are_a_mean_over_images():
    features = torch.randn(5, DIM, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    twice = SecondMoment().of(features.repeat(2, 1), 1, 0)
    torch.testing.assert_close(twice, SecondMoment().of(features, 1, 0), rtol=1e-12, atol=1e-12)


def test_centres_move_with_the_mean_that_is_shrunk():
    method = sfm(shrink=True, spread="centres")
    batch, _ = random_batch(method.request())
    real = replace(batch.real, counts=COUNTS)
    found = method.revise(real)
    assert not torch.allclose(found.mean, real.mean, atol=1e-3)
    about = [side.summaries["centres"] - side.mean[:, None] for side in (found, real)]
    torch.testing.assert_close(*about, rtol=0, atol=1e-12)


def test_shrinkage_goes_by_the_images_that_the_means_are_of():
    """Those of a minibatch, where there is one, and of whole classes else."""
    method = sfm(shrink=True)
    real, variances = random_batch(method.request())[0].real, "variance"
    for counts, of in ((None, COUNTS), ((2, 3, 3), (2, 3, 3))):
        wanted = shrunk(real.mean, real.summaries[variances], of)
        assert torch.equal(method.revise(replace(real, counts=counts)).mean, wanted)
    assert not torch.allclose(wanted, shrunk(real.mean, real.summaries[variances], COUNTS), atol=1e-3)


def test_kmeans_is_as_good_as_scikit_learn_s():
    rng = torch.Generator().manual_seed(0)
    points = torch.randn(200, 3, generator=rng) + 6 * torch.randint(0, 2, (200, 3), generator=rng)
    found, again = kmeans(points, 8, 1), kmeans(points, 8, 1)
    assert torch.equal(found, again)
    inertia = torch.cdist(points, found).min(1).values.square().sum()
    reference = KMeans(8, n_init=10, random_state=0).fit(points.numpy()).inertia_
    assert float(inertia) < 1.1 * reference


def test_a_class_with_fewer_images_than_centres_repeats_them():
    few = torch.arange(6.0).view(2, 3)
    assert torch.equal(Centres(5).of(few, 1, 0), few[[0, 1, 0, 1, 0]])


def test_centres_are_given_out_at_the_least_cost():
    rng = torch.Generator().manual_seed(3)
    centres, features = torch.randn(2, 4, 3, generator=rng), torch.randn(2, 4, 3, generator=rng)
    found = matched_to(centres, features)
    for label in range(2):
        costs = [
            float((centres[label][list(order)] - features[label]).square().sum()) for order in permutations(range(4))
        ]
        assert float((found[label] - features[label]).square().sum()) == pytest.approx(min(costs), rel=1e-6)


@pytest.mark.parametrize("options", ALL, ids=str)
def test_any_layout_gives_the_same_gradient(tmp_path, options):
    check_chunking(assembled(tmp_path, "sfm", option=options), 1)


def test_it_takes_all_classes_at_once_if_they_fit(tmp_path):
    assert assembled(tmp_path, "sfm").matching.layout.classes == 3
    assert assembled(tmp_path, "dm").matching.layout.classes == 1


def test_the_class_by_class_engine_is_refused():
    with pytest.raises(UsageError, match="class by class"):
        decided(sections.Distill(method="sfm", engine="textbook"))
