"""One file per method, named like the method, in the folder of its kind; ``contract`` says what a method is, ``bounds``
what numbers its parameters may be, ``shared_options`` which options of ``csdm distill`` methods have for parameters.

Read ``contract`` and ``statistics``, then ``matching/dm.py`` (the shortest method) and ``matching/csdm.py``; for
methods that compare what networks learn, ``learning`` and ``gradient/dc.py``. Names are known without importing
anything, so that help and validation are instant; :func:`load` imports a method.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from csdm_cli.methods.contract import MethodClass

KINDS = ("matching", "gradient", "trajectory", "selection")
_NOT_METHODS = {
    *("__init__", "base", "distances", "matched", "centres", "layers", "pooling"),
    *("distance", "window", "class_weights", "label_start"),
}


@cache
def _kinds() -> dict[str, str]:
    """The kind (its folder) of every method, by name."""
    here = Path(__file__).parent
    files = ((kind, path.stem) for kind in KINDS for path in (here / kind).glob("*.py"))
    return {stem.replace("_", "-"): kind for kind, stem in files if stem not in _NOT_METHODS}


@cache
def method_names() -> tuple[str, ...]:
    """All methods, in alphabetical order."""
    return tuple(sorted(_kinds()))


def module_of(name: str) -> str:
    """The file of the method called ``name``, below the package."""
    return f"methods/{_kinds()[name]}/{name.replace('-', '_')}.py"


@cache
def load(name: str) -> MethodClass:
    """The class of the method called ``name``: the one its file defines."""
    from csdm_cli.methods.contract import BuildingMethod, OptimisedMethod

    module = import_module(f"{__name__}.{_kinds()[name]}.{name.replace('-', '_')}")
    (found,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, (OptimisedMethod, BuildingMethod))
        and value.__module__ == module.__name__
    )
    return found
