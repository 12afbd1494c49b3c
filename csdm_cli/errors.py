"""Errors that reach the user as one line and an exit code, never as a traceback."""

MISTAKE = "\n  "  # begins each of several mistakes that one message lists; else a message is one line


class CsdmError(Exception):
    """A failed run: the data, an artifact or the machine is at fault. Exit code 1.

    The message says in one line what is wrong and what to do about it.
    """

    exit_code = 1


class UsageError(CsdmError):
    """A request that cannot be carried out as written: an option or a setting is wrong. Exit code 2."""

    exit_code = 2
