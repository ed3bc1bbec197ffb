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

from newsletter.errors import NewsletterError

log = structlog.get_logger()

Check = Callable[[], str]
"""Returns the fault, or an empty string if there is none. A `NewsletterError` counts as one."""

TIMEOUT = 5.0
"""Seconds that a request waits for a check."""
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

    async def result(self) -> str:
        """Returns the result of the check, at most `FRESH` seconds old."""
        running = asyncio.wrap_future(self._begun())
        done, _ = await asyncio.wait([running], timeout=self._timeout)
        return running.result() if done else self._late

    def _begun(self) -> Future[str]:
        with self._lock:
            found = self._running
            if found is None or (found.done() and monotonic() - self._ended_at > FRESH):
                found = self._running = Future()
                found.set_running_or_notify_cancel()  # a disconnecting client cancels nothing
                threading.Thread(
                    target=self._run, args=(found,), name="health", daemon=True
                ).start()
            return found

    def _run(self, future: Future[str]) -> None:
        try:
            fault = self._check()
        except NewsletterError as error:
            fault = str(error)
        except Exception as error:
            log.exception("a check failed unexpectedly")
            fault = f"unexpected {type(error).__name__}, see the log"
        self._ended_at = monotonic()
        future.set_result(fault)


def routes(alive: Check, ready: Check) -> Sequence[Route]:
    """Returns the routes `/healthz` and `/readyz`, which are served for any host."""
    return (
        # A restart does not help if the disk does not respond.
        _route("/healthz", Probe(alive, late="")),
        _route("/readyz", Probe(ready, late=f"the disk does not answer within {TIMEOUT:g} s")),
    )


def _route(path: str, probe: Probe) -> Route:
    async def answer(_request: Request) -> Response:
        fault = await probe.result()
        headers = {"Cache-Control": "no-store"}
        return PlainTextResponse(f"{fault or 'ok'}\n", 503 if fault else 200, headers)

    return Route(path, answer, methods=["GET"])
