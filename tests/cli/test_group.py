"""The panels of the help."""

from __future__ import annotations

from csdm_cli.cli.app import app
from csdm_cli.cli.group import DISTIL, EVALUATE, FILES


def test_every_subcommand_stands_in_a_panel_and_every_panel_has_some():
    panels = [one.rich_help_panel for one in (*app.registered_commands, *app.registered_groups)]
    assert set(panels) == {DISTIL, EVALUATE, FILES}
