"""Questions to a name server, answered in bounded time.

What a name does not have is an empty answer; what could not be asked is `Unanswered`. A server
that has never answered is asked no more after the first silence.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import dns.exception
import dns.resolver
import dns.reversename

from newsletter.domains import Answer, Unanswered

_TIMEOUT = 2.0
"""Seconds that one try may take."""
_LIFETIME = 5.0
"""Seconds that one question may take."""
_PORT = 53


class Resolver:
    """Asks name servers.

    Args:
        server: the address of one; by default those that this machine uses are asked.
        port: its port.
    """

    def __init__(self, server: str = "", port: int = _PORT) -> None:
        self._has_answered = False
        self._gone: Unanswered | None = None
        try:
            self._resolver = dns.resolver.Resolver(configure=not server)
        except dns.exception.DNSException:
            self._resolver = dns.resolver.Resolver(configure=False)
            self._gone = Unanswered("this machine has no name server")
        self._resolver.timeout = _TIMEOUT
        self._resolver.lifetime = _LIFETIME
        if server:
            self._resolver.nameservers = [server]
            self._resolver.port = port

    def txt(self, name: str) -> Answer:
        """A name's texts, each in one piece."""
        return self._asked(
            name, "TXT", lambda row: b"".join(row.strings).decode("utf-8", "replace")
        )

    def mx(self, name: str) -> Answer:
        """The servers that take a domain's mail, the preferred first; one that is empty: none."""
        found = self._asked(
            name, "MX", lambda row: f"{row.preference:05} {row.exchange.to_text().rstrip('.')}"
        )
        if isinstance(found, Unanswered):
            return found
        return tuple(row.partition(" ")[2].lower() for row in sorted(found))

    def addresses(self, name: str) -> Answer:
        """A name's addresses of both kinds."""
        four = self._asked(name, "A", lambda row: str(row.address))
        six = self._asked(name, "AAAA", lambda row: str(row.address))
        if isinstance(four, Unanswered) or isinstance(six, Unanswered):
            # One kind is enough to know that it has some, not to know that it has none.
            known = [found for found in (four, six) if isinstance(found, tuple) and found]
            return known[0] if known else four if isinstance(four, Unanswered) else six
        return four + six

    def ptr(self, address: str) -> Answer:
        """The names that an address has."""
        name = dns.reversename.from_address(address).to_text()
        return self._asked(name, "PTR", lambda row: row.target.to_text().rstrip(".").lower())

    def _asked(self, name: str, kind: str, read: Callable[[Any], str]) -> Answer:
        if self._gone:
            return self._gone
        try:
            answer = self._resolver.resolve(
                f"{name.rstrip('.')}.", kind, raise_on_no_answer=False, search=False
            )
        except dns.resolver.NXDOMAIN:
            self._has_answered = True
            return ()
        except dns.resolver.LifetimeTimeout:
            silent = Unanswered(f"no name server answered within {_LIFETIME:g} s")
            self._gone = None if self._has_answered else silent
            return silent
        except dns.resolver.NoNameservers:
            return Unanswered("the name servers fail or refuse")
        except (dns.exception.DNSException, OSError, UnicodeError) as error:
            return Unanswered(str(error).rstrip(".") or type(error).__name__)
        self._has_answered = True
        return tuple(read(row) for row in answer)


def place(text: str) -> tuple[str, int]:
    """An address, or an address and a port, of a name server.

    Raises:
        ValueError: it is neither.
    """
    host, port = text, str(_PORT)
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":") or str(_PORT)
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        found = str(ipaddress.ip_address(host)), int(port)
    except ValueError:
        found = "", 0
    if not 0 < found[1] < 65_536:
        raise ValueError("write an address such as 192.0.2.53 or 192.0.2.53:5353")
    return found
