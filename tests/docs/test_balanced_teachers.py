"""The diagnostic of teachers that saw balanced data: the page says what its file and the README's rows say."""

from __future__ import annotations

import json

from balanced_teachers import METHODS, RESULT, honest, leaking
from report import PAGE


def test_the_page_tells_both_kinds_of_teachers():
    told, page = json.loads(RESULT.read_bytes()), PAGE.read_text(encoding="utf-8")
    assert "diagnostic" in told["what"] and told["teachers"]["teachers"] == 3
    for method in METHODS:
        means = [*leaking(told["sets"][method]).values(), *honest(method).values()]
        assert f"| {method} | {' | '.join(map(str, means))} |" in page
