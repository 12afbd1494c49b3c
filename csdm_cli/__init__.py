"""csdm: distil long-tailed image datasets by matching class-wise spectral distributions.

The Python door is ``make_long_tail``, ``train_teachers``, ``distill``, ``evaluate`` and ``load``: what the commands do,
as functions that print nothing and return their results. They are loaded at first use, so that the import is instant.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing takes as long to import as all else that comes before Ctrl-C is looked after
if TYPE_CHECKING:
    from typing import Any

    from csdm_cli.runs.door import distill, evaluate, make_long_tail, train_teachers
    from csdm_cli.runs.loading import load

__all__ = ["__version__", "distill", "evaluate", "load", "make_long_tail", "train_teachers"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in __all__:
        from importlib import import_module

        return getattr(import_module(f"csdm_cli.runs.{'loading' if name == 'load' else 'door'}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
