"""Handles Ctrl-C and `kill`: stops at once where that is safe, otherwise between two messages."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """Raised by a signal where it is safe to stop at once."""


class Signals:
    """A context manager that handles signals.

    Attributes:
        stop: set by the first signal.
        number: the number of that signal; 0 if there was none.
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.number = 0
        self._at_once = False
        self._before: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._came)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def ends_at_once(self) -> Iterator[None]:
        """Marks a block that a signal may interrupt anywhere.

        Raises:
            Stopped: a signal arrived, before or during the block.
        """
        if self.number:
            raise Stopped
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    @property
    def exit_status(self) -> int:
        """The exit status of a process that was ended by the signal."""
        return 128 + self.number

    def _came(self, number: int, _frame: FrameType | None) -> None:
        first = not self.number
        self.number = self.number or number
        self.stop.set()
        if self._at_once and first:
            raise Stopped
