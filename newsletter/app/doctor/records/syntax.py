"""Syntax shared by several records: tag lists, and quoting in findings. Pure."""

from __future__ import annotations

from newsletter.text.clean import clean, cut

MAX_WIDTH = 160
"""Maximum width in columns of a quoted record in a finding."""


def parse_tags(record: str) -> dict[str, str]:
    """Returns the tags of a DMARC or DKIM record. For duplicate names, the first counts."""
    found: dict[str, str] = {}
    for tag in record.split(";"):
        name, equals, value = tag.partition("=")
        if equals:
            found.setdefault(name.strip().lower(), value.strip())
    return found


def quoted(text: str) -> str:
    """Quotes a record or part of one safely: on one line, no control characters, truncated."""
    return f"“{cut(clean(text), MAX_WIDTH)}”"
