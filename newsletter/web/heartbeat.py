"""Monitors the loops that run in the background, for `/healthz` and `/readyz`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

import structlog

from newsletter.errors import NewsletterError, one_line

log = structlog.get_logger()

STUCK = 900.0
"""Seconds without a heartbeat after which a loop counts as stuck."""


class Heartbeat:
    """Monitors one loop.

    Args:
        name: the name of the loop in the log and in messages to the operator.
        is_running: returns whether the thread of the loop is alive.
        clock: a monotonic clock in seconds, which stops while the machine sleeps.
    """

    def __init__(
        self,
        name: str,
        is_running: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.name = name
        self._is_running = is_running
        self._clock = clock
        self._beat_at = clock()
        self._fault = ""
        self._logged = ""

    def beat(self) -> None:
        """Records that the loop is at work."""
        self._beat_at = self._clock()

    @property
    def stuck(self) -> str:
        """Why the loop counts as stuck; empty if it does not."""
        if not self._is_running():
            return f"{self.name}: its thread has ended"
        seconds = self._clock() - self._beat_at
        return f"{self.name}: no sign of life for {seconds:.0f} s" if seconds > STUCK else ""

    @property
    def fault(self) -> str:
        """The unexpected error of the last pass; empty if there was none."""
        return self._fault

    @contextmanager
    def in_pass(self) -> Iterator[None]:
        """Wraps a pass of the loop, or a part of one, and keeps its errors from ending the loop.

        A `NewsletterError` is logged as a warning, and not again while it stays the same. Any
        other error is a bug: it is logged with its traceback, and reported as `fault` until a
        pass succeeds.
        """
        self.beat()
        try:
            yield
        except NewsletterError as error:
            self._fault = ""
            if (said := one_line(str(error))) != self._logged:
                log.warning("waiting", loop=self.name, reason=said)
            self._logged = said
        except Exception as error:
            self._fault = f"{self.name}: unexpected {type(error).__name__}, see the log"
            log.exception("unexpected error", loop=self.name)
        else:
            self._fault = self._logged = ""
        finally:
            self.beat()


def is_alive(thread: threading.Thread) -> Callable[[], bool]:
    """Returns a function that tells whether a thread is running or has not been started yet."""
    return lambda: thread.ident is None or thread.is_alive()
