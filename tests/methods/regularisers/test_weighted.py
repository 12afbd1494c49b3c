"""Weighted terms beside the losses of a method."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from csdm_cli.errors import UsageError
from csdm_cli.methods.contract import MatchingMethod
from csdm_cli.methods.regularisers.weighted import (
    joined_request,
    loss_terms,
    refuse_other_features,
    refuse_second_logits,
    weighted_terms,
)
from csdm_cli.methods.statistics import Request
from csdm_cli.teachers.views import View
from tests.methods.random_batches import random_batch


class Plain(MatchingMethod):
    def request(self):
        return Request(mean=True)

    def losses(self, batch, step):
        return {"own": batch.features.sum() * step}


class Reading(Plain):
    def logits_stage(self, view):
        return (view.teacher, "final")


def test_terms_stand_beside_the_losses_by_name_and_weight():
    (term,) = weighted_terms(["centralization=0.5"])
    batch, _ = random_batch(Request(mean=True))
    batch = replace(batch, view=View(0, 0, "final", None, 0))
    found = loss_terms(Plain(None), (term,), batch, 3, lambda stage: pytest.fail("nobody reads logits"))
    assert set(found) == {"own", "regularizer-centralization"}
    torch.testing.assert_close(found["own"], 3 * batch.features.sum())
    torch.testing.assert_close(found[term.label], 0.5 * term.regulariser.term(batch))


def test_statistics_of_all_are_joined_and_the_default_weight_is_the_regulariser_s():
    terms = weighted_terms(["covariance", "centralization"])
    joined = joined_request(Plain(None), terms)
    assert joined.mean and [one.name for one in joined.summaries] == ["local_covariance"]
    assert [term.weight for term in terms] == [type(term.regulariser).default_weight for term in terms]


def test_one_reader_of_logits_is_enough():
    terms = weighted_terms(["constraint"])
    refuse_second_logits(Plain(None), terms)
    refuse_second_logits(Reading(None), weighted_terms(["covariance"]))
    with pytest.raises(UsageError, match="--regularizer constraint: this method's own loss already reads a teacher's"):
        refuse_second_logits(Reading(None), terms)


def test_features_of_another_length_are_refused_to_those_who_read_them():
    def networks(length: int):
        return SimpleNamespace(final=lambda teacher: SimpleNamespace(feature_dim=length))

    refuse_other_features(weighted_terms(["constraint"]), networks(9), networks(8))
    refuse_other_features(weighted_terms(["covariance"]), networks(8), networks(8))
    with pytest.raises(UsageError, match="--regularizer covariance reads the teachers' features alone"):
        refuse_other_features(weighted_terms(["covariance"]), networks(9), networks(8))
