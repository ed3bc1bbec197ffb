"""Any other feed: RSS, Atom, RSS 1.0.

Feeds generated from the Daily Papers page have authors, votes and abstract as labelled paragraphs
in the description; they are found by their labels.
"""

from __future__ import annotations

import re
from datetime import date, datetime

from newsletter.errors import SnapshotUnreadable
from newsletter.formats import feed_reader, markup, xml_text
from newsletter.formats.base import Document, Format
from newsletter.formats.feed_reader import Item, ParsedFeed
from newsletter.models import Paper, Snapshot
from newsletter.text import urls
from newsletter.text.clean import clean_or_none, cut
from newsletter.text.counted import plural

NAME = "feed"
OPENING = 80
"""Columns of the text that replace a missing title."""
_LABELLED = re.compile(
    r"\s*(?:<p\b[^<>]*>\s*)?<(b|strong)>\s*(Authors|Upvotes|Summary|Abstract):\s*</\1>\s*",
    re.IGNORECASE,
)


def recognise(document: Document) -> str | None:
    """Recognises a document that begins like RSS or Atom."""
    return "an RSS or Atom feed" if feed_reader.is_feed(xml_text.head(document)) else None


def parse(document: Document) -> Snapshot:
    """Parses the items, in order.

    The time of an item is when the paper was published. Only if all items have the same time, it
    is the day of the list.
    """
    feed = feed_reader.read(document)
    times = [feed_reader.moment(item, "published", "updated") for item in feed.items]
    listed = _shared(times)
    papers = [
        paper
        for item, time in zip(feed.items, times, strict=True)
        if (paper := _paper(item, feed, None if listed else time, listed))
    ]
    if feed.items and not papers:
        raise SnapshotUnreadable(
            f"none of the {len(feed.items)} items has a title or a text",
            hint="is it the right address?",
        )
    return Snapshot(NAME, tuple(papers), _notes(feed, papers, listed), feed.doubts)


def _notes(feed: ParsedFeed, papers: list[Paper], listed: date | None) -> tuple[str, ...]:
    notes = list(feed.notes)
    if missing := len(feed.items) - len(papers):
        notes.append(f"{missing} of {len(feed.items)} items had neither title nor text")
    if bare := sum(paper.abstract is None for paper in papers):
        notes.append(f"{bare} of {plural(len(papers), 'paper')} came without an abstract")
    if listed:
        notes.append(f"all items carry the same time: {listed} is taken as the day of the list")
    return tuple(notes)


def _shared(times: list[datetime | None]) -> date | None:
    first = times[0] if len(times) > 1 else None
    return first.date() if first and all(time == first for time in times) else None


def _paper(
    item: Item, feed: ParsedFeed, time: datetime | None, listed: date | None
) -> Paper | None:
    body, kind = feed_reader.body_of(item)
    labelled = _labelled(body)
    text = labelled.get("summary") or labelled.get("abstract")
    abstract = text or markup.text_of(body, plain=feed_reader.is_text(feed, kind)) or None
    plain = feed_reader.is_text(feed, feed_reader.title_type(item))
    title = feed_reader.title_of(item, plain=plain) or (abstract and cut(abstract, OPENING))
    if not title:
        return None
    authors = labelled.get("authors")
    url = feed_reader.link_of(item, feed.about)
    return Paper(
        title=title,
        abstract=abstract if abstract != title else None,
        authors=feed_reader.names_in(authors) if authors else feed_reader.authors_of(item),
        arxiv_id=_arxiv_id(item, url),
        doi=_doi(item, url),
        openreview_id=urls.openreview_id(url) if url else None,
        url=url,
        categories=feed_reader.categories_of(item),
        published_on=time.date() if time else None,
        upvotes=_count(labelled.get("upvotes")),
        listed_on=listed,
    )


def _labelled(body: str) -> dict[str, str]:
    """Returns the text of paragraphs that begin with a bold label, by label."""
    found: dict[str, str] = {}
    for paragraph in body.split("</p>") if ":</" in body else ():
        if match := _LABELLED.match(paragraph):
            text = markup.text_of(paragraph[match.end() :] + "</p>")
            found.setdefault(match[2].lower(), text)
    return found


def _arxiv_id(item: Item, url: str | None) -> str | None:
    for value in (url, item.get("id")):
        if isinstance(value, str) and (found := urls.arxiv_id(value)):
            return found
    return None


def _doi(item: Item, url: str | None) -> str | None:
    for value in (item.get("prism_doi"), item.get("dc_identifier"), item.get("arxiv_doi"), url):
        if (text := clean_or_none(value)) and (found := urls.doi(text)):
            return found
    return None


def _count(value: str | None) -> int | None:
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 8 else None


FORMAT = Format(NAME, recognise, parse)
