"""DKIM: the public key under the selector that the operator names."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.app.doctor.context import Context
from newsletter.app.doctor.findings import Finding
from newsletter.app.doctor.records import dkim


def check(context: Context) -> Iterator[Finding]:
    """Checks the key of the sender's domain; selectors cannot be discovered."""
    domain, selector = context.sender_domain, context.options.dkim_selector
    if not domain:
        return
    if not selector:
        yield dkim.unknown_selector(domain)
        return
    answer = context.resolver.txt(f"{selector}._domainkey.{domain}")
    yield dkim.evaluate(domain, selector, answer)
