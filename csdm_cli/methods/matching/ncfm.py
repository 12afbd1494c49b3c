"""NCFM: neural characteristic function matching (Wang et al., CVPR 2025)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import layer_norm, leaky_relu, normalize

from csdm_cli.errors import UsageError
from csdm_cli.methods import shared_options
from csdm_cli.methods.contract import Context, MatchingMethod, option
from csdm_cli.methods.statistics import Batch, Request, Spectrum
from csdm_cli.names import KernelName, TeacherSchedule
from csdm_cli.networks import build
from csdm_cli.seeds import generator
from csdm_cli.spectral.characteristic import Ecf, ecf
from csdm_cli.spectral.distance import class_distance
from csdm_cli.training.optimizer_state import averages, restore_averages

# Of the sampling network's activation.
LEAK = 0.2


@dataclass(frozen=True)
class NcfmParameters:
    """Options of NCFM; ``frequencies`` is the option of ``csdm distill``."""

    frequencies: shared_options.Frequencies
    amplitude: Annotated[float, Field(ge=0)] = option(0.5, "a: weight of the amplitudes' difference (diversity)")
    phase: Annotated[float, Field(ge=0)] = option(0.5, "b: weight of the phases' difference (realism)")
    weight: Annotated[float, Field(gt=0)] = option(300.0, "factor of the discrepancy, which calibration does not have")
    sampler: Literal["fixed", "learned"] = option(
        "fixed", "frequencies from N(0, I), the released default, or from a network that maximises the discrepancy"
    )
    sampler_width: Annotated[int, Field(ge=2)] = option(256, "noise and hidden units of the sampling network")
    sampler_lr: Annotated[float, Field(gt=0)] = option(1e-4, "Adam learning rate of the sampling network")


class Ncfm(MatchingMethod):
    """Σ_c weight · mean_t √(a·(|Φ_T| − |Φ_S|)² + b·2(|Φ_T||Φ_S| − Re Φ_T Φ̄_S)) at frequencies t.

    Φ are characteristic functions of features divided by their length. With ``sampler=fixed``, as the released
    configurations have it, t ~ N(0, I), which is the spectral measure of the rbf kernel of length 1; at a = b = ½ the
    loss is ``weight`` times csdm's with α = ½, that absolute scale and the root per frequency, and for any a and b
    weight·√(a + b) times csdm's with α = a/(a + b).

    With ``sampler=learned``, as the paper describes it, t = ψ(z) with z ~ N(0, I) and ψ a network: min over images,
    max over ψ, in turn. In every iteration the images take a descent step with ψ held, and then ψ an ascent step with
    the moved images held, on the same discrepancy over all classes, calibration not included. Noise is new every
    iteration. ψ has three layers and ends in tanh, which bounds t. The released ψ climbs the gradient at the images
    of before, ties most of its frequencies together (4 different ones of 64) and normalises over them; this one
    gives as many as asked for, independent of each other given ψ.
    """

    Parameters = NcfmParameters
    default_calibration: ClassVar[float] = 1.0
    default_schedule: ClassVar[TeacherSchedule] = TeacherSchedule.interpolate
    summary = "characteristic functions matched in amplitude and phase, frequencies fixed or learned"
    source = "Wang et al., CVPR 2025, arXiv 2502.20653"
    cost = (
        "as csdm at --teacher-schedule interpolate: calibration is a second network (bank); a learned sampler also"
        " projects fresh real features, differentiates that, and passes the moved images forward once more"
    )
    departures = (
        "one step for all classes (the code: one per class, and one more for its calibration: 20 an iteration for 10"
        " classes, at the same rate, so that its pixels move farther in as many iterations); a constant rate, not one"
        " halved on plateaus"
    )
    parameters: NcfmParameters

    def __init__(self, parameters: NcfmParameters) -> None:
        """Raises: UsageError if neither amplitude nor phase counts."""
        super().__init__(parameters)
        if not parameters.amplitude + parameters.phase > 0:
            raise UsageError("--option amplitude=0 and phase=0 leave nothing to match: give one of them a weight")
        self.needs_moved_images = parameters.sampler == "learned"
        if self.needs_moved_images:
            self.coupled_by = "the network that draws its frequencies takes one step for all of them"
        self._sampler: _Sampler | None = None

    @classmethod
    def paper(cls, ipc: int) -> Mapping[str, Mapping[str, Any]]:
        """For CIFAR-10, whose pixels live in [0, 1] as they do here; the plateau schedule is left out.

        Its students' 2000 epochs are given in steps. CIFAR-100 at IPC 10 has SGD with rate 0.01 instead, ImageNet
        subsets teachers of 80 epochs.
        """
        return {
            "pretrain": {"teachers": 20, "epochs": 60, "loss": "cross-entropy"}
            | {"augment": "color_crop", "augment_mode": "compose"},
            "distill": {"frequencies": 4096, "iterations": 20_000, "optimizer": "adamw", "lr": 1e-3}
            | {"weight_decay": 5e-4}
            | {"schedule": "constant", "augment": "color_crop_cutout", "augment_mode": "compose"}
            | {"factor": 2, "initial": "mix", "real": "fresh", "real_batch": 1024},
            "evaluate": {"steps": 2000 * math.ceil(40 * ipc / 128), "augment_mode": "compose"},
        }

    def request(self) -> Request:
        if self.parameters.sampler == "learned":
            return Request(features=True)
        return Request(spectrum=Spectrum(KernelName.rbf, 1.0, 1.0, self.parameters.frequencies, absolute=True))

    def prepare(self, context: Context) -> None:
        if self.parameters.sampler == "learned":
            assert context.pool is not None
            dim = build(context.pool.spec, seed=0).feature_dim
            self._sampler = _Sampler(dim, self.parameters, context)

    @property
    def replayable(self) -> bool:
        return self.parameters.sampler == "fixed"

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        if self._sampler is None:
            assert batch.real.ecf is not None and batch.frequencies is not None
            return {"discrepancy": self._discrepancy(batch, batch.real.ecf, batch.frequencies)}
        return {"discrepancy": self._at(batch, self._sampler.frequencies(step).detach())}

    def after_move(self, batch: Batch, step: int) -> None:
        """ψ's turn: the discrepancy of the moved images leaves its gradient in the frequencies."""
        assert self._sampler is not None
        with torch.enable_grad():
            self._at(batch, self._sampler.frequencies(step)).backward()

    def after_step(self, step: int) -> None:
        if self._sampler is not None:
            self._sampler.ascend()

    def state_dict(self) -> dict[str, Tensor]:
        return {} if self._sampler is None else self._sampler.state()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        if self._sampler is not None:
            self._sampler.load_state(state)

    def idle_options(self) -> frozenset[str]:
        return frozenset({"sampler_width", "sampler_lr"} if self.parameters.sampler == "fixed" else ())

    def _at(self, batch: Batch, frequencies: Tensor) -> Tensor:
        """The discrepancy at frequencies (K, D) of ψ, from the real images themselves."""
        assert batch.real.features is not None
        parts = batch.real.features
        real = ecf(normalize(torch.cat(list(parts))), frequencies, [len(part) for part in parts])  # (c, K)
        return self._discrepancy(batch, real, frequencies)

    def _discrepancy(self, batch: Batch, real: Ecf, frequencies: Tensor) -> Tensor:
        """Summed over classes, a scalar, from the real side's (c, K) at frequencies (K, D)."""
        p = self.parameters
        synthetic = ecf(normalize(batch.features), frequencies, [batch.per_class] * batch.classes)  # (c, K)
        alpha = synthetic.re.new_full((batch.classes,), p.amplitude / (p.amplitude + p.phase))
        distance = class_distance(real, synthetic, alpha, root=True)  # (c,)
        return p.weight * math.sqrt(p.amplitude + p.phase) * distance.sum()


