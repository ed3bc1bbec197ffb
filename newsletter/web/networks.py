"""From which network a request comes, by its connection and by what trusted proxies say. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

UNKNOWN = "unknown"
"""The network of a client without an address, such as one of a Unix socket."""

_SMALL = {4: 24, 6: 56}
_WIDE = {4: 16, 6: 40}
_NAT64 = IPv6Network("64:ff9b::/96")
_WITH_PORT = re.compile(r"(?:\[([^][]*)\]|([0-9.]+))(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks of a client, as text.

    Attributes:
        small: a /24 of IPv4 or a /56 of IPv6: what one household or office has.
        wide: a /16 of IPv4 or a /40 of IPv6: more than one customer of a provider has.
    """

    small: str
    wide: str


def networks_of(peer: str, forwarded: Sequence[str], hops: int) -> Networks:
    """Returns the networks of a client.

    Each trusted proxy appends the client that it sees to `X-Forwarded-For`, so only the entry
    that the outermost one appended counts: everything further left is the client's own words.
    If that entry is no address, the connection counts: a client can choose neither.

    Args:
        peer: the address at the other end of the connection; may be empty.
        forwarded: the lines of `X-Forwarded-For`, in order.
        hops: number of trusted proxies.
    """
    entries = [entry for line in forwarded for entry in line.split(",")]
    named = entries[-hops] if 0 < hops <= len(entries) else ""
    address = _address(named) or _address(peer)
    if address is None:
        return Networks(UNKNOWN, UNKNOWN)
    return Networks(_network(address, _SMALL), _network(address, _WIDE))


def _network(address: IPv4Address | IPv6Address, sizes: dict[int, int]) -> str:
    return str(ip_network((int(address), sizes[address.version]), strict=False))


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Returns the address in an entry, which may have a port, or `None`."""
    written = text.strip()
    found = _WITH_PORT.fullmatch(written)
    host = (found[1] or found[2] or "") if found else written
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return _embedded(address) or address if isinstance(address, IPv6Address) else address


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """Returns the IPv4 address that an IPv6 address stands for, or `None`.

    Behind a translator (NAT64) all of IPv4 is in one /96, and with 6to4 each IPv4 address has
    256 networks of its own.
    """
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour
