"""What all feeds share: parses bytes to entries with feedparser, which never fetches here.

The text is decoded, checked and repaired first. feedparser gets bytes in memory, and neither
sanitises nor resolves anything, because what it would remove may be part of a title.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from newsletter.errors import SnapshotUnreadable
from newsletter.formats import markup, xml_text
from newsletter.formats.base import Document
from newsletter.text import urls
from newsletter.text.clean import clean_or_none

Item = Mapping[str, Any]
"""An entry, with feedparser's names for its parts."""

_ROOTS = {
    "rss": re.compile(""),
    "feed": re.compile(r"http://(?:www\.w3\.org/2005/Atom|purl\.org/atom)"),
    "RDF": re.compile(r"http://(?:purl\.org/(?:rss|net/rss)|(?:my|channel)\.netscape\.com)"),
}
_END = re.compile(r"</(?:[\w.-]+:)?(?:rss|feed|RDF)\s*>")
_ITEM_END = re.compile(r"</(?:[\w.-]+:)?(?:item|entry)\s*>", re.IGNORECASE)
_NO_TAG = re.compile(r"<(?![A-Za-z_/!?])|<(?=/(?![A-Za-z_]))")
_MOST_LINKS = 5
_INITIALS = re.compile(r"(?:[^\W\d_]\.[ -]?)+")
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class ParsedFeed:
    """A parsed feed: its metadata, its entries, and notes on the parsing.

    Atom declares which text is HTML; RSS does not.
    """

    about: Item
    items: list[Item]
    atom: bool = False
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def is_feed(head: str) -> bool:
    """Returns whether a document begins like RSS, Atom or RSS 1.0."""
    name = xml_text.root(head)
    sign = _ROOTS.get(name.rpartition(":")[2]) if name else None
    return sign is not None and sign.search(head) is not None


def read(document: Document) -> ParsedFeed:
    """Parses the feed in a document.

    Raises:
        SnapshotUnreadable: it is not a feed, ends before the first entry is complete, or is
            harmful.
    """
    text, notes = xml_text.decoded(document.data), list[str]()
    xml_text.refuse_harm(text)
    fault = xml_text.fault(text)
    if fault and _ILLEGAL.search(text):
        text = _ILLEGAL.sub(lambda found: " " if found[0] < " " else "\ufffd", text)
        notes.append("characters that XML forbids were replaced")
        fault = xml_text.fault(text)
    cut = fault is not None and not _has_end(text)
    if fault and not cut:
        notes.append(f"its XML is broken ({fault}); it was read as well as it can be")
    made = _parsed(_NO_TAG.sub("&lt;", text) if fault else text)
    items: list[Item] = [dict(entry) for entry in made.entries]
    version = str(made.version or "")
    if not items and not (version and _has_container(text)):
        raise SnapshotUnreadable("it begins as a feed and is none", hint="capture it again")
    feed = ParsedFeed(dict(made.feeddata), items, version.startswith("atom"), tuple(notes))
    return _without_the_cut(feed, text, fault) if fault and cut else feed


def _has_end(text: str) -> bool:
    """Returns whether the last tag closes the root. Only comments may follow it."""
    end = len(text.rstrip())
    while text.endswith("-->", 0, end) and (start := text.rfind("<!--", 0, end)) >= 0:
        while end > start or (end and text[end - 1].isspace()):
            end = start if end > start else end - 1
    last = text.rfind("<", 0, end)
    return last >= 0 and _END.fullmatch(text, last, end) is not None


def _without_the_cut(feed: ParsedFeed, text: str, fault: str) -> ParsedFeed:
    whole = feed.items[: len(_ITEM_END.findall(text))]
    if not whole:
        raise SnapshotUnreadable(
            f"the feed ends too early ({fault}): the capture was cut", hint="capture it again"
        )
    doubt = f"the feed ends too early ({fault}), after {len(whole)} whole items: it may be cut"
    return dataclasses.replace(feed, items=whole, doubts=(doubt,))


