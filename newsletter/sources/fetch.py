"""One GET of one URL: requests, redirects, retries.

A page is read completely or not at all, within limits on size and time, from allowed addresses.
Transient failures (a busy server, a broken connection) are retried; permanent ones (an invalid
certificate, a page that is gone) are reported at once. `responses` classifies failures and reads
responses.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import httpcore2
import httpx2

from newsletter import __version__
from newsletter.errors import FetchError
from newsletter.sources.addresses import CheckedNetwork, Deadline, Resolve
from newsletter.sources.crawl_delay import CrawlDelay
from newsletter.sources.locations import HINTS, checked_url, joined, shown
from newsletter.sources.responses import (
    TransientFetchError,
    body,
    exchange_failure,
    header,
    sendable,
    status_error,
    validator,
)

_USER_AGENT = f"paper-newsletter/{__version__}"
_ENCODINGS = "gzip, deflate"
_REDIRECTS = (301, 302, 303, 307, 308)
_FIRST_PAUSE = 1.0  # seconds, on average, before the first retry; doubled for each further one
_KEEP_OPEN = 30.0  # seconds that an idle connection is kept for the next request to the server


@dataclass(frozen=True, slots=True)
class Fetched:
    """The result of one GET."""

    data: bytes
    """The page, decompressed; empty if it was not modified."""
    not_modified: bool
    etag: str | None
    last_modified: str | None
    url: str
    """The final URL, after all redirects."""


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """Limits on sizes and times. Times are in seconds."""

    max_bytes: int = 20 * 1024 * 1024
    """After decompression."""
    deadline: float = 60.0
    """For the whole operation: redirects, delays and retries."""
    connect_timeout: float = 10.0
    read_timeout: float = 20.0
    max_redirects: int = 3
    attempts: int = 3
    allow_private: bool = False


@dataclass(frozen=True, slots=True)
class _Job:
    """The parameters that all requests of one `get` share."""

    etag: str | None
    last_modified: str | None
    allow_private: bool
    ends: float
    """The deadline, on the fetcher's clock."""

    def conditions(self) -> dict[str, str]:
        """Returns the headers that request the page only if it changed."""
        known = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in known.items() if value and sendable(value)}


