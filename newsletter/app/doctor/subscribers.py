"""The subscribers: whether there are any."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.app.doctor.context import Context
from newsletter.app.doctor.findings import Finding, ok, warning
from newsletter.models import SubscriberState
from newsletter.storage import subscribers


def check(context: Context) -> Iterator[Finding]:
    """Counts the subscribers by state."""
    if context.database is None:
        return
    with context.database.read() as tx:
        counts = subscribers.counts(tx)
    if counts.get(SubscriberState.ACTIVE):
        yield ok(", ".join(f"{count:,} {state}" for state, count in sorted(counts.items())))
    else:
        yield warning("there are no subscribers", "`newsletter subscribers add ADDRESS`")
