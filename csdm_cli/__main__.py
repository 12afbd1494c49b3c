"""``python -m csdm_cli`` is the ``csdm`` command, and what torchrun starts."""

from csdm_cli.cli import main

main()
