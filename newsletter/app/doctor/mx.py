"""MX: whether replies and bounces are accepted."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.app.doctor.context import Context
from newsletter.app.doctor.findings import Finding
from newsletter.app.doctor.records import mx
from newsletter.app.doctor.records.answers import Answer
from newsletter.app.doctor.records.domain_names import is_special_use
from newsletter.app.doctor.resolver import Resolver
from newsletter.config.values import domain, name_and_address

_MAX_HOSTS = 3
"""Number of a domain's mail exchangers whose addresses are looked up."""


def check(context: Context) -> Iterator[Finding]:
    """Checks the mail exchangers of the domains that replies and bounces go to."""
    if not context.sender_domain:
        return
    for name, purposes in _destinations(context).items():
        if not is_special_use(name):
            answer = context.resolver.mx(name)
            addresses = _addresses(context.resolver, name, answer)
            yield mx.evaluate(name, answer, addresses, " and ".join(purposes))


def _destinations(context: Context) -> dict[str, list[str]]:
    """Returns the domains that receive replies and bounces, each with what it receives."""
    reply_to = name_and_address(context.config.newsletter.reply_to)[1].rpartition("@")[2]
    found: dict[str, list[str]] = {}
    found.setdefault(domain(reply_to) or context.sender_domain, []).append("replies")
    found.setdefault(context.bounce_domain, []).append("bounces")
    return found


def _addresses(resolver: Resolver, name: str, answer: Answer) -> dict[str, Answer]:
    """Returns the addresses of the first mail exchangers, or of the domain if it has none."""
    hosts = answer if isinstance(answer, tuple) else ()
    if not hosts:
        return {name: resolver.addresses(name)}
    return {host: resolver.addresses(host) for host in hosts[:_MAX_HOSTS] if host}
