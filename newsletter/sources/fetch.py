"""One GET of one URL, whatever the server does.

A page is read whole or not at all: within a size, within a time, from an address
that is allowed. What may pass (a busy server, a broken connection) is tried again;
what will not (a wrong certificate, a page that is gone) is said at once.
"""

from __future__ import annotations

import http
import random
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Self

import httpcore2
import httpx2

from newsletter import __version__
from newsletter.errors import FetchError, PageRefused
from newsletter.sources.addresses import CheckedNetwork, Patience, Resolve
from newsletter.sources.bodies import capped, inflated, too_large
from newsletter.sources.locations import HINTS, checked_url, joined, shown
from newsletter.text.clean import clean

_USER_AGENT = f"paper-newsletter/{__version__}"
_ENCODINGS = "gzip, deflate"
_REDIRECTS = (301, 302, 303, 307, 308)
_FIRST_PAUSE = 1.0  # seconds, on average, before the second attempt; doubled from then on
_KEEP_OPEN = 30.0  # seconds a connection waits for the next page of the same server
_LONGEST_VALIDATOR = 1024  # characters; a longer one would make our next request too big

_PACES = {"arxiv.org": 3.0}
"""Seconds between two requests to a domain and everything under it, where it asks for that."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one GET gave."""

    data: bytes
    """The page, decompressed; empty when it was not modified."""
    not_modified: bool
    etag: str | None
    last_modified: str | None
    url: str
    """Where the page came from, after all redirects."""


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """How much we take and how long we wait. Times are in seconds."""

    max_bytes: int = 20 * 1024 * 1024
    """After decompression."""
    deadline: float = 60.0
    """For everything: redirects, pauses and further attempts."""
    connect_timeout: float = 10.0
    read_timeout: float = 20.0
    max_redirects: int = 3
    attempts: int = 3
    allow_private: bool = False


class _Passing(FetchError):
    """It may work in a moment."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What all requests of one `get` share."""

    etag: str | None
    last_modified: str | None
    allow_private: bool
    ends: float
    """When it must be over, on the fetcher's clock."""

    def conditions(self) -> dict[str, str]:
        """The headers that ask for the page only if it changed."""
        known = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in known.items() if value and _sendable(value)}


