"""Feeds of papers and editions, for feed readers. Pure.

`base` has what all feeds share; `atom`, `rss` and `json_feed` write one format each. To add a
format, write a module here with a `WRITER`, and add it to `FEEDS`.
"""

from __future__ import annotations

from collections.abc import Mapping

from newsletter.web.feeds import atom, json_feed, rss
from newsletter.web.feeds.base import Feed, Item, Writer

__all__ = ["FEEDS", "Feed", "Item", "Writer"]

FEEDS: Mapping[str, Writer] = {
    "xml": atom.WRITER,
    "rss": rss.WRITER,
    "json": json_feed.WRITER,
}
"""The writers by the suffix of the feed's URL."""
