"""The ordered table of checks, and how they are run. A new check is a file and a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from newsletter.app.doctor import (
    clock,
    configuration,
    database,
    dkim,
    dmarc,
    dns_queries,
    link_keys,
    mail_folder,
    mx,
    null_transport,
    ptr,
    send_test,
    sender,
    smtp,
    sources,
    spf,
    subscribers,
    templates,
    web,
)
from newsletter.app.doctor.context import Context
from newsletter.app.doctor.findings import Finding, from_error
from newsletter.errors import NewsletterError

Check = Callable[[Context], Iterable[Finding]]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("config", configuration.check),
    ("database", database.check),
    ("templates", templates.check),
    ("clock", clock.check),
    ("sources", sources.check),
    ("subscribers", subscribers.check),
    ("smtp", smtp.check),
    ("eml", mail_folder.check_eml),
    ("maildir", mail_folder.check_maildir),
    ("null", null_transport.check),
    ("sender", sender.check),
    ("secrets", link_keys.check),
    ("web", web.check),
    ("DNS", dns_queries.check),
    ("SPF", spf.check),
    ("DKIM", dkim.check),
    ("DMARC", dmarc.check),
    ("MX", mx.check),
    ("PTR", ptr.check),
    ("test", send_test.check),
)
"""The checks in the order of their output. A check that does not apply yields no finding."""


def run_checks(context: Context) -> Iterator[tuple[str, Finding]]:
    """Runs all checks.

    Yields each finding as soon as it is known, with the name of its check. An error ends its own
    check with a failure, and the others go on.
    """
    for name, check in CHECKS:
        try:
            for finding in check(context):
                yield name, finding
        except (NewsletterError, OSError) as error:
            yield name, from_error(error)
