"""Stopping a run, and retrying database access during one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Self, TypeVar

from newsletter.errors import StorageError

T = TypeVar("T")

_INTERVAL = 0.1
"""Seconds within which `RunStop.wait` notices that the run stopped itself."""


class RunStop(threading.Event):
    """The stop event of one run: set by the run itself or through its caller's event.

    The run only sets its own: in a service, the caller's event shuts the whole service down.

    Args:
        caller: the stop event of the caller that started the run.
    """

    def __init__(self, caller: threading.Event) -> None:
        super().__init__()
        self.caller = caller

    @classmethod
    def of(cls, stop: threading.Event) -> Self:
        """Returns `stop` if it is a `RunStop` already, otherwise a new one derived from it."""
        return stop if isinstance(stop, cls) else cls(stop)

    def is_set(self) -> bool:
        """Whether the run has to stop, because either event is set."""
        return super().is_set() or self.caller.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits at most `timeout` seconds for a stop. Returns whether the run has to stop."""
        ends = None if timeout is None else monotonic() + timeout
        while not self.is_set():
            left = _INTERVAL if ends is None else ends - monotonic()
            if left <= 0:
                return False
            self.caller.wait(min(left, _INTERVAL))
        return True


class Retry:
    """Retries actions that fail because the database is locked or its disk is full.

    Args:
        stop: ends the wait for the next try when set.
        interval: seconds between two tries.
        tries: maximum number of tries; `None` for no limit.
        waiting: called with the error before each retry.
    """

    def __init__(
        self,
        stop: threading.Event,
        interval: float,
        tries: int | None,
        waiting: Callable[[StorageError], None],
    ) -> None:
        self._stop = stop
        self._interval = interval
        self._tries = tries
        self._waiting = waiting

    def __call__(self, action: Callable[[], T]) -> T:
        """Repeats `action` until it succeeds and returns its result.

        Raises:
            StorageError: all tries failed, the error is permanent, or the run was stopped.
        """
        return self._repeated(action, self._tries)

    def at_the_end(self, action: Callable[[], T]) -> T:
        """Does the same after the run, with a single try if tries are limited."""
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
                if self._stop.wait(self._interval):
                    raise
            number += 1
