"""The ``csdm`` command, also as ``python -m csdm_cli``, which is what torchrun starts.

Nothing is imported before Ctrl-C is looked after: the rest of csdm comes within :func:`main`.
"""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored: a job in the background
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until main begins, Ctrl-C just ends the process, without a traceback

from csdm_cli.signals import stops_at_once


def main() -> None:
    """Run ``csdm``: a word for whoever presses Ctrl-C, from the first moment to the last."""
    with stops_at_once():
        from csdm_cli.cli.app import main as run

        run()


if __name__ == "__main__":
    main()
