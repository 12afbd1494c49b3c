from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def cells(row: dict[str, Any]) -> str:
    """A row of the table, of one of the benchmark's."""
    known = [f"`{row['method']}`", row["width"], row["ipc"], row["precision"], row["classes"]]
    return "| " + " | ".join(map(str, [*known, f"{row['ratio']:.1f} x", f"{row['matching_ratio']:.1f} x"])) + " |"


def test_the_table_of_gradient_matching_is_what_was_measured() -> None:
    page = (ROOT / "docs" / "engine.md").read_text()
    measured = json.loads((ROOT / "results" / "gradient-matching-cpu.json").read_text())
    shown = [
        line for line in page.splitlines() if line.startswith(("| `dc` | ", "| `dsa` | ", "| `idc` | ", "| `cafe` | "))
    ]
    assert shown == [cells(row) for row in measured["rows"]]


def test_the_shares_of_the_released_loops_time_are_what_was_measured() -> None:
    page = (ROOT / "docs" / "engine.md").read_text()
    rows = json.loads((ROOT / "results" / "second-order-cpu.json").read_text())["times"]["rows"]
    shares = {(row["method"], row["way"]): f"{row['of_textbook']:.2f}" for row in rows}
    for method, name in (("mtt", "`mtt`"), ("datm", "`datm`"), ("lad", "`lad`, two students")):
        own = [shares[method, way] for way in ("adjoint", "tesla", "unrolled")]
        assert f"| {name} | {' | '.join(own)} |" in page


def test_the_memory_of_a_step_is_what_was_measured() -> None:
    page = (ROOT / "docs" / "engine.md").read_text()
    rows = json.loads((ROOT / "results" / "second-order-cpu.json").read_text())["rows"]
    for few, many in zip(rows[::2], rows[1::2], strict=True):
        assert (few["method"], few["way"], few["ipc"], many["ipc"]) == (many["method"], many["way"], 10, 50)
        peaks = [row["peak_mb"] / 1000 for row in (few, many)]
        assert f"| {peaks[0]:.2f} GB | {peaks[1]:.2f} GB | {peaks[1] / peaks[0]:.2f} |" in page
