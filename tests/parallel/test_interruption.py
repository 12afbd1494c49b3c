"""Signals that wait for the end of a step."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress

import pytest

from csdm_cli.display.console import aloud
from csdm_cli.parallel.interruption import Interruption, held_back, telling_what_is_kept


@pytest.fixture
def heard():
    """Signals that reached the process itself; its handlers are put back."""
    found, numbers = [], (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda which, frame: found.append(which)) for number in numbers}
    yield found
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_noted_and_a_second_acts_at_once(heard, number):
    with held_back() as interruption:
        assert not interruption
        os.kill(os.getpid(), number)
        assert interruption and interruption.signal == number and heard == []
        os.kill(os.getpid(), number)
        assert heard == [number]
    os.kill(os.getpid(), number)
    assert heard == [number, number]


def test_a_safe_place_raises_what_was_noted():
    interruption = Interruption()
    interruption.raise_if_asked()
    interruption.signal = signal.SIGINT
    with pytest.raises(KeyboardInterrupt):
        interruption.raise_if_asked()
    interruption.signal = signal.SIGTERM
    with pytest.raises(SystemExit) as caught:
        interruption.raise_if_asked()
    assert caught.value.code == 128 + 15


def test_outside_the_main_thread_nothing_changes(heard):
    before, seen = signal.getsignal(signal.SIGINT), []

    def inside() -> None:
        with held_back() as interruption:
            seen.extend([bool(interruption), signal.getsignal(signal.SIGINT) is before])

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [False, True]


@pytest.mark.parametrize(
    ("error", "quiet", "told"),
    [
        (KeyboardInterrupt(), False, True),
        (SystemExit(143), False, True),
        (SystemExit(143), True, False),
        (ValueError(), False, False),
    ],
)
def test_whoever_stops_a_command_is_told_what_is_kept(capsys, error, quiet, told):
    with suppress(type(error)), aloud(), telling_what_is_kept(quiet=quiet):
        raise error
    said = "stopped: what is finished is kept, and the same command goes on from there\n"
    assert capsys.readouterr().err == (said if told else "")
