"""What visitors' requests need done at once, in a thread of its own: mails to confirm."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from newsletter.app import App
from newsletter.errors import NewsletterError

log = structlog.get_logger()

_LOOK = 5.0
"""Seconds after which it looks by itself: another process may have taken a request."""
_TIDY = 3600.0
"""Seconds between two looks for pauses that are over, and people who never confirmed."""


def run_errands(app: App, stop: threading.Event) -> int:
    """Handles the requests that wait and sends their mails. Returns the number of requests.

    Raises:
        NewsletterError: that cannot be done now. The requests are kept.
    """
    done = app.visitor_requests.work() if app.visitor_requests.has_work() else 0
    app.sending.send_notices(stop)
    return done


class Errands:
    """Runs errands until it is stopped.

    Args:
        run: does what waits.
        tidy: does what is due now and then.
        then: called after something was done or somebody woke it.
    """

    def __init__(
        self,
        run: Callable[[], int],
        tidy: Callable[[], None],
        then: Callable[[], None] = lambda: None,
    ) -> None:
        self._run = run
        self._tidy = tidy
        self._then = then
        self._awake = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._loop, name="errands", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def wake(self) -> None:
        """There is something to do."""
        self._awake.set()

    def stop(self, patience: float) -> None:
        """Ends after what is in hand, within so many seconds."""
        self._over = True
        self._awake.set()
        self._thread.join(patience)

    def _loop(self) -> None:
        said, looks = "", 0
        while not self._over:
            try:
                if looks % round(_TIDY / _LOOK) == 0:
                    self._tidy()
                if done := self._run():
                    log.info("requests of readers", done=done)
                said = ""
            except NewsletterError as error:
                if str(error) != said:
                    log.warning("requests of readers wait", reason=str(error))
                said = str(error)
            looks += 1
            if self._awake.wait(_LOOK):
                self._awake.clear()
                self._after()

    def _after(self) -> None:
        try:
            self._run()
            self._then()
        except NewsletterError as error:
            log.warning("requests of readers wait", reason=str(error))
