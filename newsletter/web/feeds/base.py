"""What every feed shares: its values, the shape of a writer, and text that XML can hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree import ElementTree

ATOM = "http://www.w3.org/2005/Atom"
"""The namespace of Atom, whose `link` RSS borrows."""

_LINE_END = re.compile("\r\n?")
_UNHOLDABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Item:
    """A paper or an edition as a line of a feed.

    Attributes:
        id: a whole `tag:` URI or address, its own and for ever: readers know by it what is new.
        title: text, never HTML.
        url: its page; `None` where it has none.
        html: the body, with absolute addresses only.
        text: the same body as text.
        authors: their names.
        published: when it first stood in the feed, with a zone.
        updated: when it last changed, with a zone.
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
    """A feed with its items in the order in which they are written.

    Attributes:
        title: its name, as text.
        home_url: the page that shows the same.
        feed_url: its own address, which is also its id.
        language: as in HTML, such as `en`; empty where nobody said.
        updated: when anything in it last changed, with a zone.
        author: who makes it; also stands for items that name nobody.
        items: the newest first, if readers should see them so.
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
    """One way to write a feed.

    Attributes:
        media_type: for the Content-Type header and for links to the feed.
        write: the feed as UTF-8, the same bytes for the same feed.
            Raises `ValueError` for a time without a zone.
    """

    media_type: str
    write: Callable[[Feed], bytes]


def holdable(text: str) -> str:
    """The text as XML gives it back: line ends as `\\n`, what it cannot hold as U+FFFD."""
    return _UNHOLDABLE.sub("\ufffd", _LINE_END.sub("\n", text))


def in_utc(moment: datetime) -> datetime:
    """The same instant in UTC.

    Raises:
        ValueError: it has no zone, so that nobody knows which instant it is.
    """
    if moment.utcoffset() is None:
        raise ValueError(f"a time in a feed needs a zone: {moment}")
    return moment.astimezone(UTC)


def instant(moment: datetime) -> str:
    """The instant as RFC 3339 writes it, in UTC and whole seconds.

    Raises:
        ValueError: it has no zone.
    """
    return in_utc(moment).isoformat(timespec="seconds").replace("+00:00", "Z")


def add(
    parent: ElementTree.Element, name: str, text: str = "", /, **attributes: str
) -> ElementTree.Element:
    """A new last child of `parent`; text and attributes are made such that XML can hold them."""
    held = {key: holdable(value) for key, value in attributes.items()}
    child = ElementTree.SubElement(parent, name, held)
    child.text = holdable(text)
    return child


def document(root: ElementTree.Element) -> bytes:
    """The XML document with this root, as UTF-8 with a declaration, a line for each element."""
    ElementTree.indent(root, " ")
    data: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return data + b"\n"
