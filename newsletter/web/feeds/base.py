"""What all feeds share: the data model, the writer interface, and text that is valid in XML."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree import ElementTree

ATOM = "http://www.w3.org/2005/Atom"
"""The namespace of Atom. RSS uses its `link`."""

_LINE_END = re.compile("\r\n?")
_UNHOLDABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Item:
    """A paper or an edition as an item of a feed.

    Attributes:
        id: a permanent, unique `tag:` URI or URL. Feed readers recognise new items by it.
        title: the title as text, never HTML.
        url: the page of the item, or `None` if it has none.
        html: the body as HTML, with absolute URLs only.
        text: the same body as text.
        authors: the names of the authors.
        published: when the item first appeared in the feed, aware.
        updated: when the item last changed, aware.
        categories: terms such as `cs.LG`.
    """

    id: str
    title: str
    url: str | None
    html: str
    text: str
    authors: tuple[str, ...]
    published: datetime
    updated: datetime
    categories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed.

    Attributes:
        title: the name of the feed, as text.
        home_url: the web page with the same content.
        feed_url: the URL of the feed, which is also its id.
        language: a language tag as in HTML, such as `en`; empty if unknown.
        updated: when anything in the feed last changed, aware.
        author: the publisher, also of items without authors.
        items: the items in the order in which they are written, usually the newest first.
    """

    title: str
    home_url: str
    feed_url: str
    language: str
    updated: datetime
    author: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Writer:
    """A feed format.

    Attributes:
        media_type: the media type, for the Content-Type header and for links to the feed.
        write: serialises a feed as UTF-8, deterministically.
            Raises `ValueError` for a time without a time zone.
    """

    media_type: str
    write: Callable[[Feed], bytes]


def holdable(text: str) -> str:
    """Returns text that is valid in XML: line ends as `\\n`, forbidden characters as U+FFFD."""
    return _UNHOLDABLE.sub("\ufffd", _LINE_END.sub("\n", text))


def in_utc(moment: datetime) -> datetime:
    """Returns the same instant in UTC.

    Raises:
        ValueError: the time has no time zone, so the instant is ambiguous.
    """
    if moment.utcoffset() is None:
        raise ValueError(f"a time in a feed needs a zone: {moment}")
    return moment.astimezone(UTC)


def instant(moment: datetime) -> str:
    """Formats an instant as in RFC 3339, in UTC and whole seconds.

    Raises:
        ValueError: the time has no time zone.
    """
    return in_utc(moment).isoformat(timespec="seconds").replace("+00:00", "Z")


def add(
    parent: ElementTree.Element, name: str, text: str = "", /, **attributes: str
) -> ElementTree.Element:
    """Appends a child to `parent` and returns it. Makes text and attributes valid in XML."""
    held = {key: holdable(value) for key, value in attributes.items()}
    child = ElementTree.SubElement(parent, name, held)
    child.text = holdable(text)
    return child


def document(root: ElementTree.Element) -> bytes:
    """Serialises an XML document as UTF-8 with a declaration, one line per element."""
    ElementTree.indent(root, " ")
    data: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return data + b"\n"
