"""The sender: From address, owner, the way to unsubscribe, and the postal address."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.app.doctor.context import Context
from newsletter.app.doctor.findings import Finding, ok, warning
from newsletter.app.doctor.records.domain_names import is_example
from newsletter.app.edition_factories import owner_address, sender


def check(context: Context) -> Iterator[Finding]:
    """Checks how every message identifies its sender."""
    section = context.config.newsletter
    if section.sender:
        yield _from_address(context)
    elif not context.uses_smtp:  # with SMTP, the configuration check reports this
        yield warning(
            f"mail comes from {sender(context.config).address.addr_spec}, which does not exist",
            'set sender = "Name <address>" under [newsletter]',
        )
    if not section.owner:
        yield warning("reports go to no one", "set owner under [newsletter] to your address")
    yield from _unsubscribe(context)
    if not section.postal_address:
        yield warning(
            "mails have no postal address, which some laws require",
            "set postal_address under [newsletter]",
        )


def _from_address(context: Context) -> Finding:
    name = sender(context.config).domain
    is_public = context.uses_smtp and not context.is_mail_server_local
    if is_public and is_example(name):
        return warning(f"no server accepts mail from {name}", "set sender to an address of yours")
    return ok(f"mail comes from {context.config.newsletter.sender}")


def _unsubscribe(context: Context) -> Iterator[Finding]:
    section = context.config.newsletter
    if section.base_url.startswith("http:"):
        yield warning(
            f"Unsubscribe leads to {section.base_url}, which only this machine reaches",
            "set base_url under [newsletter] to an https:// address",
        )
    elif section.base_url:
        yield ok(f"Unsubscribe leads to {section.base_url}")
    elif section.owner:
        yield ok(f"Unsubscribe writes to {owner_address(context.config)}")
    elif not context.uses_smtp:  # with SMTP, the configuration check reports this
        yield warning("Unsubscribe leads nowhere", "set owner or base_url under [newsletter]")
