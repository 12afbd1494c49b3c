"""A regulariser as it is unless it says otherwise."""

from __future__ import annotations

import pytest

from csdm_cli.methods.regularisers import regulariser_names
from csdm_cli.methods.regularisers.base import Regulariser
from csdm_cli.methods.regularisers.weighted import load
from csdm_cli.methods.statistics import Request
from csdm_cli.teachers.views import View


def test_the_plainest_one_asks_for_nothing():
    class Plain(Regulariser):
        def term(self, batch):
            return batch.features.sum()

    own = Plain()
    assert own.request() == Request() and own.reads_features
    assert own.logits_stage(View(0, 0, "final", None, 0)) is None
    with pytest.raises(TypeError, match="abstract"):
        Regulariser()


@pytest.mark.parametrize("name", regulariser_names())
def test_each_says_what_it_is(name):
    cls = load(name)
    assert cls.default_weight > 0 and cls.summary and cls.source
