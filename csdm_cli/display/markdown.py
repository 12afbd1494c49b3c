"""Tables in Markdown: the one writer of all pages, cards and documents."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from csdm_cli.safe_text import markdown


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]], texts: Collection[str] | None = None) -> str:
    """A table, its cells text and no markup.

    Args:
        columns: the header.
        rows: one cell per column each.
        texts: columns to the left, all others hold figures and stand to the right; None has the first one left.

    Returns:
        Lines without a last line break.
    """
    left = columns[:1] if texts is None else texts
    rule = "|".join("---" if column in left else "---:" for column in columns)
    return "\n".join([_line(columns), f"|{rule}|", *map(_line, rows)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(markdown, cells))} |"
