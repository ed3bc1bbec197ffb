"""How a run is told to stop, and how long it keeps trying to reach the database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Self, TypeVar

from newsletter.errors import StorageError

T = TypeVar("T")

_INTERVAL = 0.1
"""Seconds within which a wait notices that the run itself was stopped."""


class RunStop(threading.Event):
    """The stop event of one run: set by the run for itself, or by its caller.

    The run only ever sets its own: in a service the caller's is the one that shuts it down.

    Args:
        caller: the event of whoever started the run.
    """

    def __init__(self, caller: threading.Event) -> None:
        super().__init__()
        self.caller = caller

    @classmethod
    def of(cls, stop: threading.Event) -> Self:
        """The event itself if it belongs to a run already; else a new one below it."""
        return stop if isinstance(stop, cls) else cls(stop)

    def is_set(self) -> bool:
        """Whether the run has to stop, whichever of the two says so."""
        return super().is_set() or self.caller.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until the run has to stop, at most `timeout` seconds; whether it has to."""
        ends = None if timeout is None else monotonic() + timeout
        while not self.is_set():
            left = _INTERVAL if ends is None else ends - monotonic()
            if left <= 0:
                return False
            self.caller.wait(min(left, _INTERVAL))
        return True


class Retry:
    """Repeats what fails because the database is locked or its disk is full.

    Args:
        stop: ends the wait for another try.
        pause: seconds between two tries.
        tries: how many there are; `None` for as many as it takes.
        waiting: called with the error before each further try.
    """

    def __init__(
        self,
        stop: threading.Event,
        pause: float,
        tries: int | None,
        waiting: Callable[[StorageError], None],
    ) -> None:
        self._stop = stop
        self._pause = pause
        self._tries = tries
        self._waiting = waiting

    def __call__(self, action: Callable[[], T]) -> T:
        """What `action` returns, once it succeeds.

        Raises:
            StorageError: it never did, will not by itself, or the run was told to stop.
        """
        return self._repeated(action, self._tries)

    def at_the_end(self, action: Callable[[], T]) -> T:
        """The same when the run is over: where tries are counted, there is one."""
        return self._repeated(action, None if self._tries is None else 1)

    def _repeated(self, action: Callable[[], T], tries: int | None) -> T:
        number = 1
        while True:
            try:
                return action()
            except StorageError as error:
                if not error.may_pass or number == tries:
                    raise
                self._waiting(error)
                if self._stop.wait(self._pause):
                    raise
            number += 1
