"""MX records (RFC 5321, RFC 7505): the servers that accept mail for a domain. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from newsletter.app.doctor.findings import Finding, failure, ok, warning
from newsletter.app.doctor.records.answers import Answer, Unanswered, inconclusive
from newsletter.app.doctor.records.syntax import MAX_WIDTH
from newsletter.text.clean import cut


def evaluate(domain: str, answer: Answer, addresses: Mapping[str, Answer], purpose: str) -> Finding:
    """Checks whether a domain accepts mail.

    Args:
        domain: the domain.
        answer: the mail exchangers, the most preferred first.
        addresses: their addresses and the domain's own, as far as they were queried.
        purpose: the mail that would be sent there, such as "replies".
    """
    if isinstance(answer, Unanswered):
        return inconclusive(f"who takes mail for {domain}", answer)
    if not answer:
        own = addresses.get(domain, ())
        if isinstance(own, Unanswered):
            return inconclusive(f"who takes mail for {domain}", own)
        return warning(
            f"{domain} has no MX record, so {purpose} "
            + ("go to the machine of that name" if own else "get lost"),
            f"publish the server that takes mail for it: {domain}. MX 10 and its name",
        )
    if not any(answer):
        return warning(
            f"{domain} says that it takes no mail, so {purpose} are lost",
            "take its MX record with the single dot away, or use another domain",
        )
    known = [addresses[host] for host in answer if host in addresses]
    if known and not any(known):  # no answer counts as an address
        return failure(
            f"none of the servers that take mail for {domain} has an address: {', '.join(answer)}",
            "fix their names in its MX records",
        )
    return ok(f"{purpose} to {domain} go to {cut(', '.join(answer), MAX_WIDTH)}")
