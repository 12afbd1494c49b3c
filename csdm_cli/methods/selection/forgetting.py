"""forgetting: real images that a network in training forgets most often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from csdm_cli.methods.contract import Building, option
from csdm_cli.methods.selection.base import DEEPCORE, Rule, Selecting, SelectionMethod
from csdm_cli.methods.selection.rules.history import by_forgetting, learning_history
from csdm_cli.names import TeacherLoss
from csdm_cli.seeds import derive_seed, generator
from csdm_cli.teachers.teaching import TeachingPlan
from csdm_cli.training.recipe import Duration, Recipe


@dataclass(frozen=True)
class ForgettingParameters(Selecting):
    """Options of forgetting."""

    epochs: Annotated[int, Field(ge=2)] = option(20, "passes over the long-tailed set, after each of which it looks")
    loss: TeacherLoss = option(TeacherLoss.cross_entropy, "what the network minimises, as in csdm pretrain")
    never_learned: Literal["infinity", "zero"] = option(
        "infinity", "forgetting events of an image that was never right"
    )


class Forgetting(SelectionMethod):
    """The images of each class with the most forgetting events: right after one epoch, wrong after the next.

    A network of its own, of the teachers' architecture and trained by their recipe, learns the long-tailed set.
    Images never learnt count as forgotten infinitely often, as in Toneva et al. 2019 (section 3); libraries that count
    them as never forgotten are ``never_learned=zero``. Equally many events: in an order drawn by the seed.
    """

    Parameters = ForgettingParameters
    summary = "real images that a network in training forgets most often"
    source = "Toneva et al., ICLR 2019, arXiv 1812.05159"
    cost = "a training of one network for 20 epochs, with a forward of all real images after each"
    departures = "images are tested after every epoch without augmentation (the paper: in each augmented minibatch)"

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        return {**DEEPCORE, "distill": {"option": {"epochs": 40}}}

    def rule(self, start: Building) -> Rule:
        own, data, pool = self.parameters, start.data, start.pool
        assert pool is not None
        recipe = Recipe(**pool.description["recipe"])
        plan = TeachingPlan(data, pool.spec, Duration(epochs=own.epochs), own.loss, recipe, trajectory=False)
        right = learning_history(plan, derive_seed(start.seed, "forgetting"), quiet=start.quiet)

        def rule(label: int, count: int) -> Tensor:
            visits = right[:, data.offsets[label] : data.offsets[label + 1]]
            order = torch.randperm(visits.shape[1], generator=generator(start.seed, "ties", label))
            return by_forgetting(visits, own.never_learned == "infinity", order)[:count]

        return rule
