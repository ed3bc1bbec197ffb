"""The transport that discards messages."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.app.doctor.context import Context
from newsletter.app.doctor.findings import Finding, warning


def check(context: Context) -> Iterator[Finding]:
    """Warns if nothing is sent because the `null` transport is configured."""
    if context.config.delivery.transport == "null":
        yield warning(
            "nothing leaves: mails are discarded", 'choose transport = "smtp" to send them'
        )
