"""Markdown tables: figures to the right, and no cell ends before its end."""

from csdm_cli.display.markdown import markdown_table


def test_the_first_column_is_text_and_the_others_are_figures():
    assert markdown_table(("name", "%"), [("a", "1.0"), ("b", "–")]) == (
        "| name | % |\n|---|---:|\n| a | 1.0 |\n| b | – |"
    )


def test_columns_of_text_are_named():
    assert markdown_table(("%", "from"), [("1", "x")], {"from"}).splitlines()[1] == "|---:|---|"


def test_cells_are_text():
    (cell,) = markdown_table(("name",), [("a|b *c* <d>\ne",)]).splitlines()[2:]
    assert cell == r"| a\|b \*c\* \<d\>\\ne |"
