"""`/healthz`: whether to restart the process. `/readyz`: whether it can do its work now."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from time import monotonic

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from newsletter.errors import NewsletterError, one_line

log = structlog.get_logger()

Check = Callable[[], str]
"""Returns the fault, or an empty string if there is none. A `NewsletterError` counts as one.

Anyone may read the answer, so it must contain no path or address.
"""

TIMEOUT = 3.0
"""Seconds that a request waits for a check; container health checks give up after four."""
_POLL = 0.02
"""Seconds between two looks whether a check has ended."""
FRESH = 1.0
"""Seconds for which a result is reused, so that many requests cause few writes."""


class Probe:
    """Runs a check for requests, in a thread of its own, one at a time.

    The threads of the pages may all be waiting for the database, which is when the result
    matters. A check that hangs on a broken disk costs one thread, regardless of the number of
    requests.

    Args:
        check: the check to run.
        late: the result if the check takes too long; empty if that is not a fault.
        timeout: seconds that a request waits for the check.
    """

    def __init__(self, check: Check, late: str, timeout: float = TIMEOUT) -> None:
        self._check = check
        self._late = late
        self._timeout = timeout
        self._lock = threading.Lock()
        self._running: Future[str] | None = None
        self._ended_at = 0.0
        self._logged = ""

    async def result(self) -> str:
        """Returns the result of the check, at most `FRESH` seconds old."""
        future, ends = self._begun(), monotonic() + self._timeout
        # A callback for each request would stay with a check that hangs.
        while not future.done() and monotonic() < ends:
            await asyncio.sleep(_POLL)
        return future.result() if future.done() else self._late

    def wait(self) -> str:
        """Does the same in a thread."""
        try:
            return self._begun().result(self._timeout)
        except TimeoutError:
            return self._late

    def _begun(self) -> Future[str]:
        with self._lock:
            found = self._running
            if found is None or (found.done() and monotonic() - self._ended_at > FRESH):
                found = Future()
                thread = threading.Thread(
                    target=self._run, args=(found,), name="health", daemon=True
                )
                try:
                    thread.start()
                except RuntimeError as error:  # the next request tries again
                    found.set_result(f"no thread can be started ({error})")
                    return found
                self._running = found
            return found

    def _run(self, future: Future[str]) -> None:
        reason = ""
        try:
            fault = self._check()
        except NewsletterError as error:
            fault, reason = in_words(error), str(error)
        except Exception as error:
            log.exception("a check failed unexpectedly")
            fault = f"unexpected {type(error).__name__}, see the log"
        if reason and reason != self._logged:
            log.warning("a health check failed", reason=reason)
        self._logged = reason
        self._ended_at = monotonic()
        future.set_result(fault)


def in_words(error: NewsletterError) -> str:
    """Returns what is wrong without its details: they may name a path, and the log has them."""
    return one_line(error.what.partition(" (")[0])


def routes(stuck: Check, file: Probe, ready: Probe) -> Sequence[Route]:
    """Returns the routes `/healthz` and `/readyz`, which are served for any host.

    Args:
        stuck: whether a loop is stuck; quick, so that a disk that hangs does not hide it.
        file: whether the database file is still the one that is open.
        ready: whether the process can do its work.
    """
    return (_route("/healthz", stuck, file), _route("/readyz", lambda: "", ready))


def _route(path: str, quick: Check, probe: Probe) -> Route:
    async def answer(_request: Request) -> Response:
        fault = quick() or await probe.result()
        headers = {"Cache-Control": "no-store"}
        return PlainTextResponse(f"{fault or 'ok'}\n", 503 if fault else 200, headers)

    return Route(path, answer, methods=["GET"])
