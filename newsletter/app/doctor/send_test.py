"""The test message, which is sent only if the operator asks for one (`--send`)."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.app.composition import App
from newsletter.app.doctor.context import Context
from newsletter.app.doctor.findings import Finding, failure, ok
from newsletter.models import DeliveryState


def check(context: Context) -> Iterator[Finding]:
    """Sends a test message, as `newsletter send-test` does."""
    recipient = context.options.test_recipient
    if recipient is None:
        return
    if context.database is None:
        yield failure("no mail was sent: there is no database", "run `newsletter ingest` first")
        return
    app = App(context.config, context.database, context.clock)
    row = app.test_mail.send(recipient, context.stop)
    what = f"the mail to {recipient.display} is {row.state}: {row.reply or 'nothing was said'}"
    if row.state is DeliveryState.SENT:
        yield ok(what)
    else:
        yield failure(what, "fix what it says, then send another")
