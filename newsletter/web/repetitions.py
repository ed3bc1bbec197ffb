"""Counts events that a client can cause at will, so that each kind is logged once a minute."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from time import monotonic

INTERVAL = 60.0
"""Seconds between two log lines about the same kind of event."""
_KINDS = 100


class Repetitions:
    """Counts events by kind.

    Args:
        clock: a monotonic clock in seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._since: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def count(self, kind: str) -> int:
        """Counts an event.

        Returns the number of events of this kind since the last one that was to be logged if
        this one is to be logged, and 0 otherwise. Kinds beyond a hundred count as one.
        """
        with self._lock:
            if kind not in self._since and len(self._since) >= _KINDS:
                kind = ""
            self._counts[kind] = self._counts.get(kind, 0) + 1
            now = self._clock()
            if kind in self._since and now - self._since[kind] < INTERVAL:
                return 0
            self._since[kind] = now
            return self._counts.pop(kind)


class OncePerMinute(logging.Filter):
    """Lets a logger write each kind of message, which is its template, once a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._seen = Repetitions()

    def filter(self, record: logging.LogRecord) -> bool:
        """Returns whether to write the message."""
        return bool(self._seen.count(str(record.msg)))
