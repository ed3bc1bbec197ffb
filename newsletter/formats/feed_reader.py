"""What all feeds share: bytes to entries, by feedparser, which here never fetches.

The text is decoded, checked and mended first; feedparser gets bytes in memory, and
neither sanitises nor resolves anything: what it would remove may be a title.
"""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin

from newsletter.errors import SnapshotUnreadable
from newsletter.formats import markup, xml_text
from newsletter.formats.base import Document
from newsletter.text.clean import clean_or_none

Item = Mapping[str, Any]
"""One entry, with feedparser's names for its parts."""

_ROOTS = {
    "rss": re.compile(""),
    "feed": re.compile(r"http://(?:www\.w3\.org/2005/Atom|purl\.org/atom)"),
    "RDF": re.compile(r"http://(?:purl\.org/(?:rss|net/rss)|(?:my|channel)\.netscape\.com)"),
}
_END = re.compile(r"</(?:[\w.-]+:)?(?:rss|feed|RDF)\s*>\s*(?:<!--.*?-->\s*)*\Z", re.DOTALL)
_ITEM_END = re.compile(r"</(?:[\w.-]+:)?(?:item|entry)\s*>", re.IGNORECASE)
_NO_TAG = re.compile(r"<(?![A-Za-z_/!?])|<(?=/(?![A-Za-z_]))")
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_HEADERS = {"content-type": "application/xml; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class ParsedFeed:
    """A feed as read: itself, its entries, and what to say about the reading.

    In Atom, text that is HTML says so; in RSS nobody knows.
    """

    about: Item
    items: list[Item]
    atom: bool = False
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def is_feed(head: str) -> bool:
    """Whether a document begins as RSS, Atom or RSS 1.0 does."""
    name = xml_text.root(head)
    sign = _ROOTS.get(name.rpartition(":")[2]) if name else None
    return sign is not None and sign.search(head) is not None


def read(document: Document) -> ParsedFeed:
    """The feed in the document.

    Raises:
        SnapshotUnreadable: it is none, was cut before its first entry, or is harmful.
    """
    text, notes = xml_text.decoded(document.data), list[str]()
    xml_text.refuse_harm(text)
    fault = xml_text.fault(text)
    if fault and _ILLEGAL.search(text):
        text = _ILLEGAL.sub(lambda found: " " if found[0] < " " else "\ufffd", text)
        notes.append("characters that XML forbids were replaced")
        fault = xml_text.fault(text)
    cut = fault is not None and not _END.search(text[-10_000:])
    if fault and not cut:
        notes.append(f"its XML is broken ({fault}); it was read as well as it can be")
    made = _parsed(_NO_TAG.sub("&lt;", text) if fault else text)
    items: list[Item] = [dict(entry) for entry in made.entries]
    version = str(made.get("version") or "")
    if not items and not (version and _has_container(text)):
        raise SnapshotUnreadable("it begins as a feed and is none", hint="capture it again")
    feed = ParsedFeed(dict(made.get("feed") or {}), items, version.startswith("atom"), tuple(notes))
    return _without_the_cut(feed, text, fault) if fault and cut else feed


def _without_the_cut(feed: ParsedFeed, text: str, fault: str) -> ParsedFeed:
    whole = feed.items[: len(_ITEM_END.findall(text))]
    if not whole:
        raise SnapshotUnreadable(
            f"the feed ends too early ({fault}): the capture was cut", hint="capture it again"
        )
    doubt = f"the feed ends too early ({fault}), after {len(whole)} whole items: it may be cut"
    return dataclasses.replace(feed, items=whole, doubts=(doubt,))


def _parsed(text: str) -> Any:
    import feedparser

    data = io.BytesIO(text.encode("utf-8", "replace"))
    try:
        return feedparser.parse(
            data, response_headers=_HEADERS, sanitize_html=False, resolve_relative_uris=False
        )
    except RecursionError:
        raise
    except Exception as exc:
        # A feed that its parser trips over is one we cannot read.
        raise SnapshotUnreadable(
            f"the feed cannot be read: {type(exc).__name__} {str(exc)[:80]}",
            hint="capture it again, or look at it",
        ) from exc


def _has_container(text: str) -> bool:
    return re.search(r"<(?:[\w.-]+:)?(?:channel|feed)\b", text) is not None


def moment(part: Item, *names: str) -> datetime | None:
    """The first of the named times that can be read, in the zone it was written in."""
    for name in names:
        if (value := part.get(name)) and (found := _time(str(value).strip())):
            return found
    return None


def _time(value: str) -> datetime | None:
    if value[:4].isdigit():
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass
    try:
        return parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def title_of(item: Item, *, plain: bool) -> str | None:
    """The title as text, if it has one; `plain` if it should not be HTML."""
    value = item.get("title")
    return markup.text_of(str(value), plain=plain) or None if value else None


def body_of(item: Item) -> tuple[str, str]:
    """The description as the feed has it, else the content, and its type."""
    if summary := item.get("summary"):
        return str(summary), _type(item.get("summary_detail"))
    content: Item = next(iter(item.get("content") or ()), {})
    return str(content.get("value") or ""), _type(content)


def is_text(feed: ParsedFeed, kind: str) -> bool:
    """Whether a part of that type is text and not HTML: only Atom tells."""
    return feed.atom and kind == "text/plain"


def title_type(item: Item) -> str:
    """The type of the title."""
    return _type(item.get("title_detail"))


def _type(detail: Item | None) -> str:
    return str((detail or {}).get("type") or "")


def authors_of(item: Item) -> tuple[str, ...]:
    """The names; one string of several full names is taken apart."""
    names = names_of(item)
    return names_in(names[0]) if len(names) == 1 else names


def names_of(item: Item) -> tuple[str, ...]:
    """The names of its authors, each as the feed has it."""
    people = [person for person in item.get("authors") or () if isinstance(person, Mapping)]
    return tuple(name for person in people if (name := clean_or_none(person.get("name"))))


def names_in(text: str) -> tuple[str, ...]:
    """`Ada Lovelace, Alan Turing` as two names; `Lovelace, Ada` stays one."""
    parts = [part for part in (name.strip() for name in text.split(",")) if part]
    several = len(parts) > 2 or all(" " in part for part in parts)
    return tuple(parts) if several else (text,)


def categories_of(item: Item) -> tuple[str, ...]:
    """The terms of its categories, each once."""
    terms = (clean_or_none(tag.get("term")) for tag in item.get("tags") or ())
    return tuple(dict.fromkeys(term for term in terms if term))


def link_of(item: Item, feed: Item) -> str | None:
    """Its address, made absolute by the feed's own; `None` where that cannot be."""
    link = item.get("link") or ""
    for base in ("", *_bases(feed)):
        try:
            url = urljoin(base, str(link).strip())
        except ValueError:
            return None
        if link and url.startswith(("http://", "https://")):
            return clean_or_none(url)
    return None


def _bases(feed: Item) -> list[str]:
    own = [link.get("href", "") for link in feed.get("links") or () if link.get("rel") == "self"]
    return [str(base) for base in (feed.get("link"), *own) if base]
