"""The content of the public archive: the latest edition, days, editions, search, feeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from html import escape

from newsletter.editions.build import credits_of
from newsletter.editions.compose import compose
from newsletter.editions.content import Block, Content, Detail
from newsletter.editions.paper_block import alone
from newsletter.models import Entry
from newsletter.storage import archive
from newsletter.storage.archive import Announced, DayCount, PublicEdition
from newsletter.storage.database import Database
from newsletter.web.feeds import Feed, Item

FOUND = 25
"""Papers on a page of search results."""
LISTED = 40
"""Days, or editions, on a page of the archive."""
IN_FEED = 50
"""Papers, or editions, in a feed."""
_EXCERPTS = 500
_FOUND_EXCERPT = 300  # characters
_DETAIL = Detail(_EXCERPTS, lead=600, excerpt=400)


@dataclass(frozen=True, slots=True)
class EditionPage:
    """An edition as a page."""

    edition: PublicEdition
    content: Content


@dataclass(frozen=True, slots=True)
class SearchResults:
    """Results of a search.

    Attributes:
        blocks: the papers found.
        before: the `before` of the next page of results; 0 if this is the last page.
    """

    blocks: tuple[Block, ...]
    before: int


@dataclass(frozen=True, slots=True)
class DayPage:
    """A day as a page."""

    content: Content
    previous: date | None
    following: date | None


class ArchiveReader:
    """Reads the archive. Changes nothing.

    Args:
        database: the installation's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def stamp(self) -> tuple[int, ...]:
        """Returns a value that differs whenever the content of any page may have changed."""
        with self._database.read() as tx:
            return archive.stamp(tx)

    def latest(self) -> EditionPage | None:
        """Returns the latest public edition, or `None` if there is none."""
        with self._database.read() as tx:
            found = archive.latest_edition(tx)
            entries = archive.edition_entries(tx, found.key) if found else []
        return EditionPage(found, _content(entries)) if found and entries else None

    def edition(self, key: str) -> EditionPage | None:
        """Returns the edition with this key and all of its papers, or `None`."""
        with self._database.read() as tx:
            found = archive.edition(tx, key)
            entries = archive.edition_entries(tx, key) if found else []
        return EditionPage(found, _content(entries)) if found and entries else None

    def day(self, day: date) -> DayPage | None:
        """Returns the papers announced for a day, or `None` if there are none."""
        with self._database.read() as tx:
            entries = archive.day_entries(tx, day)
            previous, following = archive.neighbours(tx, day)
        return DayPage(_content(entries), previous, following) if entries else None

    def days(self, before: date | None = None) -> list[DayCount]:
        """Returns days with papers, newest first: one more than fits a page, if there are more."""
        with self._database.read() as tx:
            return archive.days(tx, LISTED + 1, before)

    def editions(self, before: int | None = None) -> list[PublicEdition]:
        """Returns public editions, newest first."""
        with self._database.read() as tx:
            return archive.editions(tx, LISTED, before)

    def search(self, words: str, before: int | None = None) -> SearchResults:
        """Returns papers that contain all of these words, newest first."""
        with self._database.read() as tx:
            entries = archive.search(tx, words, FOUND + 1, before)
        shown = entries[:FOUND]
        more = shown[-1].position if len(entries) > FOUND else 0
        return SearchResults(tuple(alone(one.paper, _FOUND_EXCERPT) for one in shown), more)

    def papers_feed(self, about: Feed, tag: str) -> Feed:
        """Returns a feed of the newest papers.

        Args:
            about: the feed without its items.
            tag: the prefix of the items' ids.
        """
        with self._database.read() as tx:
            newest = archive.latest(tx, IN_FEED)
        items = tuple(_paper_item(one, tag) for one in newest)
        return _filled(about, items)

    def editions_feed(self, about: Feed, tag: str, address: Callable[[str], str]) -> Feed:
        """Returns a feed of the newest editions.

        Args:
            about: the feed without its items.
            tag: the prefix of the items' ids.
            address: returns the URL of an edition's page from its key.
        """
        with self._database.read() as tx:
            newest = archive.editions(tx, IN_FEED // 2)
            contents = [(one, _content(archive.edition_entries(tx, one.key))) for one in newest]
        items = tuple(_edition_item(*one, tag, address) for one in contents)
        return _filled(about, items)


def _content(entries: Sequence[Entry]) -> Content:
    return compose(entries, _DETAIL, credits_of(entries))


def _filled(about: Feed, items: tuple[Item, ...]) -> Feed:
    updated = max((one.updated for one in items), default=about.updated)
    return Feed(
        title=about.title,
        home_url=about.home_url,
        feed_url=about.feed_url,
        language=about.language,
        updated=updated,
        author=about.author,
        items=items,
    )


def _paper_item(one: Announced, tag: str) -> Item:
    paper = one.entry.paper
    block = alone(paper, _DETAIL.lead)
    return Item(
        id=f"{tag}:paper:{one.entry.position}",
        title=block.title,
        url=block.url,
        html=f"<p>{escape(block.excerpt)}</p>" if block.excerpt else "",
        text=block.excerpt,
        authors=paper.authors,
        published=one.at,
        updated=one.at,
        categories=paper.categories,
    )


def _edition_item(
    edition: PublicEdition, content: Content, tag: str, address: Callable[[str], str]
) -> Item:
    lines = [(block.title, block.url) for block in content.blocks]
    rows = "".join(
        f'<li><a href="{escape(url)}">{escape(title)}</a></li>'
        if url
        else f"<li>{escape(title)}</li>"
        for title, url in lines
    )
    at: datetime = edition.frozen_at
    return Item(
        id=f"{tag}:edition:{edition.key}",
        title=edition.subject,
        url=address(edition.key),
        html=f"<ol>{rows}</ol>",
        text="\n".join(title for title, _ in lines),
        authors=(),
        published=at,
        updated=at,
        categories=(),
    )
