"""The process that parses captures: reads requests from standard input until it is closed.

It loads the formats and nothing else, limits its own memory and processor time, and writes neither
to files nor to the terminal. Its parent process decides when it ends.
"""

from __future__ import annotations

import importlib
import math
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from itertools import chain

from newsletter.errors import SnapshotUnreadable, UsageError
from newsletter.formats import Reading
from newsletter.papers import parser_messages as messages

KEPT_KILOBYTES = 256 * 1024
"""A process that has used more memory ends after its answer, which frees the memory."""

_TOGETHER = 2**18  # bytes
_GRACE = 1.0  # seconds; the parent usually ends it earlier

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """Parses captures until standard input is closed.

    The arguments are the function that reads a capture, as `module:name`, the memory limit in bytes
    and the time limit for one capture in seconds.
    """
    for number in _SIGNALS:  # the whole process group gets them, and the parent decides
        signal.signal(number, signal.SIG_IGN)
    module, _, name = sys.argv[1].partition(":")
    read = getattr(importlib.import_module(module), name)
    memory, seconds = int(sys.argv[2]), float(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):  # first: the parent may have none, and their numbers would be reused
        os.dup2(silent, stream)
    with socket.socket(fileno=os.dup(0)) as wire:
        os.dup2(silent, 0)
        _send(wire, [messages.READY])
        while _answer(wire, read, seconds):
            pass


def _answer(wire: socket.socket, read: Callable[..., Reading], seconds: float) -> bool:
    """Answers one request. Returns whether this process can answer another one."""
    head = _receive(wire)
    data = None if head is None else _receive(wire)
    if head is None or data is None:
        return False
    request = messages.Request.decoded(head)
    _limit_time(seconds + _GRACE)
    answer: Iterable[bytes]
    try:
        found = read(data, day=request.day, dated_by=request.dated_by, format=request.format)
        answer = messages.result(found)
    except MemoryError:
        answer = [messages.OUT_OF_MEMORY]
    except (SnapshotUnreadable, UsageError) as error:
        answer = [messages.refusal(error)]
    signal.setitimer(signal.ITIMER_REAL, 0)
    goes_on = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < KEPT_KILOBYTES
    try:
        try:
            _send(wire, chain(answer, [messages.GOES_ON if goes_on else messages.ENDS]))
        except MemoryError:
            _send(wire, [messages.OUT_OF_MEMORY, messages.ENDS])
    except OSError:
        return False  # the parent is gone
    return goes_on


def _limit_time(seconds: float) -> None:
    """Makes the kernel end this process, even in C code, in case its parent died and cannot."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = math.ceil(used.ru_utime + used.ru_stime + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _send(wire: socket.socket, answer: Iterable[bytes]) -> None:
    """Sends messages, small ones together: each time wakes the other process."""
    waiting = bytearray()
    for message in answer:
        waiting += messages.framed(message)
        if len(waiting) > _TOGETHER:
            wire.sendall(waiting)
            waiting.clear()
    wire.sendall(waiting)


def _receive(wire: socket.socket) -> bytes | None:
    head = _exactly(wire, messages.LENGTH.size)
    return None if head is None else _exactly(wire, messages.LENGTH.unpack(head)[0])


def _exactly(wire: socket.socket, size: int) -> bytes | None:
    data = bytearray(size)
    view, filled = memoryview(data), 0
    while filled < size:
        got = wire.recv_into(view[filled:])
        if not got:
            return None
        filled += got
    return bytes(data)
