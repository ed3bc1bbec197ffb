"""RSS 2.0, for feed readers that support nothing newer.

RSS requires its `author` to be an email address, so names are in `dc:creator`.
"""

from __future__ import annotations

from datetime import datetime
from email.utils import format_datetime
from xml.etree.ElementTree import Element

from newsletter.web.feeds.base import ATOM, Feed, Item, Writer, add, document, in_utc

MEDIA_TYPE = "application/rss+xml"
_DUBLIN_CORE = "http://purl.org/dc/elements/1.1/"


def write(feed: Feed) -> bytes:
    """Writes a feed as RSS.

    Raises:
        ValueError: a time in the feed has no time zone.
    """
    root = Element("rss", {"version": "2.0", "xmlns:atom": ATOM, "xmlns:dc": _DUBLIN_CORE})
    channel = add(root, "channel")
    add(channel, "title", feed.title)
    add(channel, "link", feed.home_url)
    add(channel, "description", feed.title)  # required by RSS
    if feed.language:
        add(channel, "language", feed.language)
    if feed.author:
        add(channel, "dc:creator", feed.author)
    add(channel, "lastBuildDate", _rfc_822(feed.updated))
    add(channel, "atom:link", rel="self", type=MEDIA_TYPE, href=feed.feed_url)
    for item in feed.items:
        _item(channel, item)
    return document(root)


def _item(channel: Element, item: Item) -> None:
    element = add(channel, "item")
    add(element, "title", item.title)
    if item.url:
        add(element, "link", item.url)
    add(element, "guid", item.id, isPermaLink="false")
    add(element, "pubDate", _rfc_822(item.published))
    for name in item.authors:
        add(element, "dc:creator", name)
    for term in item.categories:
        add(element, "category", term)
    add(element, "description", item.html)


def _rfc_822(moment: datetime) -> str:
    return format_datetime(in_utc(moment), usegmt=True)


WRITER = Writer(MEDIA_TYPE, write)
