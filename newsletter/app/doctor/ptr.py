"""PTR: the reverse DNS of this machine, if it delivers the mail itself."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.app.doctor.context import Context
from newsletter.app.doctor.findings import Finding, ok
from newsletter.app.doctor.records import ptr
from newsletter.app.doctor.records.ptr import ReverseLookup
from newsletter.app.doctor.resolver import Resolver

_MAX_NAMES = 3
"""Number of an address's names whose own addresses are looked up."""


def check(context: Context) -> Iterator[Finding]:
    """Checks the reverse DNS of every public address of this machine."""
    if not context.sender_domain or not context.uses_smtp:
        return
    if not context.is_mail_server_local:
        host = context.config.transports.smtp.host
        yield ok(f"the name of the machine that sends is the business of {host}")
        return
    hostname = context.hostname()
    addresses = context.resolver.addresses(hostname)
    known = addresses if isinstance(addresses, tuple) else ()
    lookups = [_reverse(context.resolver, one) for one in known if ptr.is_public(one)]
    yield from ptr.evaluate(hostname, addresses, lookups)


def _reverse(resolver: Resolver, address: str) -> ReverseLookup:
    names = resolver.ptr(address)
    known = names if isinstance(names, tuple) else ()
    forward = {name: resolver.addresses(name) for name in known[:_MAX_NAMES]}
    return ReverseLookup(address, names, forward)
