"""The daily lists of arXiv: RSS and Atom of rss.arxiv.org, and RSS as it was before 2024.

Each item has an announce type: `new` and `cross` are papers of the day, `replace` and
`replace-cross` are new versions of older ones. On weekends a list has no items.
"""

from __future__ import annotations

import re
from datetime import date

from newsletter.formats import feed_reader, markup, xml_text
from newsletter.formats.base import Credit, Document, Format
from newsletter.formats.feed_reader import Item
from newsletter.models import Paper, Snapshot
from newsletter.text import urls
from newsletter.text.clean import clean, clean_or_none
from newsletter.text.counted import plural

NAME = "arxiv-feed"
CREDIT = Credit(
    "arXiv; thank you to arXiv for use of its open access interoperability", "https://arxiv.org"
)
PAPER_PAGE = "https://arxiv.org/abs/"

_SIGN = re.compile(
    r"updates on (?:the )?arXiv\.org|https?://rss\.arxiv\.org/(?:rss|atom)/"
    r"|https?://(?:export\.)?arxiv\.org/rss/|arXiv:\S{9,20} Announce Type: "
)
_PREFIX = re.compile(
    r"\s*arXiv:(?P<id>\S+?)(?:v\d+)?\s+Announce Type:\s*(?P<type>[\w-]+)\s+Abstract:\s*"
)
_SUFFIX = re.compile(
    r"(?:(?<=.)\.)?\s*\(arXiv:(?P<id>[^\s\[\]()]+?)(?:v\d+)?(?: \[[\w.-]+\])?"
    r"(?P<type>(?: [A-Z]+)*)\)\s*$"
)

_HTML = re.compile(r"^\s*<p>|</a>")


def recognise(document: Document) -> str | None:
    """Recognises a feed whose title, links or items are those of arXiv announcements."""
    head = xml_text.head(document)
    listed = feed_reader.is_feed(head) and _SIGN.search(head) is not None
    return "a feed of arXiv announcements" if listed else None


def parse(document: Document) -> Snapshot:
    """Parses the items, in order. Their day is that of the announcement, in its own time zone."""
    feed = feed_reader.read(document)
    day = _day(feed.about)
    papers = tuple(paper for item in feed.items if (paper := _paper(item, day)))
    notes = list(feed.notes)
    if missing := len(feed.items) - len(papers):
        notes.append(f"{missing} of {len(feed.items)} items had no title and were left out")
    if again := sum(paper.revision for paper in papers):
        notes.append(f"{again} of {plural(len(papers), 'item')} are new versions of older papers")
    return Snapshot(NAME, papers, tuple(notes), feed.doubts)


def _paper(item: Item, day: date | None) -> Paper | None:
    title = clean_or_none(item.get("title")) or ""
    suffix = _SUFFIX.search(title)
    body, _ = feed_reader.body_of(item)
    body = markup.text_of(body) if _HTML.search(body) else clean(body)
    prefix = _PREFIX.match(body)
    found = _id(item, prefix, suffix)
    title = title[: suffix.start()].rstrip() if suffix else title
    if not title:
        return None
    return Paper(
        title=title,
        abstract=(body[prefix.end() :] if prefix else body) or None,
        authors=_authors(item),
        arxiv_id=found,
        url=PAPER_PAGE + found if found else feed_reader.link_of(item, {}),
        categories=feed_reader.categories_of(item),
        listed_on=_day(item) or day,
        revision=_is_revision(item, prefix, suffix),
    )


def _id(item: Item, *said: re.Match[str] | None) -> str | None:
    values = [item.get("id"), item.get("link"), *(match["id"] for match in said if match)]
    return next((found for value in values if value and (found := urls.arxiv_id(value))), None)


def _is_revision(item: Item, prefix: re.Match[str] | None, suffix: re.Match[str] | None) -> bool:
    """Returns whether an item is a new version, according to any of the three places for that."""
    kind = next((str(item[name]) for name in item if name.endswith("announce_type")), "")
    kind = kind or (prefix["type"] if prefix else "")
    return kind.startswith("replace") or bool(suffix and "UPDATED" in suffix["type"])


def _authors(item: Item) -> tuple[str, ...]:
    """Splits the names, which arXiv writes as one string, formerly with a link around each."""
    names = markup.text_of(", ".join(feed_reader.names_of(item))).split(",")
    return tuple(name.strip() for name in names if name.strip())


def _day(part: Item) -> date | None:
    listed = feed_reader.moment(part, "published", "updated")
    return listed.date() if listed else None


FORMAT = Format(NAME, recognise, parse, CREDIT)
