"""SPF: the record of the bounce domain, and the records it refers to."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.app.doctor.context import Context
from newsletter.app.doctor.findings import Finding
from newsletter.app.doctor.records import spf
from newsletter.app.doctor.records.answers import Answer, Unanswered
from newsletter.app.doctor.resolver import Resolver


def check(context: Context) -> Iterator[Finding]:
    """Checks the record that receivers look up, which is that of the envelope sender's domain."""
    if not context.sender_domain:
        return
    domain = context.bounce_domain
    suggestion = spf.suggest(
        domain,
        context.config.transports.smtp.host if context.uses_smtp else "",
        is_local=context.uses_smtp and context.is_mail_server_local,
    )
    answer = context.resolver.txt(domain)
    yield spf.evaluate(domain, answer, _references(context.resolver, answer), suggestion)


def _references(resolver: Resolver, first: Answer) -> dict[str, Answer]:
    """Returns the TXT records of all domains that a record refers to, up to receivers' limit."""
    found: dict[str, Answer] = {}
    pending = [first]
    while pending:
        answer = pending.pop(0)
        if isinstance(answer, Unanswered):
            break
        for name in _names(answer):
            if name not in found and spf.is_resolvable(name) and len(found) < spf.MAX_LOOKUPS:
                found[name] = resolver.txt(name)
                pending.append(found[name])
    return found


def _names(texts: tuple[str, ...]) -> Iterator[str]:
    for record in spf.spf_records(texts):
        yield from spf.parse(record).references
