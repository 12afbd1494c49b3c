"""Importing this has pictures drawn without axes and labels, which take longer than all else that a tiny command does.

Commands of tests draw hundreds; tests/display/test_pictures.py looks at those that users see.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from csdm_cli.display import pictures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

save_whole = pictures._save


def save_plainly(figure: Figure, path: Path) -> None:
    for axes in figure.axes:
        axes.set_axis_off()
    figure.set_layout_engine(None)
    save_whole(figure, path)


pictures._save = save_plainly
