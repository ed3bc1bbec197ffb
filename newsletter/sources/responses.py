"""Interprets the response to a GET: headers, body and failures.

Makes no requests: `fetch` handles requests, redirects and retries.
"""

from __future__ import annotations

import http
import re
import socket
import ssl
import zlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpcore2

from newsletter.errors import FetchError, PageRefused
from newsletter.sources.bodies import capped, inflated, too_large
from newsletter.sources.locations import HINTS, without_quotation
from newsletter.text.clean import clean

_ENCODING = re.compile(r"[a-z][a-z0-9-]{0,15}(?:, ?[a-z][a-z0-9-]{0,15})?")
_LONGEST_VALIDATOR = 1024  # characters; a longer one could make the next request too large


class TransientFetchError(FetchError):
    """A failure that may be temporary, so a retry may succeed."""


def body(response: httpcore2.Response, limit: int) -> bytes:
    """Reads and decompresses the page, up to `limit` bytes.

    Raises:
        FetchError: the page is larger, incomplete, or in an unsupported encoding.
    """
    if int(header(response, "content-length") or 0) > limit:
        raise too_large(limit)
    encoding = (header(response, "content-encoding") or "identity").lower()
    chunks = capped(response.iter_stream(), limit)
    if encoding in ("gzip", "x-gzip", "deflate"):
        chunks = capped(inflated(chunks, encoding), limit)
    elif encoding != "identity":
        named = f"as {encoding!r}" if _ENCODING.fullmatch(encoding) else "in an unknown way"
        raise FetchError(
            f"the page is encoded {named}, which was not requested",
            hint="tell the operators of the server",
        )
    try:
        return b"".join(chunks)
    except zlib.error as error:
        raise FetchError(f"the page cannot be decompressed as {encoding}: {error}") from error
    except EOFError as error:
        raise TransientFetchError("the page is incomplete", hint="try again later") from error


def exchange_failure(
    error: Exception, host: str, seconds: float, too_late: FetchError | None
) -> FetchError:
    """Returns the error for a failed exchange; `too_late` if it failed for lack of time.

    Args:
        error: what the library raised.
        host: the host name in the URL.
        seconds: the timeout of the step that failed.
        too_late: the error to return if the deadline of the whole operation has passed.
    """
    cause = error.args[0] if error.args else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return FetchError(
            f"the server's certificate is not valid: {cause.verify_message}",
            hint="check the URL and this machine's clock and certificates",
        )
    if too_late:
        return too_late
    if isinstance(error, httpcore2.LocalProtocolError):
        return FetchError(f"the request cannot be sent: {without_quotation(error)}")
    if isinstance(error, httpcore2.ProtocolError):
        return TransientFetchError(
            f"the response is malformed: {without_quotation(error)}", hint="try again later"
        )
    if isinstance(error, httpcore2.TimeoutException):
        return TransientFetchError(f"timed out after {seconds:g} s", hint="try again later")
    if isinstance(cause, socket.gaierror | UnicodeError):
        lasting = not (isinstance(cause, OSError) and cause.errno == socket.EAI_AGAIN)
        kind = FetchError if lasting else TransientFetchError
        return kind(
            f"the host name “{clean(host)}” cannot be found", hint="check the URL and the network"
        )
    return TransientFetchError(_connection_words(cause), hint="check the URL and the network")


def _connection_words(cause: object) -> str:
    """Returns what became of a connection, without the numbers and names of the system's errors."""
    if isinstance(cause, ssl.SSLError):
        reason = (cause.reason or "").lower().replace("_", " ")
        return "no secure connection could be made" + (f" ({reason})" if reason else "")
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused"
    if isinstance(cause, ConnectionError):
        return "the server closed the connection"
    if isinstance(cause, OSError):
        return f"the connection failed ({(cause.strerror or 'no reason given').lower()})"
    return f"the connection failed ({clean(str(cause))})"


def status_error(response: httpcore2.Response) -> FetchError:
    """Returns the error for a status that is neither success nor a redirect."""
    status = response.status
    busy = status in (408, 429) or (500 <= status <= 599 and status not in (501, 505))
    later = "the server has a problem; try again later" if status >= 500 else HINTS[404]
    hint = HINTS.get(status, later)
    wait = _retry_after(response) if status in (429, 503) else None
    if wait is not None:
        hint = f"try again in {wait:.0f} s"
    kind = TransientFetchError if busy else PageRefused
    return kind(f"the server answers {_status_words(status)}", hint=hint, retry_after=wait)


def header(response: httpcore2.Response, name: str) -> str | None:
    """Returns a header's value as Latin-1, which preserves its bytes; repeated ones are joined."""
    wanted = name.encode("ascii")
    values = [value for key, value in response.headers if key.lower() == wanted]
    return b", ".join(values).decode("latin-1").strip() or None


def validator(response: httpcore2.Response, name: str) -> str | None:
    """Returns a validator (`ETag`, `Last-Modified`) that can be sent back, or `None`."""
    value = header(response, name)
    return value if value and sendable(value) else None


def sendable(value: str) -> bool:
    """Returns whether a validator can be sent back. Without it, the full page is fetched."""
    return len(value) <= _LONGEST_VALIDATOR and bool(
        re.fullmatch(r"[\x21-\x7e\xa0-\xff]+(?:[ \t]+[\x21-\x7e\xa0-\xff]+)*", value)
    )


def _status_words(status: int) -> str:
    try:
        return f"{status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _retry_after(response: httpcore2.Response) -> float | None:
    """Returns the delay in seconds that the server asks for. A date is relative to its clock."""
    value = header(response, "retry-after") or ""
    if value.isascii() and value.isdigit():
        return float(value[:9])
    then = _instant(value)
    if then is None:
        return None
    now = _instant(header(response, "date") or "") or datetime.now(UTC)
    return max(0.0, (then - now).total_seconds())


def _instant(value: str) -> datetime | None:
    try:
        instant = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
