"""Processes visitors' requests soon after they arrive, in a thread of its own: confirmation mails.

Not at once: a visitor who times the next page would notice how much there is to do for an address.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from secrets import SystemRandom
from time import monotonic

import structlog

from newsletter.app.composition import App
from newsletter.delivery.run import Progress
from newsletter.web.heartbeat import Heartbeat, is_alive

log = structlog.get_logger()

_LOOK = 5.0
"""Seconds after which the thread checks unprompted: another process may have taken a request."""
_DELAY = (0.5, 1.5)
"""Seconds between a wake-up and the pass that follows: a random number from this range."""
_TIDY = 3600.0
"""Seconds between two checks for expired pauses and sign-ups that were never confirmed."""


def run_background_tasks(app: App, stop: threading.Event, progress: Progress) -> int:
    """Handles the waiting requests, sends their mails and completes erasures.

    Returns the number of requests.

    Args:
        app: the use cases.
        stop: set to end between two messages.
        progress: called while mails are sent.

    Raises:
        NewsletterError: the requests cannot be handled now. They are kept.
    """
    done = (
        app.subscribers.visitor_requests.work()
        if app.subscribers.visitor_requests.has_work()
        else 0
    )
    app.sending.send_notices(stop, progress)
    app.database.erasures.finish_if_due()
    return done


class BackgroundTasks:
    """Runs background tasks until it is stopped. An error in one of them does not end it.

    After a wake-up it waits for a while that depends on nothing.

    Args:
        run: handles the waiting requests. Returns their number.
        tidy: does periodic maintenance.
        then: called after a pass for which the thread was woken.
        interval: seconds after which a pass starts unprompted; also the minimum after a failure.
        delay: returns the seconds between a wake-up and its pass.

    Attributes:
        heartbeat: monitors the thread.
    """

    def __init__(
        self,
        run: Callable[[], int],
        tidy: Callable[[], None],
        then: Callable[[], None] = lambda: None,
        interval: float = _LOOK,
        delay: Callable[[], float] = lambda: SystemRandom().uniform(*_DELAY),
    ) -> None:
        self._run = run
        self._tidy = tidy
        self._then = then
        self._interval = interval
        self._delay = delay
        self._awake = threading.Event()
        self._over = threading.Event()
        self._was_woken = False
        self._tidy_at = monotonic()
        self._thread = threading.Thread(target=self._loop, name="background", daemon=True)
        self.heartbeat = Heartbeat("sign-ups", is_alive(self._thread))

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Wakes the thread, because there is something to do."""
        self._awake.set()

    def stop(self, timeout: float) -> None:
        """Ends the thread after its current pass. Waits at most `timeout` seconds for it."""
        self._over.set()
        self._awake.set()
        self._thread.join(timeout)

    def _loop(self) -> None:
        while not self._over.is_set():
            if self._awake.is_set():
                self._was_woken = True
                # What arrives in the meantime is part of the same pass.
                if self._over.wait(self._delay()):
                    return  # the next start handles what waits
                self._awake.clear()
            # Neither keeps the other waiting: requests are handled although tidying fails.
            with self.heartbeat.in_pass():
                self._tidy_if_due()
            failed = True
            with self.heartbeat.in_pass():
                self._pass()
                failed = False
            # A failed pass is not retried for every request that arrives.
            (self._over if failed else self._awake).wait(self._interval)

    def _tidy_if_due(self) -> None:
        if monotonic() >= self._tidy_at:
            self._tidy()
            self._tidy_at = monotonic() + _TIDY

    def _pass(self) -> None:
        if done := self._run():
            log.info("requests of readers", done=done)
        if self._was_woken:
            self._then()
            self._was_woken = False
