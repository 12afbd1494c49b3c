"""One file per method, named like the method; nothing else is in this folder but their contract.

Names are known without importing anything, so that help and validation are instant; :func:`load` imports a method.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from csdm_cli.methods.contract import MethodClass

_NOT_METHODS = {"__init__", "contract"}


@cache
def method_names() -> tuple[str, ...]:
    """All methods, in alphabetical order."""
    stems = (path.stem for path in Path(__file__).parent.glob("*.py"))
    return tuple(sorted(stem.replace("_", "-") for stem in stems if stem not in _NOT_METHODS))


def module_of(name: str) -> str:
    """The file of the method called ``name``, below the package."""
    return f"methods/{name.replace('-', '_')}.py"


def load(name: str) -> MethodClass:
    """The class of the method called ``name``: the one its file defines."""
    from csdm_cli.methods.contract import BuildingMethod, OptimisedMethod

    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    (found,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, (OptimisedMethod, BuildingMethod))
        and value.__module__ == module.__name__
    )
    return found
