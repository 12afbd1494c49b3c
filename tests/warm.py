"""``python -m MODULE`` in a process forked from one that has torch and others imported: a start costs milliseconds.

``python tests/warm.py serve SOCKET MODULE…`` imports modules and forks a process for every call of
``python -SI tests/warm.py SOCKET MODULE ARGUMENTS…``. That stands for the process: it hands over its arguments, working
directory, environment, streams and signals, and ends as the process ended.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
PRELOADED = (
    *(f"csdm_cli.commands.{name}" for name in ("make_lt", "pretrain", "distill", "evaluate", "compare", "profile")),
    "csdm_cli.cli.app",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "sklearn.datasets",
    "torch._dynamo",
    "torch.distributed.elastic.agent.server.local_elastic_agent",
    "torch.distributed.launcher.api",
    "dvc.repo",
    "dvc.commands.repro",
)


@contextmanager
def warm_commands(**commands: str) -> Iterator[Path]:
    """A folder to put first on PATH, with a command of each name that runs ``python -m MODULE`` warm."""
    with tempfile.TemporaryDirectory(prefix="warm-") as name:  # short: so must be a socket's path
        folder, door = Path(name), Path(name) / "socket"
        for command, module in commands.items():
            words = shlex.join([sys.executable, "-SI", __file__, str(door), module])
            (folder / command).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
            (folder / command).chmod(0o755)
        own = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
        words = [sys.executable, __file__, "serve", str(door), *PRELOADED]
        server = subprocess.Popen(words, env=own, stdout=subprocess.PIPE, start_new_session=True)
        assert server.stdout is not None
        try:
            assert server.stdout.readline() == b"ready\n"
            yield folder
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.communicate()


def call(door: str, words: list[str]) -> int:
    """Have the server run ``words``; the exit code, negative for a signal."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(door)
        request = json.dumps([words, str(Path.cwd()), dict(os.environ)]).encode()
        socket.send_fds(line, [b"%d\n" % len(request)], [0, 1, 2])
        line.sendall(request)
        answers = line.makefile()
        process = int(answers.readline())
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, _: os.kill(process, number))
        return int(answers.readline())


def serve(door: str, modules: list[str]) -> list[str]:
    """Answer calls for ever; returns in the process of each call, with the words of it."""
    for module in modules:
        __import__(module)
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as bell:
        bell.bind(door)
        bell.listen()
        os.write(1, b"ready\n")
        while True:
            line, _ = bell.accept()
            if os.fork() == 0:
                bell.close()
                return _attend(line)
            line.close()
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _attend(line: socket.socket) -> list[str]:
    head, streams, _, _ = socket.recv_fds(line, 32, 3)
    size, _, request = head.partition(b"\n")
    while len(request) < int(size):
        request += line.recv(1 << 16)
    process = os.fork()
    if process:
        line.sendall(b"%d\n" % process)
        line.sendall(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
        os._exit(0)
    line.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    words, folder, environment = json.loads(request)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    return list(words)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.path[0] = str(REPOSITORY)
        sys.argv = serve(sys.argv[2], sys.argv[3:])
        try:
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            code = 1
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(code)  # to take down what others imported would take seconds
    else:
        ended = call(sys.argv[1], sys.argv[2:])
        if ended < 0:
            if -ended != signal.SIGKILL:
                signal.signal(-ended, signal.SIG_DFL)
            os.kill(os.getpid(), -ended)
        sys.exit(ended)
