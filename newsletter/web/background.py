"""What visitors' requests need done at once, in a thread of its own: mails to confirm."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

import structlog

from newsletter.app.composition import App
from newsletter.delivery.run import Progress
from newsletter.web.heartbeat import Heartbeat, is_alive

log = structlog.get_logger()

_LOOK = 5.0
"""Seconds after which it looks by itself: another process may have taken a request."""
_TIDY = 3600.0
"""Seconds between two looks for pauses that are over, and people who never confirmed."""


def run_background_tasks(app: App, stop: threading.Event, progress: Progress) -> int:
    """Handles the requests that wait and sends their mails. Returns the number of requests.

    Args:
        stop: set to end between two messages.
        progress: called while mails are sent.

    Raises:
        NewsletterError: that cannot be done now. The requests are kept.
    """
    done = (
        app.subscribers.visitor_requests.work()
        if app.subscribers.visitor_requests.has_work()
        else 0
    )
    app.sending.send_notices(stop, progress)
    return done


class BackgroundTasks:
    """Runs errands until it is stopped, whatever goes wrong with one of them.

    Args:
        run: does what waits.
        tidy: does what is due now and then.
        then: called after something was done because the thread was woken.
        interval: seconds after which it looks by itself, and at the earliest after a failure.

    Attributes:
        heartbeat: the signs of life of its thread.
    """

    def __init__(
        self,
        run: Callable[[], int],
        tidy: Callable[[], None],
        then: Callable[[], None] = lambda: None,
        interval: float = _LOOK,
    ) -> None:
        self._run = run
        self._tidy = tidy
        self._then = then
        self._interval = interval
        self._awake = threading.Event()
        self._over = threading.Event()
        self._was_woken = False
        self._tidy_at = monotonic()
        self._thread = threading.Thread(target=self._loop, name="errands", daemon=True)
        self.heartbeat = Heartbeat("sign-ups", is_alive(self._thread))

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def wake(self) -> None:
        """There is something to do."""
        self._awake.set()

    def stop(self, timeout: float) -> None:
        """Ends after what is in hand, within so many seconds."""
        self._over.set()
        self._awake.set()
        self._thread.join(timeout)

    def _loop(self) -> None:
        while not self._over.is_set():
            self._was_woken |= self._awake.is_set()
            self._awake.clear()
            with self.heartbeat.in_pass():
                self._pass()
            # A pass that fails is not tried again with every request that comes.
            (self._over if self.heartbeat.fault else self._awake).wait(self._interval)

    def _pass(self) -> None:
        if done := self._run():
            log.info("requests of readers", done=done)
        if self._was_woken:
            self._then()
            self._was_woken = False
        if monotonic() >= self._tidy_at:
            self._tidy()
            self._tidy_at = monotonic() + _TIDY
