"""The cards of the papers page, from a sequence of links and texts in any markup.

A card is everything between the first link to its paper and the first to another. The URL of a
link tells what it is: the paper, its votes (a log-in that returns to it), its discussion, its
code, an organisation. Classes and tags are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from urllib.parse import unquote

from newsletter.formats.hugging_face import PAPER_PAGE
from newsletter.models import Paper
from newsletter.text.clean import clean
from newsletter.text.dates import MONTHS, month_number

SHORTEST_ABSTRACT = 200
"""Length in characters from which the text of a link is an abstract, not a title."""

PAPER_ID = r"\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7}"
_SITE = r"(?:https?://(?:www\.)?huggingface\.co)?"
_PAPER = re.compile(rf"{_SITE}/papers/({PAPER_ID})(?:v\d+)?/?(#community)?")
_VOTE = re.compile(rf"{_SITE}/login\?next=/papers/({PAPER_ID})")
_VIEW = re.compile(rf"{_SITE}/papers(?:$|[/?].*)")
_OWNER = re.compile(rf"{_SITE}/([A-Za-z0-9][\w.-]*)")
_CODE = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+/?")
_PLACES = frozenset(
    [
        "about",
        "buckets",
        "chat",
        "company",
        "datasets",
        "docs",
        "enterprise",
        "huggingface",
        "inference-endpoints",
        "jobs",
        "join",
        "kernels",
        "learn",
        "login",
        "models",
        "papers",
        "pricing",
        "privacy",
        "settings",
        "spaces",
        "storage",
        "tasks",
        "terms-of-service",
    ]
)
_PEOPLE = re.compile(r"[\W_]*+\d[\d.,]*+[kKmM]? authors?")
_NUMBER = re.compile(r"(?:.*\s|\[-\]\s*)?(\d[\d.,]*)\s*([kKmM]?)")
_MONTH = "|".join(month[:3] for month in MONTHS)
_WRITTEN_DAY = re.compile(
    rf"[\W_]*(?:Published on )?({_MONTH})[a-z]*\.? (\d{{1,2}})(?:, (\d{{4}}))?"
)
_SUBMITTED = re.compile(r"Submitted by\s*(.*)")


@dataclass(frozen=True, slots=True)
class Piece:
    """A link with its text, or text between links."""

    text: str
    url: str | None = None
    heading: bool = False


@dataclass(slots=True)
class Card:
    """The data of one card."""

    id: str | None = None
    title: str = ""
    abstract: str | None = None
    votes: int | None = None
    organisation: str | None = None
    submitter: str | None = None
    code: str | None = None
    published: date | None = None
    headed: bool = False

    def paper(self, listed_on: date | None = None) -> Paper | None:
        """Returns the paper, or `None` if the card has no title."""
        if not self.title:
            return None
        return Paper(
            title=self.title,
            abstract=self.abstract,
            arxiv_id=self.id,
            url=PAPER_PAGE + self.id if self.id else None,
            code_url=self.code,
            organisation=self.organisation,
            submitter=self.submitter,
            published_on=self.published,
            upvotes=self.votes,
            listed_on=listed_on,
        )


@dataclass
class Cards:
    """Assembles pieces into cards, one for each paper, in page order.

    Args:
        year: the year of days that are shown without one.
    """

    year: int | None = None
    _found: dict[str, Card] = field(default_factory=dict)
    _open: Card | None = None
    _names_next: bool = False

    def add(self, pieces: Iterable[Piece]) -> list[Card]:
        """Takes pieces of the page. Returns all cards so far."""
        for piece in pieces:
            self.take(piece)
        return self.all

    @property
    def all(self) -> list[Card]:
        """The cards so far."""
        return list(self._found.values())

    @property
    def started(self) -> bool:
        """Whether there is any card."""
        return bool(self._found)

    def close(self) -> None:
        """Ends the current card: nothing that follows belongs to it."""
        self._open = None

    def take(self, piece: Piece) -> None:
        """Takes the next piece of the page."""
        url = unquote(piece.url) if piece.url else None
        if url is None:
            self._take_text(piece.text)
        elif paper := _PAPER.fullmatch(url):
            card = self._card(paper[1])
            if not paper[2]:
                _name(card, piece)
        elif vote := _VOTE.fullmatch(url):
            card = self._card(vote[1])
            card.votes = votes_in(piece.text) if card.votes is None else card.votes
        elif _VIEW.fullmatch(url):
            self.close()
        elif self._open is not None:
            _describe(self._open, piece.text, url)

    def _card(self, paper: str) -> Card:
        self._names_next = False
        self._open = self._found.setdefault(paper, Card(paper))
        return self._open

    def _take_text(self, text: str) -> None:
        card = self._open
        if card is None or not text:
            return
        if self._names_next:
            card.submitter, self._names_next = card.submitter or text, False
        elif submitted := _SUBMITTED.fullmatch(text):
            card.submitter = card.submitter or submitted[1] or None
            self._names_next = not submitted[1]
        elif card.published is None and card.title and (day := written_day(text, self.year)):
            card.published = day


def _name(card: Card, piece: Piece) -> None:
    """Stores the text of a link to the paper: the title or the abstract, not the author count."""
    text = piece.text
    if not text or _PEOPLE.fullmatch(text):
        return
    if len(text) >= SHORTEST_ABSTRACT and not piece.heading:
        card.abstract = card.abstract or text
    elif not card.title or (piece.heading and not card.headed):
        card.title, card.headed = text, piece.heading


def _describe(card: Card, text: str, url: str) -> None:
    owner = _OWNER.fullmatch(url)
    if _CODE.fullmatch(url):
        card.code = card.code or url
    elif owner and owner[1].lower() not in _PLACES and card.title and text:
        card.organisation = card.organisation or text


def linked_paper(url: str) -> str | None:
    """Returns the id of the paper that a URL links to, or `None`."""
    found = _PAPER.fullmatch(unquote(url))
    return found[1] if found else None


def votes_in(text: str) -> int | None:
    """Returns the count of a vote button: `94`, `Upvote 57`, `[-] 5`, `1.2k`, `-` for zero."""
    text = clean(text)
    if text.endswith("-"):
        return 0
    found = _NUMBER.fullmatch(text[-40:])
    if found is None:
        return None
    times = {"": 1, "k": 1_000, "m": 1_000_000}[found[2].lower()]
    try:
        number = float(found[1].replace(",", "")) * times
    except ValueError:
        return None
    return round(number) if number < 2**31 else None


def written_day(text: str, year: int | None = None) -> date | None:
    """Parses a day such as `Oct 7, 2024`, or `May 29` in the given year."""
    found = _WRITTEN_DAY.match(text) if len(text) <= 60 else None
    if found is None or not (found[3] or year):
        return None
    try:
        return date(int(found[3] or year or 0), month_number(found[1]), int(found[2]))
    except ValueError:
        return None
