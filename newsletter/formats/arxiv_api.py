"""The answers of the arXiv API: Atom with one entry for each paper, in its newest version."""

from __future__ import annotations

import re

from newsletter.errors import SnapshotUnreadable
from newsletter.formats import arxiv_feed, feed_reader, xml_text
from newsletter.formats.base import Document, Format
from newsletter.formats.feed_reader import Item
from newsletter.models import Paper, Snapshot
from newsletter.text import urls
from newsletter.text.clean import clean_or_none

NAME = "arxiv-api"
_SIGN = re.compile(r"<id>\s*https?://(?:export\.)?arxiv\.org/(?:api/[^<]*)?</id>", re.IGNORECASE)
_QUERY = re.compile(r"<title[^<>]*>\s*(?:arXiv|ArXiv) (?:Query|Search Results)\b")
_ERROR = re.compile(r"https?://(?:export\.)?arxiv\.org/api/errors")


def recognise(document: Document) -> str | None:
    """Recognises an Atom feed that answers an arXiv query."""
    head = xml_text.head(document)
    answer = _SIGN.search(head) or _QUERY.search(head)
    return "an answer of the arXiv API" if answer and feed_reader.is_feed(head) else None


def parse(document: Document) -> Snapshot:
    """Parses the entries, in order. They have no listing day.

    Raises:
        SnapshotUnreadable: the response is an error, which arXiv sends as an entry.
    """
    feed = feed_reader.read(document)
    for item in feed.items:
        if _ERROR.match(str(item.get("id") or "")):
            said = clean_or_none(feed_reader.body_of(item)[0]) or "without a word"
            raise SnapshotUnreadable(
                f"arXiv answered with an error (“{said[:120]}”)", hint="correct the query"
            )
    papers = tuple(paper for item in feed.items if (paper := _paper(item)))
    notes = list(feed.notes)
    if missing := len(feed.items) - len(papers):
        notes.append(f"{missing} of {len(feed.items)} entries had no title and were left out")
    return Snapshot(NAME, papers, tuple(notes), feed.doubts)


def _paper(item: Item) -> Paper | None:
    title = clean_or_none(item.get("title"))
    if not title:
        return None
    link = str(item.get("link") or "")
    found = urls.arxiv_id(str(item.get("id") or "")) or urls.arxiv_id(link)
    published = feed_reader.moment(item, "published")
    return Paper(
        title=title,
        abstract=clean_or_none(feed_reader.body_of(item)[0]),
        authors=feed_reader.names_of(item),
        arxiv_id=found,
        doi=urls.doi(str(item.get("arxiv_doi") or "")),
        url=arxiv_feed.PAPER_PAGE + found if found else feed_reader.link_of(item, {}),
        pdf_url=_pdf(item),
        categories=feed_reader.categories_of(item),
        published_on=published.date() if published else None,
    )


def _pdf(item: Item) -> str | None:
    related = (link for link in item.get("links") or () if link.get("type") == "application/pdf")
    return next((clean_or_none(link.get("href")) for link in related), None)


FORMAT = Format(NAME, recognise, parse, arxiv_feed.CREDIT)
