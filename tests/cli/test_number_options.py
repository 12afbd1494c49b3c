"""Numbers as people type them, within bounds."""

import pytest
import typer

from csdm_cli.cli.number_options import decimal_number, thread_count, whole_number
from csdm_cli.errors import UsageError
from csdm_cli.settings import sections
from csdm_cli.settings.resolve import resolve


@pytest.mark.parametrize("text", ["1_000", " 5 ", "0", "10000001", "9" * 5000, "x", "٣"])
def test_what_is_no_number_of_a_person_is_refused(text):
    with pytest.raises(typer.BadParameter, match="expected an integer"):
        whole_number(1, 10**7)(text)
    with pytest.raises(UsageError, match="--ipc"):
        resolve(sections.Distill, None, {"ipc": text})


def test_numbers_are_read():
    assert whole_number(1, 9)("+7") == 7 and decimal_number(0, 10)("2.5e0") == 2.5
    assert resolve(sections.Distill, None, {"lr": "1e-3"}).section.lr == 0.001


def test_many_more_threads_than_cores_are_refused():
    with pytest.raises(typer.BadParameter):
        thread_count("100000")
