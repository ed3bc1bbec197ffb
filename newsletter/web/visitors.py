"""Identifies visitors as far as possible: their network, the origin and rate of requests."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.requests import Request

from newsletter.config.values import LOOPBACK
from newsletter.subscribers.address import mailbox_key
from newsletter.web.guard import name_in
from newsletter.web.limits import RequestLimits
from newsletter.web.networks import Networks, networks_of


class Visitors:
    """Decides which requests are allowed.

    Args:
        base_url: the base URL of the pages.
        trusted_hops: number of trusted proxies; each appends its client to `X-Forwarded-For`.
    """

    def __init__(self, base_url: str, trusted_hops: int) -> None:
        self._base_url = base_url
        self._hops = trusted_hops
        self._limits = RequestLimits()

    def is_from_elsewhere(self, request: Request) -> bool:
        """Returns whether a form was submitted from another site, according to the browser.

        Our pages send no referrer, so browsers give `null` as their origin. `Sec-Fetch-Site`
        therefore takes precedence.
        """
        site = request.headers.get("sec-fetch-site")
        if site is not None:
            return site not in ("none", "same-origin")
        origin = request.headers.get("origin")
        return origin is not None and origin.lower() not in self._origins(request)

    def lets_in(self, request: Request, *, as_person: bool = True) -> bool:
        """Counts a request for a mail. Returns whether it is within the rate limits.

        Args:
            request: the request.
            as_person: false if the request is known to come from a program.
        """
        by_browser = as_person and _has_origin(request)
        return self._limits.lets_in(self._networks_of(request), by_browser=by_browser)

    def lets_write_to(self, address: str) -> bool:
        """Counts a request for a normalised address. Returns whether it may be mailed.

        All spellings of one mailbox count together.
        """
        return self._limits.lets_write_to(mailbox_key(address))

    def network_of(self, request: Request) -> str:
        """Returns the network of the visitor: a /24 of IPv4 or a /56 of IPv6."""
        return self._networks_of(request).small

    def _networks_of(self, request: Request) -> Networks:
        peer = request.client.host if request.client else ""
        return networks_of(peer, request.headers.getlist("x-forwarded-for"), self._hops)

    def _origins(self, request: Request) -> Collection[str]:
        """Returns the origins of our own pages; on this machine, also its local names."""
        parts = urlsplit(self._base_url)
        host = request.headers.get("host", "").lower()
        here = {f"http://{host}"} if name_in(host) in (*LOOPBACK, "[::1]") else set()
        return {f"{parts.scheme}://{parts.netloc}".lower(), *here}


def _has_origin(request: Request) -> bool:
    """Returns whether a browser appears to have sent the request."""
    return "origin" in request.headers or "sec-fetch-site" in request.headers
