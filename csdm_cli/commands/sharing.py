"""What distillation under torchrun refuses, and says."""

from __future__ import annotations

from csdm_cli import config, torchrun
from csdm_cli.engine.shares import Share
from csdm_cli.errors import UsageError
from csdm_cli.methods.contract import BuildingMethod, Method
from csdm_cli.names import Engine


def refuse_to_couple(settings: config.Distill, method: Method) -> None:
    """Raises: UsageError if torchrun started several processes, and each cannot distil classes of its own."""
    if torchrun.seat() is None:
        return
    reason = None
    if isinstance(method, BuildingMethod):
        reason = f"--method {settings.method} selects its images in one process"
    elif not method.class_separable:
        reason = f"--method {settings.method} couples the classes, so that ranks cannot share them"
    elif isinstance(settings.calibration, str):
        reason = f"--calibration {settings.calibration} is measured on all classes, which one process has"
    elif settings.engine is Engine.textbook:
        reason = "--engine textbook is a yardstick for one process"
    if reason:
        raise UsageError(f"{reason}: run it without torchrun")


def describe_share(share: Share, classes: int) -> str:
    """How the classes are divided, in a line."""
    text = f"{classes} classes shared among {share.world} processes, {share.chunk} at a time"
    borders = -(-classes // share.chunk)
    if share.world > borders:
        text += f"; {share.world - borders} have none, for a chunk is not divided: a smaller --memory-budget makes more"
    return text
