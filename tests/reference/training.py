"""Supervised training written out: one image at a time through the network, the optimisers by their formulas."""

from __future__ import annotations

import math

import torch

from csdm_cli.images.augment import augment, cutmix, draw, parse_strategy
from csdm_cli.seeds import generator


def positions(count: int, batch: int, step: int, seed: int) -> list[int]:
    """The images of a step: all shuffles so far written one after another, and cut."""
    batch = min(batch, count)
    written: list[int] = []
    shuffle = 0
    while len(written) < (step + 1) * batch:
        written += torch.randperm(count, generator=generator(seed, "shuffle", shuffle)).tolist()
        shuffle += 1
    return written[step * batch : (step + 1) * batch]


def learning_rate(recipe, step: int, steps: int) -> float:
    if recipe.schedule == "cosine":
        return recipe.lr * 0.5 * (1 + math.cos(math.pi * step / steps))
    if step >= steps * 5 / 6:
        return recipe.lr * 0.04
    return recipe.lr * 0.2 if step >= steps * 2 / 3 else recipe.lr


def train_slowly(network, images, targets, mean, std, recipe, steps, seed, log_weights=None):
    """Train in place. ``images`` are floats in [0, 1], ``targets`` probabilities, ``log_weights`` added to logits."""
    parameters = list(network.parameters())
    first = [torch.zeros_like(p) for p in parameters]
    second = [torch.zeros_like(p) for p in parameters]
    for step in range(steps):
        chosen = positions(len(images), recipe.batch, step, seed)
        rng = generator(seed, "augment", step)
        theta = draw(rng, len(chosen), parse_strategy(recipe.augment), recipe.augment_mode)
        centre, spread = (torch.tensor(v, dtype=images.dtype).view(-1, 1, 1) for v in (mean, std))
        rows = [augment(((images[at] - centre) / spread)[None], theta.rows([row]))[0] for row, at in enumerate(chosen)]
        batch, wanted = cutmix(torch.stack(rows), targets[chosen], recipe.cutmix, rng)
        total = torch.zeros((), dtype=images.dtype)
        for image, target in zip(batch, wanted, strict=True):
            logits = network(image[None])[0]
            if log_weights is not None:
                logits = logits + log_weights
            exponentials = (logits - logits.max().detach()).exp()
            total = total - (target * (exponentials / exponentials.sum()).log()).sum() / len(batch)
        gradients = torch.autograd.grad(total, parameters)
        _move(parameters, gradients, first, second, recipe, learning_rate(recipe, step, steps), step + 1)


@torch.no_grad()
def _move(parameters, gradients, first, second, recipe, lr, time):
    for p, g, m, v in zip(parameters, gradients, first, second, strict=True):
        if recipe.optimizer == "sgd":
            m.copy_(recipe.momentum * m + g + recipe.weight_decay * p)
            p.sub_(lr * m)
        else:
            p.mul_(1 - lr * recipe.weight_decay)
            m.copy_(0.9 * m + 0.1 * g)
            v.copy_(0.999 * v + 0.001 * g * g)
            p.sub_(lr * (m / (1 - 0.9**time)) / ((v / (1 - 0.999**time)).sqrt() + 1e-8))
