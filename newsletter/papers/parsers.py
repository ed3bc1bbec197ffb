"""Parses captures in separate processes.

A capture may keep its parser busy for hours, or make it use all memory. Then one process ends and
one capture is held; everything else continues. A process is started when it is first needed, and
parses one capture after another.
"""

from __future__ import annotations

import threading
import weakref
from contextlib import suppress
from datetime import date
from types import TracebackType
from typing import TYPE_CHECKING, Self

from newsletter.errors import ParserFailed
from newsletter.models import DatedBy, Snapshot
from newsletter.papers import parser_messages as messages
from newsletter.papers.parser_process import Limits, ParserProcess

if TYPE_CHECKING:
    from newsletter.formats import Reading

AT_MOST = 2
"""Processes at a time, so that sources do not wait for one whose captures take long."""


class Parsers:
    """The processes that parse captures.

    May be used by several threads at a time.

    Args:
        limits: the limits on parsing one capture.
        function: the function that reads a capture there, as `module:name`; see `formats.read`.
    """

    def __init__(
        self, limits: Limits | None = None, function: str = "newsletter.formats:read"
    ) -> None:
        self._limits = limits or Limits()
        self._function = function
        self._free = threading.Semaphore(AT_MOST)
        self._lock = threading.Lock()
        self._all: set[ParserProcess] = set()
        self._idle: list[ParserProcess] = []
        weakref.finalize(self, _end_all, self._all)  # also if it is never closed
        self._closed = False

    def parse(
        self, data: bytes, *, day: date | None, dated_by: DatedBy | None, format: str | None
    ) -> Snapshot:
        """Parses captured bytes; see `read`."""
        return self.read(data, day=day, dated_by=dated_by, format=format).snapshot

    def read(
        self, data: bytes, *, day: date | None, dated_by: DatedBy | None, format: str | None
    ) -> Reading:
        """Recognises the format of captured bytes and parses them; see `formats.read`.

        Raises:
            ParsingStopped: it reached a limit.
            SnapshotUnreadable: no format recognises the data, or no list of papers is found.
            UsageError: there is no format with that name.
            ParserDied: the process ended before it had parsed them.
            ParserFailed: no process can be started, or `close` was called.
        """
        request = messages.Request(day, dated_by, format).encoded()
        with self._free:
            process = self._take()
            try:
                process.wait_until_ready()
                last, papers = process.ask(request, data)
            except ParserFailed:  # it died, or did not start: `close` ends those that start too
                self._end(process)
                self._check_open()
                raise
            except BaseException:  # a signal: its answer would be taken for the next one
                self._end(process)
                raise
            if process.goes_on:
                self._put_back(process)
            else:
                self._end(process)
        return messages.reading(last, papers)

    def start(self) -> None:
        """Starts a process without waiting for it; called when one is certain to be needed."""
        with suppress(ParserFailed):
            self._put_back(self._take())

    def close(self) -> None:
        """Ends all processes, including those that are parsing."""
        with self._lock:
            self._closed = True
            busy, idle = self._all.difference(self._idle), self._idle
        for process in busy:  # the thread that waits for it does the rest
            process.kill()
        for process in idle:
            self._end(process)

    def _take(self) -> ParserProcess:
        with self._lock:
            if self._closed:
                raise _closed()
            if self._idle:
                return self._idle.pop()
            process = ParserProcess(self._function, self._limits)
            self._all.add(process)
            return process

    def _put_back(self, process: ParserProcess) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(process)
                return
        self._end(process)

    def _check_open(self) -> None:
        with self._lock:
            if self._closed:
                raise _closed()

    def _end(self, process: ParserProcess) -> None:
        with self._lock:
            self._all.discard(process)
        process.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _end_all(processes: set[ParserProcess]) -> None:
    for process in processes:
        process.end()


def _closed() -> ParserFailed:
    return ParserFailed("reading was stopped", hint="the next run continues with the rest")
