"""JSON Feed 1.0 and 1.1, and later versions with the same items."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from newsletter.errors import SnapshotUnreadable
from newsletter.formats import markup
from newsletter.formats.base import Document, Format, iso_day
from newsletter.models import Paper, Snapshot
from newsletter.text import urls
from newsletter.text.clean import clean_or_none, cut

NAME = "json-feed"
OPENING = 80
"""Columns of the text that replace a missing title."""
_VERSION = re.compile(r'"version"\s*:\s*"https?:\\?/\\?/jsonfeed\.org\\?/version\\?/')
_KNOWN = ("1", "1.1")


def recognise(document: Document) -> str | None:
    """Recognises a JSON object whose `version` is that of a JSON Feed."""
    text = document.text
    found = text[:4096].lstrip().startswith("{") and _VERSION.search(text)
    return "a JSON Feed" if found else None


def parse(document: Document) -> Snapshot:
    """Parses the items, in order.

    Raises:
        SnapshotUnreadable: it is not a valid JSON Feed.
    """
    feed = document.json
    items = _items(feed)
    papers = tuple(paper for item in items if (paper := _paper(item, feed)))
    if items and not papers:
        raise SnapshotUnreadable(
            f"none of the {len(items)} items has a title or a text",
            hint="is it the right address?",
        )
    version, notes = str(feed["version"]).rstrip("/").rpartition("/")[2], []
    if version not in _KNOWN:
        notes.append(f"JSON Feed of a version we do not know ({version[:20]}); its items were read")
    if missing := len(items) - len(papers):
        notes.append(f"{missing} of {len(items)} items had neither title nor text")
    return Snapshot(NAME, papers, tuple(notes))


def _items(feed: object) -> list[Mapping[str, Any]]:
    if not isinstance(feed, Mapping) or not isinstance(feed.get("version"), str):
        raise SnapshotUnreadable("the JSON is no JSON Feed", hint="is it the right address?")
    for name in ("title", "home_page_url", "feed_url"):
        if not isinstance(feed.get(name), str | None):
            raise SnapshotUnreadable(f"not a valid JSON Feed: {name} is no text", hint="look at it")
    items = feed.get("items")
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise SnapshotUnreadable("not a valid JSON Feed: no list of items", hint="look at it")
    return items


def _paper(item: Mapping[str, Any], feed: Mapping[str, Any]) -> Paper | None:
    abstract = _abstract(item)
    title = markup.text_of(_string(item, "title"), plain=True) or (
        cut(abstract, OPENING) if abstract else ""
    )
    if not title:
        return None
    url = _url(item, feed)
    return Paper(
        title=title,
        abstract=abstract if abstract != title else None,
        authors=_authors(item),
        arxiv_id=_first(urls.arxiv_id, url, item),
        doi=_first(urls.doi, url, item),
        openreview_id=urls.openreview_id(url) if url else None,
        url=url,
        categories=_tags(item),
        published_on=_published(item),
    )


def _abstract(item: Mapping[str, Any]) -> str | None:
    html = _string(item, "content_html")
    plain = _string(item, "summary") or ("" if html else _string(item, "content_text"))
    return (clean_or_none(plain) if plain else markup.text_of(html)) or None


def _authors(item: Mapping[str, Any]) -> tuple[str, ...]:
    people = item.get("authors") or [item.get("author")]
    found = people if isinstance(people, list) else []
    names = (clean_or_none(who.get("name")) for who in found if isinstance(who, Mapping))
    return tuple(name for name in names if name)


def _tags(item: Mapping[str, Any]) -> tuple[str, ...]:
    tags = item.get("tags")
    terms = [clean_or_none(tag) for tag in tags] if isinstance(tags, list) else []
    return tuple(dict.fromkeys(term for term in terms if term))


def _url(item: Mapping[str, Any], feed: Mapping[str, Any]) -> str | None:
    link = _string(item, "url") or _string(item, "external_url")
    base = _string(feed, "home_page_url") or _string(feed, "feed_url")
    url = (urls.joined(base, link) if link else _string(item, "id")) or ""
    return clean_or_none(url) if url.startswith(("http://", "https://")) else None


def _first(kind: Any, url: str | None, item: Mapping[str, Any]) -> str | None:
    values = (url, _string(item, "external_url"), _string(item, "id"))
    return next((found for value in values if value and (found := kind(value))), None)


def _published(item: Mapping[str, Any]) -> date | None:
    return iso_day(item.get("date_published"))


def _string(part: Mapping[str, Any], name: str) -> str:
    value = part.get(name)
    return value if isinstance(value, str) else ""


FORMAT = Format(NAME, recognise, parse)
