"""Papers and editions as feeds, for readers that ask for news by themselves. Pure: values in,
bytes out. `base` has what all share, `atom`, `rss` and `json_feed` one way of writing each; to add
one, write a module here with a `WRITER` and put its line into `FEEDS`.
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
"""Every way to write a feed, by the ending of its address."""
