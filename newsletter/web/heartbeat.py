"""Signs of life of the loops that run in the background, for `/healthz` and `/readyz`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

import structlog

from newsletter.errors import NewsletterError, one_line

log = structlog.get_logger()

STUCK = 900.0
"""Seconds without a sign of life after which a loop is taken for dead."""


class Heartbeat:
    """The signs of life of one loop.

    Args:
        name: of the loop, as the log and the operator see it.
        is_running: whether the thread that the loop runs in is alive.
        clock: seconds that never go back, and stand still while the machine sleeps.
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
        """The loop is at work."""
        self._beat_at = self._clock()

    @property
    def stuck(self) -> str:
        """Why the loop is taken for dead; empty while it is not."""
        if not self._is_running():
            return f"{self.name}: its thread has ended"
        seconds = self._clock() - self._beat_at
        return f"{self.name}: no sign of life for {seconds:.0f} s" if seconds > STUCK else ""

    @property
    def fault(self) -> str:
        """What went wrong unexpectedly in the last pass; empty if nothing did."""
        return self._fault

    @contextmanager
    def in_pass(self) -> Iterator[None]:
        """One pass of the loop, or a part of it. Whatever goes wrong in it, the loop goes on.

        An error of ours is logged as a warning, and not again while it stays the same. Any
        other is a bug: it is logged with its traceback, and shown until a pass succeeds.
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
    """Whether a thread runs, or has not been started yet."""
    return lambda: thread.ident is None or thread.is_alive()
