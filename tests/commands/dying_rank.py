"""``csdm`` under torchrun, one rank of which is killed: ``-m tests.commands.dying_rank RANK STEP ARGUMENTS…``.

The rank gets SIGKILL just after it has distilled STEP iterations.
"""

from __future__ import annotations

import os
import signal
import sys

from csdm_cli.cli import app
from csdm_cli.display import console


def main() -> None:
    """Arm the rank that is to die, and run the command."""
    rank, step = sys.argv[1:3]
    if os.environ["RANK"] == rank:
        real_update = console.Progress.update

        def update(self, done, **values):
            real_update(self, done, **values)
            if self.description == "distil" and done == int(step):
                os.kill(os.getpid(), signal.SIGKILL)

        console.Progress.update = update
    sys.argv = ["csdm", *sys.argv[3:]]
    app.main()


if __name__ == "__main__":
    main()
