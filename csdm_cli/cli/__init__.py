"""The command line: Typer only, importing no torch.

Read ``app`` (one thin function per subcommand), ``options`` (settings as options) and ``number_options`` (numbers
without a setting behind them), ``ledger`` (its subcommands), then ``failures`` (what a user sees when something goes
wrong) and ``narrow`` (help where there is little room).
"""

from csdm_cli.cli.app import main

__all__ = ["main"]
