"""The Daily Papers page read by its cards, for pages that carry no usable list of papers.

Redesigns change tags and classes, and some show each card twice, but the URLs that cards link to
stay the same. Cards have no abstract: the text they show since 2026 is a machine-written summary,
and is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, cast

from newsletter.errors import SnapshotUnreadable
from newsletter.formats import hugging_face, page_cards
from newsletter.formats.base import Document, Format, iso_day
from newsletter.formats.page_cards import Card, Cards, Piece
from newsletter.models import Snapshot
from newsletter.text.clean import clean
from newsletter.text.counted import plural
from newsletter.text.dates import MONTHS, month_number

if TYPE_CHECKING:
    from bs4 import Tag

    from newsletter.formats.web_page import Page

NAME = "daily-papers-cards"
_CARD = re.compile(
    rf"""href\s*=\s*["']?(?:https?://(?:www\.)?huggingface\.co)?/papers/(?:{page_cards.PAPER_ID})["'\s>]"""
)
_PAGE = re.compile(
    r"<title[^>]{0,200}>[^<]{0,100}\bPapers\b[^<]{0,60}\bHugging Face\b"
    r"|<(?:meta|link)\b[^>]{0,300}huggingface\.co/papers(?:/(?:date|week|month|trending)\b|[\"'?])",
    re.IGNORECASE,
)
_DATED = re.compile(r"/papers(?:/date/|\?date=)(\d{4}-\d\d-\d\d)")
_OTHER_VIEW = re.compile(r"/papers(?:/(?:week|month|trending)\b|\?q=)")
_SHOWN = re.compile(rf"\b({'|'.join(month[:3] for month in MONTHS)})[a-z]* (\d{{1,2}})\b")
_END = re.compile(r"</(?:html|body|main)\b", re.IGNORECASE)
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_BARE = _HEADINGS | {"article", "main"}
_ATTRIBUTES = {
    "a": ("href",),
    "meta": ("property", "content"),
    "link": ("rel", "href"),
    "time": ("datetime",),
}


def recognise(document: Document) -> str | None:
    """Recognises a web page that identifies itself as a papers page and links to papers."""
    if not document.is_html or not _PAGE.search(document.text[:50_000]):
        return None
    return "a web page with cards of papers" if _CARD.search(document.text) else None


def parse(document: Document) -> Snapshot:
    """Parses the cards, in page order, each paper once.

    Raises:
        SnapshotUnreadable: there are no cards.
    """
    from newsletter.formats import web_page  # slow to import

    strained = web_page.strained(document.text, _wanted)
    page = _DailyPapersPage()
    page.read(strained.soup)
    day, notes = _day(page)
    papers = tuple(paper for card in page.cards.all if (paper := card.paper(day)))
    if not papers:
        raise SnapshotUnreadable(
            "a Daily Papers page without cards of papers", hint="capture it again, or look at it"
        )
    bare = sum(paper.abstract is None for paper in papers)
    notes.insert(0, "read by its cards: the page has no list of papers that can be used")
    notes.append(f"{bare} of {plural(len(papers), 'paper')} came without an abstract")
    doubts = tuple(_doubts(document.text, page.cards.all, strained))
    return Snapshot(NAME, papers, tuple(notes), doubts)


def _wanted(tag: str, attributes: Mapping[str, str]) -> dict[str, str] | None:
    """Keeps headings, the bounds of cards, and links, facts and times that say anything."""
    if tag in _BARE:
        return {}
    names = _ATTRIBUTES.get(tag, ())
    return {name: attributes[name] for name in names if name in attributes} or None


def _doubts(html: str, cards: Sequence[Card], page: Page) -> Iterator[str]:
    """Yields a doubt if the page may be cut, and one if a paper that it links to is not read."""
    last = 0
    for link in _CARD.finditer(html):
        last = link.end()
    if not page.whole or not _END.search(html, last):
        yield "the page does not end as a page does; it may be cut"
    hidden = (page_cards.linked_paper(found.get("href", "")) for found in page.hidden)
    ids = dict.fromkeys([*(card.id for card in cards if not card.title), *filter(None, hidden)])
    read = {card.id for card in cards if card.title}
    if missing := [name for name in ids if name and name not in read]:
        what = "1 paper that has" if len(missing) == 1 else f"{len(missing)} papers that have"
        yield f"it links to {what} no card ({', '.join(missing[:3])})"


