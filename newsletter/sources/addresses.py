"""Which addresses may be connected to, and a network backend that connects to no others.

A name is resolved once per connection, every address is checked, and the connection goes to a
checked address. So a name server that changes its answer (DNS rebinding) has no effect.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import httpcore2

from newsletter.errors import AddressRefused

Resolve = Callable[..., Sequence[tuple[Any, ...]]]
"""`socket.getaddrinfo`, or a function with the same interface."""

# `ipaddress.is_global` alone is not enough: its tables differ between patch releases, and it
# accepts multicast and some notations of IPv4 inside IPv6.
_REFUSED = tuple(
    (ipaddress.ip_network(network), what)
    for what, networks in {
        "an unspecified address": ["0.0.0.0/8", "::/128"],
        "a loopback address": ["127.0.0.0/8", "::1/128"],
        "a private address": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"],
        "a link-local address": ["169.254.0.0/16", "fe80::/10"],
        "a site-local address": ["fec0::/10"],
        "an address shared by a provider's customers": ["100.64.0.0/10"],
        "a multicast address": ["224.0.0.0/4", "ff00::/8"],
        "an address for documentation": [
            *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),
            *("2001:db8::/32", "3fff::/20"),
        ],
        "an address for benchmarks": ["198.18.0.0/15", "2001:2::/48"],
        "a reserved address": ["192.0.0.0/24", "192.88.99.0/24", "240.0.0.0/4"],
        "a cloud's metadata address": ["168.63.129.16/32"],
        # No papers are published behind these, and each embeds an IPv4 address.
        "an IPv4 address inside IPv6": ["::ffff:0:0/96", "2002::/16", "2001::/32"],
        "not a public address": ["2001::/23"],
    }.items()
    for network in networks
)
_PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def refusal(address: str) -> str | None:
    """Returns why this address may not be connected to, as text, or `None` if it may.

    A NAT64 address is checked by the IPv4 address inside, since an IPv6-only host reaches all of
    IPv4 through it.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return "not an IP address"
    if ip in _NAT64:
        ip = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    for network, what in _REFUSED:
        if ip in network:
            return what
    outside = isinstance(ip, ipaddress.IPv6Address) and (ip not in _PUBLIC_IPV6 or _isatap(ip))
    return "not a public address" if outside or not ip.is_global else None


def _isatap(ip: ipaddress.IPv6Address) -> bool:
    """Returns whether the last 32 bits are the IPv4 address of a tunnel (RFC 5214)."""
    return int(ip) >> 32 & 0xFCFF_FFFF == 0x0000_5EFE


class Deadline(float):
    """A timeout in seconds for each step of an operation that also has an overall deadline.

    httpcore2 applies it as the timeout of every read and write. A plain number would restart
    with every byte, so a server that sends one byte per second could hold the connection forever.

    Args:
        seconds: the maximum for one step.
        ends: the deadline, on `clock`.
        clock: a monotonic clock in seconds.
    """

    _ends: float
    _clock: Callable[[], float]

    def __new__(cls, seconds: float, ends: float, clock: Callable[[], float]) -> Self:
        self = super().__new__(cls, seconds)
        self._ends = ends
        self._clock = clock
        return self

    def left(self) -> float:
        """Returns the seconds that the next step may take, greater than 0.

        Raises:
            httpcore2.ReadTimeout: the deadline has passed.
        """
        left = self._ends - self._clock()
        if left <= 0:
            raise httpcore2.ReadTimeout("no time left")
        return min(float(self), left)


def _left(timeout: float | None) -> float | None:
    return timeout.left() if isinstance(timeout, Deadline) else timeout


class CheckedNetwork(httpcore2.NetworkBackend):
    """Connects only to addresses that `refusal` accepts.

    Args:
        resolve: resolves host names.
        allow_private: whether to connect to any address.
    """

    def __init__(self, resolve: Resolve, *, allow_private: bool) -> None:
        self._resolve = resolve
        self._allow_private = allow_private
        self._network = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connects to the first address of the host that answers.

        Raises:
            AddressRefused: one of the addresses is refused; no connection was made.
            httpcore2.ConnectError, httpcore2.TimeoutException: no address answers.
        """
        failure: Exception = httpcore2.ConnectError(f"{host} has no address")
        for address in self._addresses(host, port):
            try:
                stream = self._network.connect_tcp(
                    address, port, _left(timeout), local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
            else:
                return _TimedStream(stream)
        raise failure

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            answers = self._resolve(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError(error) from error
        return [self._checked(host, answer[4][0]) for answer in answers]

    def _checked(self, host: str, address: object) -> str:
        """Returns the address in the notation of `ipaddress`, so that what was checked is used."""
        why = None if self._allow_private else refusal(str(address))
        if why:
            leads = "is" if host == address else f"leads to {address},"
            raise AddressRefused(
                f"{host} {leads} {why}",
                hint="set allow_private = true for this source if that is what you want",
            )
        try:
            return str(ipaddress.ip_address(str(address)))
        except ValueError as error:
            raise httpcore2.ConnectError(f"{host} has no IP address") from error


class _TimedStream(httpcore2.NetworkStream):
    """A connection on which every step respects the overall deadline."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        try:
            left = _left(timeout)
        except httpcore2.ReadTimeout:
            self.close()
            raise
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
