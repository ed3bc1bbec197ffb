"""Whether the sender's domain is looked up in the DNS."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.app.doctor.context import Context
from newsletter.app.doctor.findings import Finding, ok
from newsletter.app.edition_factories import sender


def check(context: Context) -> Iterator[Finding]:
    """Explains why the following checks query nothing, if that is the case."""
    if context.options.offline:
        yield ok("not queried (--offline)")
    elif not context.sender_domain and context.config.newsletter.sender:
        yield ok(f"not queried: {sender(context.config).domain} is for one network or for tests")
    elif not context.sender_domain:
        yield ok("not queried: no sender is configured")
