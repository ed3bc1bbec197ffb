"""The Daily Papers page, read from the JSON it carries in an attribute `data-props`.

That list has kept its structure since 2024, while the cards change with every redesign. It is
found in any element, regardless of its class or target. If it cannot be used, the cards are read
instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from newsletter.errors import SnapshotUnreadable
from newsletter.formats import daily_papers_cards, hugging_face
from newsletter.formats.base import Document, Format, iso_day, load_json
from newsletter.models import Snapshot

NAME = "daily-papers-html"
_ATTRIBUTE = "data-props"
_KEY = "dailyPapers"


def recognise(document: Document) -> str | None:
    """Recognises a web page with a list of daily papers in a `data-props`."""
    if not document.is_html or _ATTRIBUTE not in document.text:
        return None
    marked = _KEY in document.text or 'data-target="DailyPapers"' in document.text
    return "a web page with Daily Papers in data-props" if marked else None


def parse(document: Document) -> Snapshot:
    """Parses the rows of the first `data-props` that has them, in page order, or else the cards.

    The day of the page is used for rows without one, if the page is of a single day.
    """
    try:
        props = _props(document)
    except SnapshotUnreadable:
        if daily_papers_cards.recognise(document):
            return daily_papers_cards.parse(document)
        raise
    return hugging_face.snapshot_of(NAME, props[_KEY], _day(props))


def _props(document: Document) -> Mapping[str, Any]:
    from newsletter.formats import web_page  # slow to import

    page = web_page.strained(document.text, _wanted, texts=False)
    for element in page.soup.find_all(True):
        props = load_json(str(element[_ATTRIBUTE]), "the list in the page")
        if isinstance(props, Mapping) and isinstance(props.get(_KEY), list):
            return props
    raise SnapshotUnreadable(
        "a Daily Papers page in which no list of papers was found",
        hint="it may be cut short, or changed: capture it again, or look at it",
    )


def _wanted(_tag: str, attributes: Mapping[str, str]) -> dict[str, str] | None:
    value = attributes.get(_ATTRIBUTE, "")
    return {_ATTRIBUTE: value} if _KEY in value else None


def _day(props: Mapping[str, Any]) -> date | None:
    if props.get("periodType", "day") != "day":
        return None
    return iso_day(props.get("date")) or iso_day(props.get("dateString"))


FORMAT = Format(NAME, recognise, parse, hugging_face.CREDIT)