class _DailyPapersPage:
    """Passes the links and texts of a page to the cards, in order.

    Attributes:
        cards: the cards so far.
        view: the URL that the page declares.
        time: the day of the first `time` element before all cards, if it is complete.
        shown: the texts before the first card.
        dated: the days of other lists that the page links to.
    """

    def __init__(self) -> None:
        self.cards = Cards()
        self.view = ""
        self.time: date | None = None
        self.shown: list[str] = []
        self.dated: list[date] = []
        self._link: str | None = None
        self._text: list[str] = []
        self._heading = False

    def read(self, page: Tag) -> None:
        """Reads the whole page."""
        self._read(page)
        self._end_link()

    def _read(self, element: Tag) -> None:
        for child in element.children:
            if isinstance(child, str):
                self._take_text(child)
            else:
                inner = cast("Tag", child)
                self._begin(inner.name, {name: str(value) for name, value in inner.attrs.items()})
                self._read(inner)
                self._end(inner.name)

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        if name == "a":
            self._end_link()
            self._link = attributes["href"]
            self._note_date(self._link)
        elif name in _HEADINGS:
            self._heading = True
        elif name == "article":
            self._leave()
        elif name in ("meta", "link", "time"):
            self._take_fact(name, attributes)

    def _end(self, name: str) -> None:
        if name == "a":
            self._end_link()
        elif name in _HEADINGS:
            self._heading = False
        elif name in ("article", "main"):
            self._leave()

    def _take_text(self, text: str) -> None:
        if self._link is not None:
            self._text.append(text)
        elif text := clean(text):
            self.cards.take(Piece(text))
            if len(self.shown) < 1_000 and not self.cards.started:
                self.shown.append(text)

    def _leave(self) -> None:
        self._end_link()
        self.cards.close()

    def _end_link(self) -> None:
        if self._link is not None:
            self.cards.take(Piece(clean("".join(self._text)), self._link, self._heading))
        self._link, self._text = None, []

    def _note_date(self, url: str) -> None:
        found = _DATED.search(url)
        if found and len(self.dated) < 100 and (day := iso_day(found[1])):
            self.dated.append(day)

    def _take_fact(self, tag: str, values: dict[str, str]) -> None:
        if values.get("property") == "og:url" or values.get("rel") == "canonical":
            self.view = values.get("content") or values.get("href") or self.view
        elif tag == "time" and not self.cards.started:
            self.time = self.time or iso_day(values.get("datetime"))


def _day(page: _DailyPapersPage) -> tuple[date | None, list[str]]:
    """Returns the day of the list and a note on its origin. Search and trending have none."""
    if _OTHER_VIEW.search(page.view) or "&q=" in page.view.partition("/papers?")[2]:
        return None, []
    named = _DATED.search(page.view)
    if named and (day := iso_day(named[1])):
        return day, [f"its day, {day}, is from the address the page says it has"]
    if page.time:
        return page.time, [f"its day, {page.time}, is from the time the page shows"]
    return _day_between(page)


def _day_between(page: _DailyPapersPage) -> tuple[date | None, list[str]]:
    """Returns the day shown without a year, if the linked previous and next days imply it."""
    shown = _SHOWN.findall(" ".join(page.shown))
    days = sorted(set(page.dated))
    if len(days) == 2 and (days[1] - days[0]).days == 2:
        middle = days[0] + timedelta(1)
        return middle, [f"its day, {middle}, is the one between the days it links to"]
    near = [day + timedelta(step) for day in days[:2] for step in range(-4, 5) if step]
    fitting = {d for d in near if (MONTHS[d.month - 1][:3], str(d.day)) in set(shown)}
    if len(days) in (1, 2) and len(fitting) == 1:
        day = fitting.pop()
        return day, [f"its day, {day}, is as shown, with the year of the days it links to"]
    label = next((f"{day} {MONTHS[month_number(month) - 1]}" for month, day in shown), None)
    return None, [f"the page says {label} without a year"] if label else []


FORMAT = Format(NAME, recognise, parse, hugging_face.CREDIT)
