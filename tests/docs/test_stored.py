"""The table of one byte budget says what results/storage says."""

from __future__ import annotations

import json

import stored


def test_the_page_is_up_to_date():
    page = stored.PAGE.read_text(encoding="utf-8")
    assert stored.with_table(page, stored.measured()) == page and "| decomposition | 10 |" in page


def test_a_line_has_what_its_budget_starts_from_and_every_rate_tried(tmp_path):
    def write(factor: str, name: str, accuracy: float, weight: int) -> None:
        file = tmp_path / factor / f"{name}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({"sets": [{"accuracy": accuracy, "storage": {"bytes": weight}}]}))

    write("start", "frequency-ipc-1", 20.0, 30560)
    write("frequency", "ipc-1-lr-0.01", 34.5, 30560)
    write("frequency", "ipc-1-lr-0.03", 33.0, 30560)
    write("pixels", "ipc-10", 50.0, 307200)
    found = stored.measured(tmp_path)
    assert found["frequency", 1] == stored.Budget(20.0, {0.01: 34.5, 0.03: 33.0}, 30560)
    page = stored.with_table("<!-- storage -->\n<!-- end -->", found)
    assert "| frequency | 1 | 30,560 | 20.0 | 34.5 | 33.0 |" in page
    assert "| pixels | 10 | 307,200 | – | 50.0 | – |" in page and "lr 0.003" not in page
