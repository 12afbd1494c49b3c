"""Use of processor, memory and GPUs, under MLflow's own names."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.system_metrics.metrics.base_metrics_monitor import BaseMetricsMonitor


def system_monitors() -> list[BaseMetricsMonitor]:
    """MLflow's, as far as what they read with is installed: psutil, and nvidia-ml-py for GPUs.

    They are to be asked by the thread that called this: psutil counts the processor's use for each thread apart.
    """
    found: list[BaseMetricsMonitor] = []
    with suppress(Exception):
        from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor

        found.append(CPUMonitor())
        found[0].collect_metrics()  # the processor's use is counted from one call to the next
        found[0].clear_metrics()
    with suppress(Exception):
        from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

        found.append(GPUMonitor())
    return found


def system_metrics(monitors: Sequence[BaseMetricsMonitor]) -> dict[str, float]:
    """Measures of the whole machine since the call before: ``system/cpu_utilization_percentage`` and the like."""
    found: dict[str, float] = {}
    for monitor in monitors:
        with suppress(Exception):
            monitor.collect_metrics()
            found |= {f"system/{name}": value for name, value in monitor.aggregate_metrics().items()}
            monitor.clear_metrics()
    return found
