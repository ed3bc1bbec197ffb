"""Visitors, as far as they can be told apart: from where they come, how often they ask."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from starlette.requests import Request

from newsletter.config.values import LOOPBACK
from newsletter.web.guard import name_in
from newsletter.web.limits import RequestLimits


class Visitors:
    """Tells who may ask for something.

    Args:
        base_url: of the pages.
        trusted_hops: proxies of ours that each add the address they were asked from.
    """

    def __init__(self, base_url: str, trusted_hops: int) -> None:
        self._base_url = base_url
        self._hops = trusted_hops
        self._limits = RequestLimits()

    def is_from_elsewhere(self, request: Request) -> bool:
        """Whether a form was sent from a page of somebody else's, as the browser says.

        Our pages have no referrer, so browsers say `null` for their origin: what they say of
        the site goes first.
        """
        site = request.headers.get("sec-fetch-site")
        if site is not None:
            return site not in ("none", "same-origin")
        origin = request.headers.get("origin")
        return origin is not None and origin.lower() not in self._origins(request)

    def lets_in(self, request: Request, *, as_person: bool = True) -> bool:
        """Whether this visitor may ask for a mail now; counts them.

        Args:
            as_person: whether nothing else says that it is a program.
        """
        by_browser = as_person and _has_origin(request)
        return self._limits.lets_in(self.network_of(request), by_browser=by_browser)

    def lets_write_to(self, address: str) -> bool:
        """Whether this address, in its normal form, may be written to; counts it."""
        return self._limits.lets_write_to(address)

    def network_of(self, request: Request) -> str:
        """The network of the visitor, cut short: 256 addresses of IPv4, a /56 of IPv6."""
        peer = request.client.host if request.client else ""
        if self._hops:
            lines = ",".join(request.headers.getlist("x-forwarded-for"))
            said = [one.strip() for one in lines.split(",")]
            peer = said[-self._hops] if len(said) >= self._hops and said[0] else peer
        try:
            address = ip_address(peer.strip("[]"))
        except ValueError:
            return "unknown"
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        size = 56 if address.version == 6 else 24
        return str(ip_network((address, size), strict=False))

    def _origins(self, request: Request) -> Collection[str]:
        """Where our own pages are, as browsers write it; on this machine also by its own names."""
        parts = urlsplit(self._base_url)
        host = request.headers.get("host", "").lower()
        here = {f"http://{host}"} if name_in(host) in (*LOOPBACK, "[::1]") else set()
        return {f"{parts.scheme}://{parts.netloc}".lower(), *here}


def _has_origin(request: Request) -> bool:
    """Whether a browser sent it, as far as that can be told."""
    return "origin" in request.headers or "sec-fetch-site" in request.headers
