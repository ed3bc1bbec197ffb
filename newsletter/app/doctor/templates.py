"""The templates: whether those of the theme, the pages and the notices compile and render."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.app.doctor.context import Context
from newsletter.app.doctor.findings import Finding, from_error, ok
from newsletter.app.template_check import TemplateCheck


def check(context: Context) -> Iterator[Finding]:
    """Renders all templates with samples, and validates an edition in the configured theme."""
    faults = TemplateCheck(context.config).faults()
    yield from map(from_error, faults)
    if not faults:
        yield ok(
            "the pages, the notices and an edition in the theme "
            f"{context.config.theme.name} render without a fault"
        )
