"""The Daily Papers page, read from the JSON it carries in an attribute `data-props`.

That list has been the same since 2024, while the cards beside it change with every
redesign; it is found in any element, whatever its class or target.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from html.parser import HTMLParser
from typing import Any

from newsletter.errors import SnapshotUnreadable
from newsletter.formats import hugging_face
from newsletter.formats.base import Document, Format, iso_day, load_json
from newsletter.models import Snapshot

NAME = "daily-papers-html"
_KEY = "dailyPapers"


def recognise(document: Document) -> str | None:
    """A web page in which some `data-props` names a list of daily papers."""
    if not document.is_html or "data-props" not in document.text:
        return None
    marked = _KEY in document.text or 'data-target="DailyPapers"' in document.text
    return "a web page with Daily Papers in data-props" if marked else None


def parse(document: Document) -> Snapshot:
    """The rows of the first `data-props` that has them, in page order.

    The page's own day is used for rows without one, if the page shows one day.
    """
    props = _props(document)
    rows = props[_KEY]
    if not isinstance(rows, list):
        raise SnapshotUnreadable(f"{_KEY} in the page is no list", hint="capture it again")
    return hugging_face.snapshot_of(NAME, rows, _day(props))


class _Page(HTMLParser):
    """Collects every `data-props` that names a list: no tree is needed for that."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.props: list[str] = []

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Looks at the attributes of one element."""
        self.props += [value for name, value in attrs if name == "data-props" and value]


def _props(document: Document) -> Mapping[str, Any]:
    page = _Page()
    try:
        page.feed(document.text)
        page.close()
    except AssertionError as exc:  # how html.parser says that it is no HTML
        raise SnapshotUnreadable("the page is no HTML", hint="capture it again") from exc
    for value in page.props:
        if _KEY in value:
            props = load_json(value, "the list in the page")
            if isinstance(props, Mapping) and _KEY in props:
                return props
    raise SnapshotUnreadable(
        "a Daily Papers page in which no list of papers was found",
        hint="it may be cut short, or changed: capture it again, or look at it",
    )


def _day(props: Mapping[str, Any]) -> date | None:
    if props.get("periodType", "day") != "day":
        return None
    return iso_day(props.get("date")) or iso_day(props.get("dateString"))


FORMAT = Format(NAME, recognise, parse, hugging_face.CREDIT)
