"""docs/parameterisations.md: its table of budgets is what is chosen, and it names every parameterisation and file."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from csdm_cli.names import Parameterization
from csdm_cli.parameterisations.choose import chosen
from csdm_cli.parameterisations.parameterisation import Shape

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "parameterisations.md"
HEAD = "| name | IPC | training images per class | numbers | bytes | IPC-equivalent |\n|---|---:|---:|---:|---:|---:|\n"
SHAPE = Shape(10, 3, 32)


def budgets() -> str:
    """The table as it should stand in the page."""
    real = [torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) for _ in range(SHAPE.classes)]
    lines = []
    for kind in Parameterization:
        for ipc in (1, 10):
            own = chosen(kind, SHAPE, ipc, lambda: real, factor=2)
            equivalent = SHAPE.ipc_equivalent(own.bytes())
            lines.append(
                f"| `{kind}` | {ipc} | {own.per_class} | {own.numbers():,} | {own.bytes():,} | {equivalent:.2f} |"
            )
    return "\n".join(lines) + "\n"


def test_the_table_is_what_the_budget_buys():
    assert PAGE.read_text(encoding="utf-8").split(HEAD)[1].split("\n\n")[0] + "\n" == budgets()


def test_every_parameterisation_is_told():
    text = PAGE.read_text(encoding="utf-8").split(HEAD)[0]
    assert re.findall(r"^\| `([\w-]+)`", text, re.MULTILINE) == list(Parameterization)


def test_every_file_of_the_room_is_named():
    files = {f"parameterisations/{path.name}" for path in (ROOT / "csdm_cli" / "parameterisations").glob("*.py")}
    named = set(re.findall(r"`(parameterisations/\w+\.py)`", PAGE.read_text(encoding="utf-8")))
    assert named == files - {"parameterisations/__init__.py"}