class Fetcher:
    """Fetches pages; one for the process, to be closed at the end. Threads may share it.

    Args:
        policy: the limits.
        resolve: how a host name becomes addresses.
        clock: seconds that never go back.
        sleep: waits some seconds.
        jitter: a number from 0 to 1 that keeps many fetchers from coming back together.
        user_agent: who we say we are.
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
        self._pace = _Pace()
        # Two pools: a connection made with `allow_private` must never serve a call without.
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
        """End all connections."""
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
        """The page at a URL.

        Args:
            url: http or https, without user name and password.
            etag: what the server called the page that we have.
            last_modified: when it said that page was made, as it wrote it.
            allow_private: let this call reach private addresses.

        Raises:
            AddressRefused: the URL, or a redirect, leads where we do not go.
            FetchError: there is no page; `retry_after` says how long the server asked
                us to wait.
        """
        allow_private = allow_private or self._policy.allow_private
        job = _Job(etag, last_modified, allow_private, self._clock() + self._policy.deadline)
        attempt = 1
        while True:
            try:
                return self._follow(url, job)
            except _Passing as error:
                if attempt >= self._policy.attempts:
                    raise
                self._back_off(error, attempt, job)
                attempt += 1

    def _back_off(self, error: _Passing, attempt: int, job: _Job) -> None:
        pause = _FIRST_PAUSE * 2 ** (attempt - 1) * (0.5 + self._jitter())
        pause = max(pause, error.retry_after or 0.0)
        if pause >= job.ends - self._clock():
            raise error
        self._sleep(pause)

    def _follow(self, address: str, job: _Job) -> Fetched:
        """The page behind all redirects; each is checked as if the user had written it."""
        start = url = checked_url(address)
        seen = {url}
        for _ in range(self._policy.max_redirects + 1):
            answer = self._ask(url, job)
            if isinstance(answer, Fetched):
                return answer
            url = checked_url(answer)
            if url in seen:
                raise _placed(FetchError("redirects in a circle", hint=HINTS[404]), start)
            seen.add(url)
        what = f"redirects more than {self._policy.max_redirects} times"
        raise _placed(FetchError(what, hint=HINTS[404]), start)

    def _ask(self, url: httpx2.URL, job: _Job) -> Fetched | str:
        """What one request gives: the page, or the URL to go on to."""
        try:
            self._keep_pace(url.host, job)
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
            raise _placed(self._failure(error, job), url) from error

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
        read = Patience(self._policy.read_timeout, job.ends, self._clock)
        connect = Patience(self._policy.connect_timeout, job.ends, self._clock)
        return {"connect": connect, "read": read, "write": read, "pool": read.left()}

    def _keep_pace(self, host: str, job: _Job) -> None:
        now = self._clock()
        pause = self._pace.reserve(host, now, job.ends)
        if pause is None:
            raise self._too_late()
        if pause:
            self._sleep(pause)

    def _answer(self, response: httpcore2.Response, url: httpx2.URL, job: _Job) -> Fetched | str:
        if response.status == 200:
            return Fetched(
                data=self._body(response),
                not_modified=False,
                etag=_validator(response, "etag"),
                last_modified=_validator(response, "last-modified"),
                url=str(url),
            )
        if response.status == 304 and job.conditions():
            return Fetched(b"", True, job.etag, job.last_modified, str(url))
        location = _header(response, "location")
        if response.status in _REDIRECTS and location:
            return joined(url, location)
        raise _status_error(response)

    def _body(self, response: httpcore2.Response) -> bytes:
        limit = self._policy.max_bytes
        if int(_header(response, "content-length") or 0) > limit:
            raise too_large(limit)
        encoding = (_header(response, "content-encoding") or "identity").lower()
        chunks = capped(response.iter_stream(), limit)
        if encoding in ("gzip", "x-gzip", "deflate"):
            chunks = capped(inflated(chunks, encoding), limit)
        elif encoding != "identity":
            raise FetchError(
                f"the page is packed as {encoding[:40]!r}, which we did not ask for",
                hint="tell the operators of the server",
            )
        try:
            return b"".join(chunks)
        except zlib.error as error:
            raise FetchError(f"the page does not unpack as {encoding}: {error}") from error
        except EOFError as error:
            raise _Passing("the page ends too early", hint="try again later") from error

    def _failure(self, error: Exception, job: _Job) -> FetchError:
        """What a broken exchange means to the user."""
        cause = error.args[0] if error.args else error
        if isinstance(cause, ssl.SSLCertVerificationError):
            return FetchError(
                f"the server's certificate is not valid: {cause.verify_message}",
                hint="check the URL and this machine's clock and certificates",
            )
        if job.ends <= self._clock():
            return self._too_late()
        if isinstance(error, httpcore2.LocalProtocolError):
            return FetchError(f"the request cannot be sent: {clean(str(error))}")
        if isinstance(error, httpcore2.ProtocolError):
            return _Passing(f"the answer is broken: {clean(str(error))}", hint="try again later")
        if isinstance(error, httpcore2.TimeoutException):
            return _Passing("the server does not answer in time", hint="try again later")
        if isinstance(cause, socket.gaierror | UnicodeError):
            lasting = not (isinstance(cause, OSError) and cause.errno == socket.EAI_AGAIN)
            kind = FetchError if lasting else _Passing
            return kind(
                f"the host name is not found: {clean(str(cause))}",
                hint="check the URL and the network",
            )
        return _Passing(f"the connection failed: {clean(str(error))}", hint="check the network")

    def _too_late(self) -> FetchError:
        return FetchError(
            f"not done within {self._policy.deadline:g} s", hint="the server is slow; try later"
        )


class _Pace:
    """Who was asked when, for the domains that want a pause between requests."""

    def __init__(self) -> None:
        self._free_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def reserve(self, host: str, now: float, ends: float) -> float | None:
        """Seconds to wait before asking the host; `None` if its turn comes after `ends`."""
        host = host.rstrip(".")
        for domain, seconds in _PACES.items():
            if host == domain or host.endswith(f".{domain}"):
                with self._lock:
                    at = max(now, self._free_at.get(domain, now))
                    if at >= ends:
                        return None
                    self._free_at[domain] = at + seconds
                return at - now
        return 0.0


def _placed(error: FetchError, url: httpx2.URL) -> FetchError:
    """The error with the place where it happened, if it does not say."""
    error.where = error.where or shown(str(url))
    return error


def _header(response: httpcore2.Response, name: str) -> str | None:
    """A header's value with its bytes as they came; several are joined."""
    wanted = name.encode("ascii")
    values = [value for key, value in response.headers if key.lower() == wanted]
    return b", ".join(values).decode("latin-1").strip() or None


def _validator(response: httpcore2.Response, name: str) -> str | None:
    value = _header(response, name)
    return value if value and _sendable(value) else None


def _sendable(value: str) -> bool:
    """Whether we can send a validator back; one that we cannot costs only a whole page."""
    return len(value) <= _LONGEST_VALIDATOR and bool(
        re.fullmatch(r"[\x21-\x7e\xa0-\xff]+(?:[ \t]+[\x21-\x7e\xa0-\xff]+)*", value)
    )


def _status_error(response: httpcore2.Response) -> FetchError:
    status = response.status
    busy = status in (408, 429) or (500 <= status <= 599 and status not in (501, 505))
    later = "the server is in trouble; try again later" if status >= 500 else HINTS[404]
    hint = HINTS.get(status, later)
    wait = _retry_after(response) if status in (429, 503) else None
    if wait is not None:
        hint = f"try again in {wait:.0f} s"
    kind = _Passing if busy else PageRefused
    return kind(f"the server answers {_status_words(status)}", hint=hint, retry_after=wait)


def _status_words(status: int) -> str:
    try:
        return f"{status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _retry_after(response: httpcore2.Response) -> float | None:
    """Seconds the server asks us to wait. A date is measured on the server's own clock."""
    value = _header(response, "retry-after") or ""
    if value.isascii() and value.isdigit():
        return float(value[:9])
    then = _instant(value)
    if then is None:
        return None
    now = _instant(_header(response, "date") or "") or datetime.now(UTC)
    return max(0.0, (then - now).total_seconds())


def _instant(value: str) -> datetime | None:
    try:
        instant = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
