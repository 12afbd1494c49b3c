"""Measures of the machine, from monitors like MLflow's."""

from __future__ import annotations

from csdm_cli.tracking.system import system_metrics


class Monitor:
    def __init__(self, **values: float) -> None:
        self.values, self.collected, self.cleared = values, 0, 0

    def collect_metrics(self) -> None:
        self.collected += 1

    def aggregate_metrics(self) -> dict[str, float]:
        return self.values

    def clear_metrics(self) -> None:
        self.cleared += 1


class Failing(Monitor):
    def aggregate_metrics(self) -> dict[str, float]:
        raise RuntimeError("no such device")


def test_all_that_can_be_measured_under_one_prefix():
    monitors = [Monitor(cpu=12.5), Failing(), Monitor(gpu=3.0)]
    assert system_metrics(monitors) == {"system/cpu": 12.5, "system/gpu": 3.0}
    assert [monitor.collected for monitor in monitors] == [1, 1, 1]
    assert (monitors[0].cleared, monitors[2].cleared) == (1, 1)
    assert system_metrics([]) == {}
