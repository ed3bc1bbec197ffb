"""DKIM: the public keys of mail signed here, or under the selector that the operator names."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.app import dkim_keys
from newsletter.app.doctor.context import Context
from newsletter.app.doctor.findings import Finding
from newsletter.app.doctor.records import dkim
from newsletter.app.doctor.records.domain_names import is_special_use


def check(context: Context) -> Iterator[Finding]:
    """Checks the keys of mail signed here, or the one that is named: none can be discovered."""
    domain, selector = context.sender_domain, context.options.dkim_selector
    own = () if dkim_keys.problems(context.config) else dkim_keys.published(context.config)
    if not domain:
        return
    if selector:
        answer = context.resolver.txt(f"{selector}._domainkey.{domain}")
        yield dkim.evaluate(domain, selector, answer)
    elif not own:
        yield dkim.unknown_selector(domain)
    for key in own:
        if not is_special_use(key.domain):
            answer = context.resolver.txt(f"{key.selector}._domainkey.{key.domain}")
            wanted = dkim.record(key.algorithm, key.public)
            yield dkim.evaluate_own(key.domain, key.selector, wanted, answer)
