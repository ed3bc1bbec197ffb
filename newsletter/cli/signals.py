"""Ctrl-C and `kill` as a wish to end: at once where that is safe, else between two messages."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """A signal came where it is safe to end at once."""


class Signals:
    """Listens for signals while it is entered.

    Attributes:
        stop: set by the first signal.
        number: of that signal; 0 for none.
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
        """What is done in here may be broken off anywhere.

        Raises:
            Stopped: a signal came, now or before.
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
        """What a process that was ended by the signal says."""
        return 128 + self.number

    def _came(self, number: int, _frame: FrameType | None) -> None:
        first = not self.number
        self.number = self.number or number
        self.stop.set()
        if self._at_once and first:
            raise Stopped