class Fetcher:
    """Fetches pages. Create one per process, share it among threads, and close it at the end.

    Args:
        policy: the limits.
        resolve: resolves host names.
        clock: a monotonic clock in seconds.
        sleep: waits for some seconds.
        jitter: returns a number from 0 to 1 that spreads the retries of many fetchers.
        user_agent: the User-Agent header.
    """

    def __init__(
        self,
        policy: FetchPolicy = FetchPolicy(),
        *,
        resolve: Resolve = socket.getaddrinfo,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
        user_agent: str = _USER_AGENT,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._user_agent = user_agent
        self._crawl_delay = CrawlDelay()
        # Two pools: a connection made with `allow_private` must never be reused without it.
        self._pools = {
            allow_private: httpcore2.ConnectionPool(
                keepalive_expiry=_KEEP_OPEN,
                network_backend=CheckedNetwork(resolve, allow_private=allow_private),
            )
            for allow_private in (False, True)
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections."""
        for pool in self._pools.values():
            pool.close()

    def get(
        self,
        url: str,
        *,
        etag: str | None = None,
        last_modified: str | None = None,
        allow_private: bool = False,
    ) -> Fetched:
        """Fetches the page at a URL.

        Args:
            url: an http or https URL, without user name and password.
            etag: the ETag of the page that is already known.
            last_modified: the Last-Modified header of that page, verbatim.
            allow_private: whether this call may connect to private addresses.

        Raises:
            AddressRefused: the URL, or a redirect, leads to an address that is not allowed.
            FetchError: the page cannot be fetched; `retry_after` has the delay in seconds that
                the server asked for.
        """
        allow_private = allow_private or self._policy.allow_private
        job = _Job(etag, last_modified, allow_private, self._clock() + self._policy.deadline)
        attempt = 1
        while True:
            try:
                return self._follow(url, job)
            except TransientFetchError as error:
                if attempt >= self._policy.attempts:
                    raise
                self._back_off(error, attempt, job)
                attempt += 1

    def _back_off(self, error: TransientFetchError, attempt: int, job: _Job) -> None:
        pause = _FIRST_PAUSE * 2 ** (attempt - 1) * (0.5 + self._jitter())
        pause = max(pause, error.retry_after or 0.0)
        if pause >= job.ends - self._clock():
            raise error
        self._sleep(pause)

    def _follow(self, address: str, job: _Job) -> Fetched:
        """Follows redirects to the page; each is checked like a configured URL."""
        start = url = checked_url(address)
        seen = {url}
        for _ in range(self._policy.max_redirects + 1):
            answer = self._ask(url, job)
            if isinstance(answer, Fetched):
                return answer
            url = checked_url(answer)
            if url in seen:
                raise _placed(FetchError("the redirects form a loop", hint=HINTS[404]), start)
            seen.add(url)
        what = f"redirects more than {self._policy.max_redirects} times"
        raise _placed(FetchError(what, hint=HINTS[404]), start)

    def _ask(self, url: httpx2.URL, job: _Job) -> Fetched | str:
        """Makes one request. Returns the page, or the URL of a redirect."""
        try:
            self._keep_crawl_delay(url.host, job)
            with self._pools[job.allow_private].stream(
                "GET",
                httpcore2.URL(
                    scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                ),
                headers=self._headers(url, job),
                extensions={"timeout": self._timeouts(job)},
            ) as response:
                return self._answer(response, url, job)
        except FetchError as error:
            _placed(error, url)
            raise
        except (
            httpcore2.TimeoutException,
            httpcore2.NetworkError,
            httpcore2.ProtocolError,
        ) as error:
            late = self._too_late() if job.ends <= self._clock() else None
            connecting = isinstance(error, httpcore2.ConnectTimeout)
            seconds = self._policy.connect_timeout if connecting else self._policy.read_timeout
            raise _placed(exchange_failure(error, url.host, seconds, late), url) from error

    def _headers(self, url: httpx2.URL, job: _Job) -> list[tuple[bytes, bytes]]:
        headers = {
            "Host": url.netloc.decode("ascii"),
            "User-Agent": self._user_agent,
            "Accept": "*/*",
            "Accept-Encoding": _ENCODINGS,
            **job.conditions(),
        }
        return [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]

    def _timeouts(self, job: _Job) -> dict[str, float]:
        read = Deadline(self._policy.read_timeout, job.ends, self._clock)
        connect = Deadline(self._policy.connect_timeout, job.ends, self._clock)
        return {"connect": connect, "read": read, "write": read, "pool": read.left()}

    def _keep_crawl_delay(self, host: str, job: _Job) -> None:
        now = self._clock()
        pause = self._crawl_delay.reserve(host, now, job.ends)
        if pause is None:
            raise self._too_late()
        if pause:
            self._sleep(pause)

    def _answer(self, response: httpcore2.Response, url: httpx2.URL, job: _Job) -> Fetched | str:
        if response.status == 200:
            return Fetched(
                data=body(response, self._policy.max_bytes),
                not_modified=False,
                etag=validator(response, "etag"),
                last_modified=validator(response, "last-modified"),
                url=str(url),
            )
        if response.status == 304 and job.conditions():
            return Fetched(b"", True, job.etag, job.last_modified, str(url))
        location = header(response, "location")
        if response.status in _REDIRECTS and location:
            return joined(url, location)
        raise status_error(response)

    def _too_late(self) -> FetchError:
        return FetchError(
            f"timed out after {self._policy.deadline:g} s", hint="the server is slow; try later"
        )


def _placed(error: FetchError, url: httpx2.URL) -> FetchError:
    """Adds the URL to an error that does not say where it happened."""
    error.where = error.where or shown(str(url))
    return error
