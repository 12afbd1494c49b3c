"""IDM: improved distribution matching (Zhao et al., CVPR 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from csdm_cli.errors import UsageError
from csdm_cli.images.image_set import ImageSet
from csdm_cli.images.normalisation import normalise
from csdm_cli.methods.contract import Context, MatchingMethod, option
from csdm_cli.methods.statistics import Batch, Request
from csdm_cli.networks import NetworkSpec, build
from csdm_cli.networks.network import Network
from csdm_cli.seeds import derive_seed, generator
from csdm_cli.teachers.networks import TeacherNetworks, TeacherStage, map_channels
from csdm_cli.teachers.pool import Stage
from csdm_cli.teachers.views import View
from csdm_cli.training.inference import images_at_once
from csdm_cli.training.loop import TrainState, own_randomness

# Random networks that a pool starts with.
START = 3
# How members learn: SGD on plain real images.
BATCH, LR, MOMENTUM, WEIGHT_DECAY = 256, 0.01, 0.9, 5e-4
# Views that a pool of any size serves: a view names one of so many tickets, and each member holds an equal share.
TICKETS = 2**20


@dataclass(frozen=True)
class IdmParameters:
    """Options of IDM."""

    ce_weight: Annotated[float, Field(ge=0)] = option(
        0.5, "λ: weight of the cross-entropy under the matching network (0: none)"
    )
    by_accuracy: bool = option(True, "multiply λ by that network's training accuracy in percent")
    pool: Annotated[int, Field(ge=0)] = option(
        0, "networks of its own, trained on real images along the way (the paper: 100); 0 looks through the teachers"
    )
    grow_every: Annotated[int, Field(ge=1)] = option(30, "iterations between new random networks in the pool")
    pool_steps: Annotated[int, Field(ge=1)] = option(10, "SGD steps of a pool network when it is trained")
    pool_trained: Annotated[int, Field(ge=1)] = option(2, "pool networks that are trained after every iteration")
    meter: Annotated[int, Field(ge=0)] = option(
        0, "iterations after which the pool's running accuracies begin anew (the released code: 100; 0: never)"
    )


class Idm(MatchingMethod):
    """Σ_c ‖mean φ(T_c) − mean φ(S_c)‖² + λ·a·CE(g(S_c), c), with g the classifier of the matching network φ.

    a is the network's training accuracy in percent, as in the released code: the share of real training images, drawn
    from the long-tailed set as it is, that the network got right. Of a teacher that is over the whole set after its
    training; of a pool network it is over all batches it was trained on so far, or since its ``meter`` was reset, each
    evaluated before its step, and 0 before the first. With ``by_accuracy=false`` the term is λ·CE. The paper's
    partitioning is factor 2.

    With a ``pool`` the networks are the paper's own: random ones at first and every ``grow_every`` iterations one
    more, the oldest leaving a full pool; after every iteration ``pool_trained`` of them learn from real images. A view
    looks through any of them with equal probability.
    """

    Parameters = IdmParameters
    summary = "matching of class means, cross-entropy weighed by accuracy"
    source = "Zhao et al., CVPR 2023, arXiv 2307.09742"
    cost = "as dm (bank); with a pool also pool_trained·pool_steps training steps of 256 real images per iteration"
    classification_terms = frozenset({"cross_entropy"})
    departures = (
        "looks through the teachers; its own pool of networks is --option pool=100; one step for all classes; λ belongs"
        " to features of 2,048 numbers, and weighs more beside shorter ones; pixels are clamped to [0, 1]"
    )
    parameters: IdmParameters

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        """For CIFAR-10; on CIFAR-100 λ is 0.1 from IPC 10 on. Pixels are clamped to [0, 1], as the paper's are not.

        A rate of 0.2 for pixels divided by σ is 0.2·σ² for pixels as they are: 0.008 with the field's σ of 0.2.
        """
        own = {"ce_weight": 0.5 if ipc < 50 else 0.1, "pool": 100, "grow_every": 5 if ipc == 1 else 30, "meter": 100}
        return {
            "distill": {"option": own, "iterations": 20_000, "optimizer": "sgd", "lr": 0.008}
            | {"schedule": "constant", "factor": 2, "initial": "mix", "real_batch": 5000 if ipc == 1 else 256}
        }

    def request(self) -> Request:
        return Request(mean=True)

    @property
    def bankable(self) -> bool:
        return self.parameters.pool == 0

    def prepare(self, context: Context) -> None:
        self._own: _Pool | None = None
        if self.parameters.pool:
            assert context.pool is not None and context.data is not None
            if context.pool.spec.frozen:
                raise UsageError(
                    f"--option pool: {context.pool.spec.name} is never trained; look through it with pool=0"
                )
            self._own = _Pool(self.parameters, context.pool.spec, context)
        elif self.parameters.by_accuracy:
            assert context.pool is not None
            shares = torch.tensor(context.counts, dtype=torch.float64) / sum(context.counts)
            self._accuracies = 100 * torch.tensor(context.pool.train_accuracy, dtype=torch.float64) @ shares

    def networks(self, shared: TeacherNetworks) -> TeacherNetworks:
        return shared if self._own is None else self._own

    def logits_stage(self, view: View) -> TeacherStage | None:
        return (view.teacher, view.stage) if self.parameters.ce_weight else None

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        terms = {"mean": batch.distance_of_means()}  # every term is a scalar
        if self.parameters.ce_weight:
            assert batch.logits is not None and batch.view is not None
            # of logits (c·per_class, C) and labels (c·per_class,)
            entropy = cross_entropy(batch.logits, batch.labels, reduction="sum") / batch.per_class
            terms["cross_entropy"] = self.parameters.ce_weight * self._accuracy(batch.view.teacher) * entropy
        return terms

    def after_step(self, step: int) -> None:
        if self._own is not None:
            self._own.advance(step)

    def state_dict(self) -> dict[str, Tensor]:
        return {} if self._own is None else self._own.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        if self._own is not None:
            self._own.load_state_dict(state)

    def idle_options(self) -> frozenset[str]:
        p = self.parameters
        idle = set() if p.pool else {"grow_every", "pool_steps", "pool_trained", "meter"}
        idle |= {"teacher_schedule"} if p.pool else set()
        idle |= set() if p.ce_weight else {"by_accuracy"}
        return frozenset(idle)

    def _accuracy(self, teacher: int) -> float | Tensor:
        """Accuracy of the network that a view looks through, in percent; 1 where accuracy does not count."""
        if not self.parameters.by_accuracy:
            return 1.0
        return float(self._accuracies[teacher]) if self._own is None else self._own.accuracy(teacher)


@dataclass
class _Member:
    """A network of the pool.

    Attributes:
        number: how many were born before it; its seed.
        right, seen: counts of the training images so far: those it got right, and all.
    """

    number: int
    network: Network
    right: Tensor
    seen: int = 0
    optimizer: torch.optim.SGD = field(init=False)

    def __post_init__(self) -> None:
        parameters = self.network.parameters()
        self.optimizer = torch.optim.SGD(parameters, lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
        self.at_rest()

    def at_rest(self) -> None:
        """As matching uses it: evaluation mode, no gradient for weights."""
        self.network.eval().requires_grad_(False)
        self.optimizer.zero_grad(set_to_none=True)

    def forget(self) -> None:
        """Begin to measure the accuracy anew."""
        self.right, self.seen = torch.zeros_like(self.right), 0

    def learn(self, images: Tensor, labels: Tensor) -> None:
        """One SGD step on the mean cross-entropy of a batch; in cache-sized parts where no layer couples images."""
        self.network.train().requires_grad_(True)
        self.optimizer.zero_grad(set_to_none=True)
        whole = self.network.couples_samples or images.device.type != "cpu"
        size = len(images) if whole else images_at_once(images)
        for part, wanted in zip(images.split(size), labels.split(size), strict=True):
            logits = self.network(part)
            (cross_entropy(logits, wanted, reduction="sum") / len(images)).backward()
            self.right += (logits.argmax(1) == wanted).sum()
        self.seen += len(images)
        self.optimizer.step()
        self.at_rest()


class _Pool(TeacherNetworks):
    """The paper's queue of networks, which learn while images are distilled, as the networks to look through.

    What is random in an iteration follows from the seed and the iteration's number.
    """

    def __init__(self, parameters: IdmParameters, spec: NetworkSpec, context: Context) -> None:
        assert context.data is not None
        self._parameters, self._spec = parameters, spec
        self._device, self._dtype = context.device, context.dtype
        self._seed = context.seed
        self._images: ImageSet = context.data
        self._labels = context.data.labels
        self._members = [self._born(number) for number in range(min(START, parameters.pool))]
        self.channels = map_channels(self._members[0].network, spec)

    def __len__(self) -> int:
        return TICKETS

    def at(self, teacher: int, stage: Stage) -> Network:
        """The network of the member who holds this ticket now; it has no other weights."""
        return self._holder(teacher).network

    def accuracy(self, teacher: int) -> Tensor:
        """The ticket holder's running training accuracy in percent."""
        member = self._holder(teacher)
        return 100 * member.right.to(self._dtype) / max(member.seen, 1)

    def advance(self, step: int) -> None:
        """Move the pool on after iteration ``step``: some members learn, and it may grow."""
        rng = generator(self._seed, "pool", step)
        chosen = torch.randperm(len(self._members), generator=rng)[: self._parameters.pool_trained]
        for index in chosen.tolist():
            for turn in range(self._parameters.pool_steps):
                images, labels = self._batch(rng)
                with own_randomness(self._device, derive_seed(self._seed, "pool", "network", step, index, turn)):
                    self._members[index].learn(images, labels)
        if self._parameters.meter and (step + 1) % self._parameters.meter == 0:
            for member in self._members:
                member.forget()
        if (step + 1) % self._parameters.grow_every == 0:
            self._members.append(self._born(self._members[-1].number + 1))
            del self._members[: -self._parameters.pool]

    def state_dict(self) -> dict[str, Tensor]:
        """The state of every member, from the oldest on: number, accuracy, weights and the optimiser's momentum."""
        state: dict[str, Tensor] = {}
        for place, member in enumerate(self._members):
            own = TrainState.capture(0, member.network, member.optimizer).tensors
            own |= {"number": torch.tensor(member.number), "right": member.right, "seen": torch.tensor(member.seen)}
            state |= {f"pool.{place}.{name}": value for name, value in own.items()}
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take back what :meth:`state_dict` gave."""
        by_place: dict[int, dict[str, Tensor]] = {}
        for name, value in state.items():
            _, place, entry = name.split(".", 2)
            by_place.setdefault(int(place), {})[entry] = value
        self._members = [self._restored(own) for _, own in sorted(by_place.items())]

    def _restored(self, own: dict[str, Tensor]) -> _Member:
        member = self._born(int(own.pop("number")))
        member.right, member.seen = own.pop("right").clone(), int(own.pop("seen"))
        TrainState(0, own).restore(member.network, member.optimizer)
        return member

    def _born(self, number: int) -> _Member:
        network = build(self._spec, derive_seed(self._seed, "pool", "member", number))
        right = torch.zeros((), dtype=torch.int64, device=self._device)
        return _Member(number, network.to(device=self._device, dtype=self._dtype), right)

    def _holder(self, ticket: int) -> _Member:
        return self._members[ticket * len(self._members) // TICKETS]

    def _batch(self, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Normalised real images without augmentation, drawn without replacement, and their labels."""
        data = self._images
        index = torch.randperm(len(data.images), generator=rng)[:BATCH].to(self._device)
        images = normalise(data.images[index].to(self._dtype) / 255, data.mean, data.std)
        return images, self._labels[index]
