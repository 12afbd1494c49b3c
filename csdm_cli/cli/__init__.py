"""The command line: Typer only, importing no torch.

Read ``app`` (the entry point) and ``group``, then one thin function per subcommand in ``making``, ``measuring``,
``set_files`` and ``ledger``; ``options`` (settings as options), ``arguments`` (files and folders) and
``number_options`` (numbers), then ``failures`` (what a user sees when something goes wrong) and ``narrow`` (help that
fits the terminal).
"""

from csdm_cli.cli.app import main

__all__ = ["main"]
