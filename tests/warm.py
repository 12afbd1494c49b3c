"""Processes forked from one that has torch and others imported: a start costs milliseconds.

:func:`start` calls a function in such a process. :func:`warm_commands` makes commands of modules: each calls
``python -SI tests/warm.py SOCKET MODULE ARGUMENTS…``, which stands for a process of ``python -m MODULE ARGUMENTS…``.
It hands over its arguments, working directory, environment, streams and signals, and ends as the process ended.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import select
import shlex
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

PRELOADED = [
    *(f"csdm_cli.commands.{name}" for name in ("make_lt", "pretrain", "distill", "evaluate", "cross_arch")),
    *(f"csdm_cli.commands.{name}" for name in ("compare", "profile", "report")),
    "csdm_cli.cli.app",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "sklearn.datasets",
    "safetensors.torch",
    "filelock",
    "torch._dynamo",
    "torch.distributed.elastic.agent.server.local_elastic_agent",
    "torch.distributed.launcher.api",
    "dvc.repo",
    "dvc.commands.repro",
    "dvc.cli.parser",
    "dvc.scm",
    "dvc.rwlock",
    "scmrepo.git",
    "networkx",
    "ruamel.yaml",
]


def start(target: Callable[..., None], *arguments: object) -> BaseProcess:
    """A process that calls ``target``."""
    import multiprocessing

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=_begin, args=(target, *arguments))
    process.start()
    return process


def _begin(target: Callable[..., None], *arguments: object) -> None:
    """Call ``target`` where the roof is as small as in this process: preloading may not find the tests."""
    from tests import small_roof  # noqa: F401

    target(*arguments)


@contextmanager
def warm_commands(**commands: str) -> Iterator[Path]:
    """A folder to put first on PATH, with a command of each name that runs ``python -m MODULE`` warm."""
    with tempfile.TemporaryDirectory(prefix="warm-") as name:  # short: so must be a socket's path
        folder, door = Path(name), Path(name) / "socket"
        for command, module in commands.items():
            words = shlex.join([sys.executable, "-SI", __file__, str(door), module])
            (folder / command).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
            (folder / command).chmod(0o755)
        with socket.socket(socket.AF_UNIX) as bell:
            bell.bind(str(door))
            bell.listen()
            server = start(serve, bell)
        try:
            yield folder
        finally:
            with suppress(ProcessLookupError):  # with all that it still runs
                os.killpg(server.pid, signal.SIGKILL)
            server.kill()
            server.join()


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


def serve(bell: socket.socket) -> None:
    """Run what callers ask for, each in a process of its own, for as long as the process that started this lives."""
    import multiprocessing

    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.freeze()
    parent = multiprocessing.parent_process()
    assert parent is not None
    while parent.sentinel not in select.select([bell, parent.sentinel], [], [])[0]:
        line, _ = bell.accept()
        if os.fork() == 0:
            bell.close()
            _run(_attend(line))
        line.close()
        with suppress(ChildProcessError):
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


def _run(words: list[str]) -> None:
    """``python -m`` of ``words``, and the end of this process."""
    sys.argv = words
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code)  # to take down what others imported would take seconds


if __name__ == "__main__":
    ended = call(sys.argv[1], sys.argv[2:])
    if ended < 0:
        if -ended != signal.SIGKILL:
            signal.signal(-ended, signal.SIG_DFL)
        os.kill(os.getpid(), -ended)
    sys.exit(ended)
