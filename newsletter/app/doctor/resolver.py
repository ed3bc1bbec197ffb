"""DNS queries, answered in bounded time.

A record that does not exist is an empty answer; a query that fails is `Unanswered`. A server that
has never answered is not queried again after its first time-out.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import dns.exception
import dns.resolver
import dns.reversename

from newsletter.app.doctor.records.answers import Answer, Unanswered

_TIMEOUT = 2.0
"""Seconds for one attempt."""
_LIFETIME = 5.0
"""Seconds for one query, with all its attempts."""
_PORT = 53


class Resolver:
    """A stub resolver.

    Args:
        server: the address of a name server; empty for those that this machine uses.
        port: the port of that name server.
    """

    def __init__(self, server: str = "", port: int = _PORT) -> None:
        self._has_answered = False
        self._unavailable: Unanswered | None = None
        try:
            self._resolver = dns.resolver.Resolver(configure=not server)
        except dns.exception.DNSException:
            self._resolver = dns.resolver.Resolver(configure=False)
            self._unavailable = Unanswered("this machine has no name server")
        self._resolver.timeout = _TIMEOUT
        self._resolver.lifetime = _LIFETIME
        if server:
            self._resolver.nameservers = [server]
            self._resolver.port = port

    def txt(self, name: str) -> Answer:
        """Returns the TXT records of a name, each joined from its strings."""
        return self._query(
            name, "TXT", lambda row: b"".join(row.strings).decode("utf-8", "replace")
        )

    def mx(self, name: str) -> Answer:
        """Returns a domain's mail exchangers, preferred first; `("",)` if it accepts no mail."""
        found = self._query(
            name, "MX", lambda row: f"{row.preference:05} {row.exchange.to_text().rstrip('.')}"
        )
        if isinstance(found, Unanswered):
            return found
        return tuple(row.partition(" ")[2].lower() for row in sorted(found))

    def addresses(self, name: str) -> Answer:
        """Returns the A and AAAA records of a name."""
        four = self._query(name, "A", lambda row: str(row.address))
        six = self._query(name, "AAAA", lambda row: str(row.address))
        if isinstance(four, Unanswered) or isinstance(six, Unanswered):
            # One type is enough to tell that there are addresses, but not that there are none.
            known = [found for found in (four, six) if isinstance(found, tuple) and found]
            return known[0] if known else four if isinstance(four, Unanswered) else six
        return four + six

    def ptr(self, address: str) -> Answer:
        """Returns the names of an address, from its PTR records."""
        name = dns.reversename.from_address(address).to_text()
        return self._query(name, "PTR", lambda row: row.target.to_text().rstrip(".").lower())

    def _query(self, name: str, kind: str, parse: Callable[[Any], str]) -> Answer:
        if self._unavailable:
            return self._unavailable
        try:
            answer = self._resolver.resolve(
                f"{name.rstrip('.')}.", kind, raise_on_no_answer=False, search=False
            )
        except dns.resolver.NXDOMAIN:
            self._has_answered = True
            return ()
        except dns.resolver.LifetimeTimeout:
            timed_out = Unanswered(f"no name server answered within {_LIFETIME:g} s")
            self._unavailable = None if self._has_answered else timed_out
            return timed_out
        except dns.resolver.NoNameservers:
            return Unanswered("the name servers fail or refuse")
        except (dns.exception.DNSException, OSError, UnicodeError) as error:
            return Unanswered(str(error).rstrip(".") or type(error).__name__)
        self._has_answered = True
        return tuple(parse(row) for row in answer)


def parse_nameserver(text: str) -> tuple[str, int]:
    """Returns the address and the port of a name server, written `ADDRESS` or `ADDRESS:PORT`.

    Raises:
        ValueError: the text has neither form.
    """
    host, port = text, str(_PORT)
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":") or str(_PORT)
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        parsed = str(ipaddress.ip_address(host)), int(port)
    except ValueError:
        parsed = "", 0
    if not 0 < parsed[1] < 65_536:
        raise ValueError("write an address such as 192.0.2.53 or 192.0.2.53:5353")
    return parsed
