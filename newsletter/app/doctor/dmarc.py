"""DMARC: the policy of the sender's domain, and the alignment of the bounce domain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from newsletter.app.doctor.context import Context
from newsletter.app.doctor.findings import Finding
from newsletter.app.doctor.records import dmarc
from newsletter.app.doctor.records.dmarc import TreeWalk
from newsletter.app.doctor.resolver import Resolver
from newsletter.app.edition_factories import owner_address


def check(context: Context) -> Iterator[Finding]:
    """Checks the policy, and whether a separate bounce domain is aligned."""
    if not context.sender_domain:
        return
    walk = _tree_walk(context.resolver, context.sender_domain)
    yield dmarc.evaluate(walk, owner_address(context.config))
    if context.bounce_domain != context.sender_domain:
        bounces = _tree_walk(context.resolver, context.bounce_domain)
        yield dmarc.evaluate_alignment(walk, bounces)


def _tree_walk(resolver: Resolver, domain: str) -> TreeWalk:
    """Queries the DMARC records from a domain upwards, as far as needed."""
    walk = TreeWalk(domain)
    for name in dmarc.tree_walk_names(domain):
        answer = resolver.txt(f"_dmarc.{name}")
        walk = replace(walk, answers=(*walk.answers, (name, answer)))
        if walk.is_complete:
            break
    return walk