def _parsed(text: str) -> Any:
    from newsletter.formats import linear_feedparser  # slow to import

    try:
        return linear_feedparser.parsed(text)
    except RecursionError:
        raise
    except Exception as exc:
        # If feedparser fails on a feed, the feed is unreadable.
        raise SnapshotUnreadable(
            f"the feed cannot be read: {type(exc).__name__} {str(exc)[:80]}",
            hint="capture it again, or look at it",
        ) from exc


def _has_container(text: str) -> bool:
    return re.search(r"<(?:[\w.-]+:)?(?:channel|feed)\b", text) is not None


def moment(part: Item, *names: str) -> datetime | None:
    """Returns the first of the named times that is valid, in its original time zone."""
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
    """Returns the title as text, or `None`. With `plain`, it is not expected to be HTML."""
    value = item.get("title")
    return markup.text_of(str(value), plain=plain) or None if value else None


def body_of(item: Item) -> tuple[str, str]:
    """Returns the description unchanged, or else the content, and its type."""
    if summary := item.get("summary"):
        return str(summary), _type(item.get("summary_detail"))
    content: Item = next(iter(item.get("content") or ()), {})
    return str(content.get("value") or ""), _type(content)


def is_text(feed: ParsedFeed, kind: str) -> bool:
    """Returns whether a part of that type is text and not HTML, which only Atom declares."""
    return feed.atom and kind == "text/plain"


def title_type(item: Item) -> str:
    """Returns the type of the title."""
    return _type(item.get("title_detail"))


def _type(detail: Item | None) -> str:
    return str((detail or {}).get("type") or "")


def authors_of(item: Item) -> tuple[str, ...]:
    """Returns the names of the authors. A single string of several full names is split."""
    names = names_of(item)
    return names_in(names[0]) if len(names) == 1 else names


def names_of(item: Item) -> tuple[str, ...]:
    """Returns the names of the authors as they are in the feed."""
    people = [person for person in item.get("authors") or () if isinstance(person, Mapping)]
    return tuple(name for person in people if (name := clean_or_none(person.get("name"))))


def names_in(text: str) -> tuple[str, ...]:
    """Splits `Ada Lovelace, Alan Turing` into two names. `Lovelace, Ada` stays one.

    Initials after a comma belong to the name before it: bioRxiv writes `Lovelace, A., Turing, A.`.
    """
    parts = [part for part in (name.strip() for name in text.split(",")) if part]
    if any(map(_INITIALS.fullmatch, parts[1:])):
        return _with_initials(parts)
    several = len(parts) > 2 or all(" " in part for part in parts)
    return tuple(parts) if several else (text,)


def _with_initials(parts: Sequence[str]) -> tuple[str, ...]:
    names: list[str] = []
    open_name = False
    for part in parts:
        if open_name and _INITIALS.fullmatch(part):
            names[-1] = f"{part} {names[-1]}"
            open_name = False
        else:
            names.append(part)
            open_name = True
    return tuple(names)


def categories_of(item: Item) -> tuple[str, ...]:
    """Returns the terms of the categories, without duplicates."""
    terms = (clean_or_none(tag.get("term")) for tag in item.get("tags") or ())
    return tuple(dict.fromkeys(term for term in terms if term))


def link_of(item: Item, feed: Item) -> str | None:
    """Returns the item's URL, made absolute with the feed's own, or `None` if that fails."""
    link = str(item.get("link") or "").strip()
    for base in ("", *_bases(feed)) if link else ():
        url = urls.joined(base, link)
        if url is None:
            return None
        if url.startswith(("http://", "https://")):
            return clean_or_none(url)
    return None


def _bases(feed: Item) -> list[str]:
    first = (feed.get("links") or ())[:_MOST_LINKS]
    own = [link.get("href", "") for link in first if link.get("rel") == "self"]
    return list(dict.fromkeys(str(base) for base in (feed.get("link"), *own) if base))
