"""Checks and joins URLs, and shortens them for messages without their secrets."""

from __future__ import annotations

import re

import httpx2

from newsletter.errors import AddressRefused, FetchError
from newsletter.masks import masked_url
from newsletter.text.clean import clean

_LONGEST_SHOWN = 300  # characters of a URL in a message
_QUOTATION = re.compile(r"[:,]? *(?:bytearray\()?b?['\"].*", re.DOTALL)

HINTS = {
    401: "it requires a login; use a URL that can be read without one",
    403: "it does not serve programs, or not this network; ask its operators",
    404: "check the URL of the source",
    410: "the page was removed permanently; remove the source",
    429: "there were too many requests; try again later",
}
"""Hints by HTTP status."""


def checked_url(url: str) -> httpx2.URL:
    """Parses a URL and drops its fragment.

    Raises:
        AddressRefused: the URL is not http or https.
        FetchError: the URL is malformed, or contains a user name or password.
    """
    try:
        parsed = httpx2.URL(url).copy_with(fragment=None)
    except (httpx2.InvalidURL, ValueError) as error:
        what = f"the URL is malformed ({without_quotation(error)})"
        raise FetchError(what, where=shown(url), hint=HINTS[404]) from error
    if parsed.scheme not in ("http", "https"):
        scheme = f"the scheme {parsed.scheme!r} is not supported"
        raise AddressRefused(
            scheme if parsed.scheme else "the URL has no scheme",
            where=shown(url),
            hint="write http:// or https://",
        )
    if parsed.userinfo:
        what = "the URL contains a user name or password"
        raise FetchError(what, where=shown(url), hint="leave out everything before the @")
    port = 80 if parsed.port is None else parsed.port
    if not parsed.host or not 1 <= port <= 65535:
        raise FetchError("the URL has no usable host or port", where=shown(url), hint=HINTS[404])
    return parsed


def joined(url: httpx2.URL, location: str) -> str:
    """Returns the target of a redirect. Servers send UTF-8, regardless of the standard."""
    target = location.encode("latin-1").decode("utf-8", "replace")
    try:
        return str(url.join(target))
    except (httpx2.InvalidURL, ValueError) as error:
        what = f"redirects to an invalid URL: {without_quotation(error)}"
        raise FetchError(what, hint=HINTS[404]) from error


def without_quotation(error: Exception) -> str:
    """Returns the message of a library's error without quotations, which may contain a secret."""
    return _QUOTATION.sub("", clean(str(error)))


def shown(url: str) -> str:
    """Returns a URL for a message: shortened, with its secrets masked."""
    safe = masked_url(clean(url))
    return safe if len(safe) <= _LONGEST_SHOWN else safe[:_LONGEST_SHOWN] + "…"
