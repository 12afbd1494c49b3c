"""The imports of the package's modules, read from their source: nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import cache
from pathlib import Path

import csdm_cli

PACKAGE = Path(csdm_cli.__file__).parent
MODULES = {
    ".".join(("csdm_cli", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}


@cache
def imports(module: str, for_types: bool = False) -> frozenset[str]:
    """The package's modules that ``module`` imports when run, inside functions too, on request for types alone."""
    tree = ast.parse(MODULES[module].read_text())
    unread = {
        id(inner)
        for node in ast.walk(tree)
        if not for_types and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in unread:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "csdm_cli":
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in MODULES}
    return frozenset(found - {module})


def closure(*starts: str, stop: Callable[[str], bool] = lambda module: False) -> set[str]:
    """``starts`` and every module that they import, directly or not, but nothing through a module that ``stop``s."""
    seen: set[str] = set()
    waiting = list(starts)
    while waiting:
        if (module := waiting.pop()) not in seen and not stop(module):
            seen.add(module)
            waiting += imports(module)
    return seen


def place(module: str) -> str:
    """The file of ``module``, below the package."""
    return MODULES[module].relative_to(PACKAGE).as_posix()
