from __future__ import annotations

from rich.console import Console

from csdm_cli.display.class_chart import MAX_ROWS, count_chart


def drawn(names, counts, width=80):
    console = Console(width=width, color_system=None, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(count_chart(names, counts))
    return console.export_text().splitlines()


def test_bars_are_as_long_as_the_counts():
    lines = drawn(["head", "half", "tail"], [1000, 500, 0], width=100)
    bars = [line.count("█") for line in lines]
    assert "1,000" in lines[0] and "500" in lines[1]
    assert abs(bars[0] - 2 * bars[1]) <= 1 and bars[2] == 0


def test_a_narrow_terminal_still_shows_every_class():
    assert len(drawn(["a very long class name indeed", "b"], [3, 1], width=30)) == 2


def test_many_classes_are_thinned_out_evenly():
    lines = drawn([f"c{label:03}" for label in range(200)], list(range(200, 0, -1)))
    assert "c000" in lines[0] and "c199" in lines[MAX_ROWS - 1]
    assert any(f"{MAX_ROWS} of 200 classes shown" in line for line in lines)


def test_names_in_brackets_are_text_and_no_markup():
    assert "[bold]" in drawn(["[bold]", "b"], [3, 1])[0]
