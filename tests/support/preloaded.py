"""Runs commands in processes of their own that have the program loaded already.

A server imports the program once and forks for each command, which saves the second that a new
interpreter needs to import it. The command has its own folder, environment, umask and streams.
"""

from __future__ import annotations

import atexit
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

_LONGEST_REQUEST = 1 << 20


@cache
def _server() -> str:
    """Starts the server of this process, and returns the name of its socket."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("")  # Linux chooses a free abstract name
        listener.listen(64)
        command = [sys.executable, "-m", "tests.support.preloaded", str(listener.fileno())]
        root = Path(__file__).parents[2]
        # It ends when its standard input does, so also if this process is killed.
        server = subprocess.Popen(
            command, pass_fds=[listener.fileno()], cwd=root, stdin=subprocess.PIPE
        )
        atexit.register(_end, server)
        name: str = listener.getsockname()
    return name


def _end(server: subprocess.Popen[bytes]) -> None:
    server.communicate()  # closes its standard input, and waits


def run(
    arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], stdin: bytes, timeout: float
) -> subprocess.CompletedProcess[bytes]:
    """Runs `newsletter` with these arguments.

    Raises:
        TimeoutExpired: it did not end in time, and was killed.
    """
    mask = os.umask(0)
    os.umask(mask)
    request = {"arguments": arguments, "cwd": str(cwd), "environment": environment, "umask": mask}
    with (
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        socket.socket(socket.AF_UNIX) as connection,
    ):
        given.write(stdin)
        given.seek(0)
        connection.settimeout(timeout)
        connection.connect(_server())
        streams = [one.fileno() for one in (given, out, err)]
        socket.send_fds(connection, [json.dumps(request).encode()], streams)
        connection.shutdown(socket.SHUT_WR)
        number, status = 0, 0
        try:
            number = _answer(connection)
            status = _answer(connection)
        except TimeoutError as late:
            if number:
                os.kill(number, signal.SIGKILL)
            raise subprocess.TimeoutExpired(arguments, timeout) from late
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(arguments, status, out.read(), err.read())


def _answer(connection: socket.socket) -> int:
    """Returns the next number that the server sends."""
    line = b""
    while not line.endswith(b"\n"):
        received = connection.recv(1)
        assert received, "the server of preloaded processes ended"
        line += received
    return int(line)


def _serve(listener: socket.socket) -> None:
    """Forks for each connection, and that process forks the command and waits for it."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        if os.fork():
            connection.close()
            continue
        listener.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        message, streams, _, _ = socket.recv_fds(connection, _LONGEST_REQUEST, 3)
        while more := connection.recv(_LONGEST_REQUEST):
            message += more
        if not (child := os.fork()):
            connection.close()
            _become(json.loads(message), streams)
        connection.sendall(b"%d\n" % child)
        _, status = os.waitpid(child, 0)
        with suppress(OSError):
            connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
        os._exit(0)


def _become(request: dict[str, Any], streams: list[int]) -> None:
    """Runs the command in this process, and ends it."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["cwd"])
    os.umask(request["umask"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    random.seed()
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, encoding="utf-8", errors=errors)  # noqa: PTH123, SIM115
        for number, mode, errors in (
            (0, "r", "strict"),
            (1, "w", "strict"),
            (2, "w", "backslashreplace"),
        )
    )
    sys.argv = ["newsletter", *request["arguments"]]
    from newsletter import cli

    status = 1
    try:
        cli.main()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 99  # `main` exits with a number
    except BaseException as error:  # noqa: BLE001  # an interpreter would print it and end
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        for output in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                output.flush()
        os._exit(status)


def _preload() -> None:
    """Imports what commands import when they run, but not the optional and the slow."""
    import importlib
    import pkgutil

    import newsletter

    for module in pkgutil.walk_packages(newsletter.__path__, "newsletter."):
        if not module.name.endswith("__main__") and ".migrations" not in module.name:
            importlib.import_module(module.name)


if __name__ == "__main__":
    _preload()
    _serve(socket.socket(fileno=int(sys.argv[1])))
