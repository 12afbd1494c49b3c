import torch

from csdm_cli.tracking import losses
from csdm_cli.tracking.losses import LossLog
from csdm_cli.tracking.tracker import NullTracker


class Told(NullTracker):
    """Numbers that came, and when they were measured."""

    def __init__(self):
        super().__init__()
        self.points = []

    def metrics(self, values, step=0, at=None):
        self.points.append((step, dict(values), at))


def followed(monkeypatch, steps, first=0, **options):
    """A run of ``steps`` steps, one a second; the tracker, and what it had been told before the end."""
    clock = [100.0]
    monkeypatch.setattr(losses.time, "time", lambda: clock[0])
    monkeypatch.setattr(losses.time, "monotonic", lambda: clock[0])
    tracker, history = Told(), {"phase": torch.full((steps,), torch.nan), "amplitude": torch.full((steps,), torch.nan)}
    log = LossLog(tracker, **options)
    for step in range(steps):
        history["phase"][step], history["amplitude"][step] = step, 10 + step
        if step >= first:
            clock[0] += 1
            log.after(step, history)
    live = len(tracker.points)
    log.finish(history)
    return tracker.points, live


def test_losses_are_told_while_the_run_lasts_each_with_its_own_time(monkeypatch):
    points, live = followed(monkeypatch, 12)
    assert live == 10  # after 5 and after 10 seconds
    assert points == [
        (step, {"loss/amplitude": 10.0 + step, "loss/phase": float(step)}, 101.0 + step) for step in range(12)
    ]


def test_shares_of_the_losses_are_told_at_the_end_with_the_same_times(monkeypatch):
    points, live = followed(monkeypatch, 12, live=False)
    assert live == 0 and [at for _, _, at in points] == [101.0 + step for step in range(12)]


def test_a_resumed_run_tells_of_the_steps_before_as_of_its_start(monkeypatch):
    points, _ = followed(monkeypatch, 4, first=2)
    assert [(step, at) for step, _, at in points] == [(0, 100.0), (1, 100.0), (2, 101.0), (3, 102.0)]


def test_a_run_without_losses_tells_nothing():
    tracker = Told()
    LossLog(tracker).finish({})
    assert tracker.points == []
