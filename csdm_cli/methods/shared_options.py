"""Options of ``csdm distill`` that are a parameter of some methods: what each may be, and what it is.

The methods' parameters and the settings both take them from here; the defaults are the settings' own.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from csdm_cli import names
from csdm_cli.methods.bounds import Rate, Several

Kernel = Annotated[
    names.KernelName,
    Field(description="kernel that classes are compared by; its spectral measure gives the frequencies ω"),
]
KernelShape = Annotated[
    Rate | None,
    Field(
        description="ν of matern, a of rational-quadratic, degree of polynomial"
        " (default: 1.5, 1 and 2; other kernels have none)"
    ),
]
Scale = Annotated[Rate, Field(description="kernel length ℓ, as a multiple of the median distance of real features")]
Frequencies = Annotated[Several, Field(description="frequencies ω per draw (K)")]
FrequencyRule = Annotated[
    names.FrequencyRule, Field(description="how a draw's frequencies are spread over the spectral measure")
]
Resample = Annotated[bool, Field(description="new frequencies for every draw, or one set for all")]
Distance = Annotated[names.Distance, Field(description="squared distance, or its root per frequency")]
AlphaSchedule = Annotated[names.AlphaSchedule, Field(description="how α follows the class size")]
AlphaHead = Annotated[float, Field(gt=0, lt=1, description="α of the largest class (weight of amplitude: diversity)")]
AlphaTail = Annotated[float, Field(gt=0, lt=1, description="α of the smallest class (1 - α weighs phase: realism)")]
