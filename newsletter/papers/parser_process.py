"""One process that parses captures within limits: started, asked, and ended at any time."""

from __future__ import annotations

import json
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import newsletter
from newsletter.errors import ParserDied, ParserFailed, ParsingStopped
from newsletter.models import Paper
from newsletter.papers import parser_messages as messages

if TYPE_CHECKING:
    import subprocess

_START_SECONDS = 60.0
_BOOT = (
    "import sys; sys.path[:] = sys.argv[4:]; del sys.argv[4:]; "
    "from newsletter.papers.parser_worker import main; main()"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What parsing one capture may take.

    Attributes:
        seconds: time, from the request to the whole result.
        memory: bytes of address space of the process.
        output: bytes of the result.
    """

    seconds: float = 10.0
    memory: int = 2**30
    output: int = 64 * 2**20


class ParserProcess:
    """One process that parses.

    Args:
        function: what reads a capture there.
        limits: what parsing one capture may take.

    Attributes:
        goes_on: whether it can parse another capture.

    Raises:
        ParserFailed: it cannot be started.
    """

    def __init__(self, function: str, limits: Limits) -> None:
        self._limits = limits
        self.goes_on = True
        self._ready = False
        self._ends = 0.0
        self._wire, theirs = socket.socketpair()
        try:
            with theirs:
                self._child = _started(function, limits, theirs)
        except OSError as exc:
            self._wire.close()
            raise _unstarted(exc.strerror or str(exc)) from exc

    def wait_until_ready(self) -> None:
        """Waits until the process has started.

        Raises:
            ParserFailed: it does not start.
        """
        if self._ready:
            return
        self._ends = time.monotonic() + _START_SECONDS
        try:
            self._receive(messages.LENGTH.size + len(messages.READY))
        except (OSError, EOFError) as exc:
            why = f"after {_START_SECONDS:g} s" if isinstance(exc, TimeoutError) else self._status()
            raise _unstarted(str(why)) from exc
        self._ready = True

    def ask(self, request: bytes, data: bytes) -> tuple[dict[str, Any], list[Paper]]:
        """Lets the process parse a capture. Returns its last message, and the papers before it.

        Raises:
            ParsingStopped: it reached a limit.
            ParserDied: the process ended before it had answered.
        """
        self._ends = time.monotonic() + self._limits.seconds
        papers: list[Paper] = []
        last: dict[str, Any] = {}
        left = self._limits.output
        try:
            self._wire.settimeout(self._left())
            self._wire.sendall(b"".join(map(messages.framed, (request, data))))
            while True:
                (size,) = messages.LENGTH.unpack(self._receive(messages.LENGTH.size))
                left -= size
                if left < 0:
                    raise _stopped(f"what it gives is larger than {_size(self._limits.output)}")
                answer: dict[str, Any] = json.loads(self._receive(size))
                if "goes_on" in answer:
                    self.goes_on = answer["goes_on"]
                    break
                last = answer
                papers += messages.papers_of(answer)
        except TimeoutError as exc:
            raise self._too_long() from exc
        except (OSError, EOFError) as exc:
            if self._status() in (-signal.SIGXCPU, -signal.SIGALRM):
                raise self._too_long() from exc
            raise ParserDied(f"the process that reads captures ended ({self._status()})") from exc
        if "memory" in last:
            raise _stopped(f"reading it needs more than {_size(self._limits.memory)} of memory")
        return last, papers

    def kill(self) -> None:
        """Ends the process, whatever it does, and wakes the thread that waits for it."""
        self._child.kill()
        with suppress(OSError):
            self._wire.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """Ends the process, for which no thread waits."""
        self._child.kill()
        self._wire.close()
        self._child.wait()

    def _too_long(self) -> ParsingStopped:
        return _stopped(f"reading it took longer than {self._limits.seconds:g} s")

    def _status(self) -> int:
        with suppress(OSError):
            self._child.wait(1.0)
        return self._child.returncode

    def _receive(self, size: int) -> bytearray:
        data = bytearray(size)
        view, filled = memoryview(data), 0
        while filled < size:
            self._wire.settimeout(self._left())
            got = self._wire.recv_into(view[filled:])
            if not got:
                raise EOFError
            filled += got
        return data

    def _left(self) -> float:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def _started(function: str, limits: Limits, wire: socket.socket) -> subprocess.Popen[bytes]:
    import subprocess  # here, because a run with nothing to parse needs none of it

    # What can be imported here can be imported there, and nothing else, such as a module that
    # lies in the working folder.
    folders = dict.fromkeys([str(Path(newsletter.__file__).parent.parent), *filter(None, sys.path)])
    arguments = [function, str(limits.memory), str(limits.seconds)]
    return subprocess.Popen(  # noqa: S603  # our own module
        [sys.executable, "-I", "-S", "-B", "-c", _BOOT, *arguments, *folders],
        stdin=wire.fileno(),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def _size(size: int) -> str:
    return f"{size / 2**30:g} GB" if size >= 2**30 else f"{size / 2**20:g} MB"


def _stopped(what: str) -> ParsingStopped:
    return ParsingStopped(what, hint="it is not tried again by itself")


def _unstarted(why: str) -> ParserFailed:
    return ParserFailed(
        f"the process that parses captures could not be started ({why})",
        hint="nothing is lost; make memory and processes available, then run it again",
    )
