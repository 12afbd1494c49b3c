"""The body of a backbone that is trained on the long-tailed images alone, without their labels.

A run that was killed goes on after the last part of it that was kept, and gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from csdm_cli.display.console import progress
from csdm_cli.images.image_set import ImageSet
from csdm_cli.names import Objective
from csdm_cli.networks import NetworkSpec, build
from csdm_cli.seeds import derive_seed
from csdm_cli.teachers.remains import Remains
from csdm_cli.training.loop import Moment, optimise
from csdm_cli.training.objectives import pair_loss
from csdm_cli.training.pretext import Pairs, Projected, duration_of_pretext, of_pairs, pretext_recipe

CHECKPOINT_EVERY = 5.0  # seconds of training to lose at most, beyond the epoch in which a run is killed

# Called with the epoch, or equal part of the steps, that is just done (from 1), and the loss of its last step.
OnStage = Callable[[int, float], None]


def self_supervised(
    data: ImageSet,
    spec: NetworkSpec,
    seed: int,
    notes: Path,
    *,
    quiet: bool = False,
    on_stage: OnStage | None = None,
) -> dict[str, Tensor]:
    """Weights of the encoder of ``spec``, trained by ``spec.frozen.pretext``; on the CPU.

    Args:
        data: images on the device where to train; neither labels nor class sizes are read.
        spec: the backbone.
        seed: random seed of weights, shuffles and views.
        notes: a folder for what a killed run leaves; whoever has the weights may remove it.
        quiet: show no progress.
        on_stage: hears of the training.

    Raises:
        UsageError: if lightly is not installed, or the network cannot take these images.
        CsdmError: if training diverges.
    """
    assert spec.frozen is not None and spec.frozen.pretext is not None
    pretext = spec.frozen.pretext
    loss = of_pairs(pair_loss(Objective(pretext.objective)))
    whole = build(replace(spec, frozen=None), derive_seed(seed, "weights"))
    network = Projected(whole.encoder, whole.feature_dim, pretext, derive_seed(seed, "projector"))
    network.to(data.images.device)
    ends = duration_of_pretext(pretext).ends(len(data.images), pretext.batch)
    steps, kept = max(ends), Remains(notes, CHECKPOINT_EVERY)
    start = kept.read(network, steps)
    chance = derive_seed(seed, "training")
    pairs = Pairs(data.images, data.mean, data.std, pretext, chance)
    title = f"{spec.name}: {pretext.objective}"
    with progress(title, steps, start=start.step if start else 0, quiet=quiet) as task:

        def after(moment: Moment) -> None:
            task.update(moment.step, loss=moment.loss)
            if moment.step not in ends:
                return
            if kept.is_due:
                kept.write(moment.state())
            if on_stage is not None:
                on_stage(ends[moment.step], float(moment.loss))

        optimise(network, pairs.at, pretext_recipe(pretext), steps, chance, loss=loss, start=start, on_step=after)
    return {name: value.detach().cpu().clone() for name, value in network.encoder.state_dict().items()}