class _Sampler(nn.Module):
    """ψ: noise z (K, width) to frequencies t (K, D) in (−1, 1), and Adam, which moves ψ up the discrepancy.

    t is a leaf of the graphs that an iteration's chunks of classes make: their gradients add up in it, and then go
    through ψ once.
    """

    def __init__(self, dim: int, parameters: NcfmParameters, context: Context) -> None:
        super().__init__()
        width, rng = parameters.sampler_width, generator(context.seed, "sampler")
        self._count, self._width, self._seed = parameters.frequencies, width, context.seed
        # hidden units, and what enters tanh, have unit variance at first
        scale = math.sqrt(2 / ((1 + LEAK**2) * width))
        shapes = ((width, width), (width, width), (dim, width))
        weights = [torch.randn(*shape, generator=rng, dtype=torch.float64) * scale for shape in shapes]
        self._weights = nn.ParameterList(weights)
        self._biases = nn.ParameterList(torch.zeros(len(weight), dtype=torch.float64) for weight in weights)
        self.to(device=context.device, dtype=context.dtype)
        self._optimizer = torch.optim.Adam(self.parameters(), lr=parameters.sampler_lr, maximize=True)
        self._step: int | None = None

    def forward(self, noise: Tensor) -> Tensor:
        """Frequencies (K, D) from noise (K, width), row by row."""
        *hidden, (weight, bias) = zip(self._weights, self._biases, strict=True)
        values = noise
        for inner, offset in hidden:
            values = leaky_relu(layer_norm(values @ inner.T + offset, (self._width,)), LEAK)
        frequencies: Tensor = torch.tanh(values @ weight.T + bias)
        return frequencies

    def frequencies(self, step: int) -> Tensor:
        """Those of iteration ``step``, (K, D): the same tensor for every chunk of it, which gathers gradients."""
        if self._step != step:
            noise = torch.randn(self._count, self._width, generator=generator(self._seed, "sampler noise", step))
            self._made: Tensor = self(noise.to(self._weights[0]))
            self._seen: Tensor = self._made.detach().requires_grad_(True)
            self._step = step
        return self._seen

    def ascend(self) -> None:
        """One step of ψ along the gradient that the iteration's chunks left in its frequencies."""
        assert self._seen.grad is not None
        self._made.backward(self._seen.grad)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._step = None

    def state(self) -> dict[str, Tensor]:
        """Weights and the optimiser's averages."""
        state = {f"sampler.{name}": value.detach() for name, value in self.named_parameters()}
        return state | averages(self._optimizer, self.parameters())

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take back what :meth:`state` gave."""
        prefix = "sampler."
        self.load_state_dict({name.removeprefix(prefix): v for name, v in state.items() if name.startswith(prefix)})
        restore_averages(self._optimizer, self.parameters(), state)
