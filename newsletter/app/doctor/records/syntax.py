"""What the text of records has in common: tag lists, and how a record is quoted. Pure."""

from __future__ import annotations

from newsletter.text.clean import clean, cut

MAX_WIDTH = 160
"""Columns of a quoted record in a finding."""


def parse_tags(record: str) -> dict[str, str]:
    """The tags of a DMARC or DKIM record; of several with one name, the first."""
    found: dict[str, str] = {}
    for tag in record.split(";"):
        name, equals, value = tag.partition("=")
        if equals:
            found.setdefault(name.strip().lower(), value.strip())
    return found


def quoted(text: str) -> str:
    """A record or a part of one, safe to print: on one line, without controls, cut."""
    return f"“{cut(clean(text), MAX_WIDTH)}”"
