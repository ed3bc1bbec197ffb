"""JSON Feed 1.1, for programs that prefer JSON to XML."""

from __future__ import annotations

import json
from typing import Any

from newsletter.web.feeds.base import Feed, Item, Writer, holdable, instant

MEDIA_TYPE = "application/feed+json"
_VERSION = "https://jsonfeed.org/version/1.1"


def write(feed: Feed) -> bytes:
    """Writes a feed as JSON. Unknown values are left out.

    Raises:
        ValueError: a time in the feed has no time zone.
    """
    values = {
        "version": _VERSION,
        "title": holdable(feed.title),
        "home_page_url": holdable(feed.home_url),
        "feed_url": holdable(feed.feed_url),
        **_said("language", holdable(feed.language)),
        **_said("authors", _people((feed.author,) if feed.author else ())),
        "items": [_item(item) for item in feed.items],
    }
    return json.dumps(values, ensure_ascii=False, indent=1).encode() + b"\n"


def _item(item: Item) -> dict[str, Any]:
    return {
        "id": holdable(item.id),
        **_said("url", holdable(item.url or "")),
        "title": holdable(item.title),
        "content_html": holdable(item.html),
        "content_text": holdable(item.text),
        "date_published": instant(item.published),
        "date_modified": instant(item.updated),
        **_said("authors", _people(item.authors)),
        **_said("tags", [holdable(term) for term in item.categories]),
    }


def _people(names: tuple[str, ...]) -> list[dict[str, str]]:
    return [{"name": holdable(name)} for name in names]


def _said(name: str, value: str | list[Any]) -> dict[str, Any]:
    return {name: value} if value else {}


WRITER = Writer(MEDIA_TYPE, write)
