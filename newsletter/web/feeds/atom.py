"""Atom 1.0 (RFC 4287), the only feed format that declares which text is HTML."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from newsletter.web.feeds.base import ATOM, Feed, Item, Writer, add, document, holdable, instant

MEDIA_TYPE = "application/atom+xml"


def write(feed: Feed) -> bytes:
    """Writes a feed as Atom.

    Raises:
        ValueError: a time in the feed has no time zone.
    """
    # Prefixes are literal, because ElementTree's table of namespaces is global.
    root = Element("feed", {"xmlns": ATOM})
    if feed.language:
        root.set("xml:lang", holdable(feed.language))
    add(root, "id", feed.feed_url)
    add(root, "title", feed.title, type="text")
    add(root, "updated", instant(feed.updated))
    add(add(root, "author"), "name", feed.author or feed.title)
    add(root, "link", rel="self", type=MEDIA_TYPE, href=feed.feed_url)
    add(root, "link", rel="alternate", type="text/html", href=feed.home_url)
    for item in feed.items:
        _entry(root, item)
    return document(root)


def _entry(root: Element, item: Item) -> None:
    entry = add(root, "entry")
    add(entry, "id", item.id)
    add(entry, "title", item.title, type="text")
    if item.url:
        add(entry, "link", rel="alternate", href=item.url)
    add(entry, "published", instant(item.published))
    add(entry, "updated", instant(item.updated))
    for name in item.authors:
        add(add(entry, "author"), "name", name)
    for term in item.categories:
        add(entry, "category", term=term)
    add(entry, "content", item.html, type="html")


WRITER = Writer(MEDIA_TYPE, write)
