"""A small world for methods that follow experts: experts whose every point is known, images, and a method in it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from csdm_cli.images.image_set import ImageSet
from csdm_cli.methods import load
from csdm_cli.methods.contract import Context
from csdm_cli.methods.learning import LABEL_LOGITS, LOG_STEP, LearningMethod, Scene
from csdm_cli.networks import build
from csdm_cli.networks.network import Network
from csdm_cli.networks.spec import NetworkSpec

COUNTS = (9, 6, 3)
SPEC = NetworkSpec("convnet", 4, 2, "instance", "avg", 3, 8, len(COUNTS))
SHARED = {"augment": "color_crop_flip", "augment_mode": "single"}
SMALL = {"student_steps": 3, "ahead": 2, "latest": 2, "student_batch": 4, "step_size": 0.05}


@dataclass(frozen=True)
class KnownExperts:
    """Experts whose points lie on lines between random weights; ``read`` says which were asked for."""

    spec: NetworkSpec = SPEC
    count: int = 2
    epochs: int = 4
    first: int = 0
    frozen: bool = False
    classifiers: KnownExperts | None = None
    points: dict[tuple[int, int], dict[str, Tensor]] = field(default_factory=dict)
    read: list[tuple[int, int]] = field(default_factory=list)

    def __len__(self) -> int:
        return self.count

    def weights(self, expert: int, stage) -> dict[str, Tensor]:
        point = self.epochs if stage == "final" else stage[1]
        self.read.append((expert, point))
        if (expert, point) in self.points:
            return self.points[expert, point]
        one, other = (build(self.spec, self.first + 10 * expert + end).double().state_dict() for end in (0, 1))
        moves = {name: not self.frozen or name.startswith("classifier") for name in one}
        return {name: value + moves[name] * 0.1 * point * (other[name] - value) for name, value in one.items()}

    def network(self, expert: int, stage="final") -> Network:
        network = build(self.spec, 0).double()
        network.load_state_dict(self.weights(expert, stage))
        return network.eval().requires_grad_(False)


def known_experts(**changes) -> KnownExperts:
    return KnownExperts(classifiers=KnownExperts(first=100, frozen=True), **changes)


def make_data(counts=COUNTS) -> ImageSet:
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (sum(counts), 3, 8, 8), generator=rng, dtype=torch.uint8)
    return ImageSet(images, counts, ("a", "b", "c"), (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))


def start_images(per_class: int = 3) -> Tensor:
    rng = torch.Generator().manual_seed(1)
    return 0.2 + 0.6 * torch.rand(3 * per_class, 3, 8, 8, generator=rng, dtype=torch.float64)


def prepared(name: str, pool=None, counts=COUNTS, per_class: int = 3, **options) -> LearningMethod:
    cls = load(name)
    method = cls(cls.Parameters(**SHARED | SMALL | options))
    data = make_data(counts)
    method.prepare(
        Context(counts, torch.device("cpu"), torch.float64, per_class, 5, pool or known_experts(), data, SPEC)
    )
    return method


def scene_of(method: LearningMethod, images: Tensor | None = None, labels: Tensor | None = None) -> Scene:
    images = start_images() if images is None else images
    learned = {name: own.start.clone() for name, own in method.learned(images).items()}
    if labels is not None:
        learned[LABEL_LOGITS] = labels.clone()
    leaves = {name: value.requires_grad_(True) for name, value in learned.items()}
    return Scene(images.clone().requires_grad_(True), len(images) // 3, leaves)


def one_hot_logits(scene: Scene) -> Tensor:
    """Labels that are classes up to what float64 can tell."""
    return 100 * torch.nn.functional.one_hot(scene.labels, 3).double()


def derivatives(method: LearningMethod, scene: Scene, step: int = 0) -> tuple[float, dict[str, Tensor]]:
    """The loss of a step and what it left: of the images, and of what is learned beside them."""
    terms = method.step(scene, step)
    found = {"images": scene.images.grad} | {name: value.grad for name, value in scene.learned.items()}
    return float(sum(terms.values())), found


def with_points(pool: KnownExperts, points) -> KnownExperts:
    return replace(pool, points={**pool.points, **points})


__all__ = ["LABEL_LOGITS", "LOG_STEP"]
