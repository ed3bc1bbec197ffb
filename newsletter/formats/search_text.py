"""The papers page as text with its links, in three renderings.

    markdown    ### [Title](https://huggingface.co/papers/2611.00001)
    lines       a title, and below it https://huggingface.co/papers/2611.00001
    footnotes   ### [Title][32], and far below it, unless truncated, URL number 32

Where the links are preserved, so are the ids, votes and dates. Words that a search highlighted may
be joined together; they are left unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from newsletter.errors import SnapshotUnreadable
from newsletter.formats import hugging_face, page_cards
from newsletter.formats.base import Document, Format, iso_day
from newsletter.formats.page_cards import SHORTEST_ABSTRACT, Card, Cards, Piece
from newsletter.models import Snapshot
from newsletter.text.clean import clean
from newsletter.text.counted import plural

NAME = "search-text"
_PAPER = rf"https://huggingface\.co/papers/(?:{page_cards.PAPER_ID})"
_MARKDOWN = re.compile(rf"^#+ \[.+\]\({_PAPER}\)", re.MULTILINE)
_FOOTNOTES = re.compile(r"^### \[[^\n]+\]\[\d+\]", re.MULTILINE)
_LINES = re.compile(rf"^{_PAPER}$", re.MULTILINE)
_BANNER = re.compile(r"Get trending papers in your email inbox|(?:Daily|Trending) Papers\b")
_KINDS = ((_MARKDOWN, "markdown links"), (_LINES, "links in lines"), (_FOOTNOTES, "footnotes"))

_CAPTURED = re.compile(
    r"(?im)^[^\w\n]*(?:retrieved|exported|captured|date)\b[^:\n]{0,20}:\s*(\d{4}-\d\d-\d\d)"
)
_LINKED_DAY = re.compile(r"huggingface\.co/papers/date/(\d{4}-\d\d-\d\d)")
_OF_DAY = re.compile(
    r"(?im)^[^\w\n]*url:\s*https://huggingface\.co/papers/date/(\d{4}-\d\d-\d\d)\s*$"
)
_CUT = re.compile(r"^\[Content truncated\]\s*$", re.MULTILINE)
_WRAPPED = re.compile(r"\\\\(?=\n)|\\(?=  )")
_LONGEST = 20_000
"""Maximum length in characters of a text in brackets; a longer one is no abstract."""


def recognise(document: Document) -> str | None:
    """Recognises text that names the page and links to papers, in one of the renderings."""
    if document.is_html:
        return None
    for sign, name in _KINDS:
        first = sign.search(document.text)
        if first and _BANNER.search(document.text[: min(first.start(), 8_000)]):
            return f"the papers page as text with {name}"
    return None


def parse(document: Document) -> Snapshot:
    """Parses the papers, in order.

    Raises:
        SnapshotUnreadable: there are no papers.
    """
    text = document.text
    year, notes = _year(document)
    if _MARKDOWN.search(text):
        cards = _cards(_markdown(text), year)
    elif _LINES.search(text):
        cards = _cards(_lines(text), year)
    else:
        cards = _footnotes(text, year)
    listed = _OF_DAY.search(text[:2_000])
    day = iso_day(listed[1]) if listed else None
    papers = tuple(paper for card in cards if (paper := card.paper(day)))
    if not papers:
        raise SnapshotUnreadable("the papers page as text, and no papers", hint="capture it again")
    if without := sum(not paper.arxiv_id for paper in papers):
        notes.append(f"{without} of {plural(len(papers), 'paper')} came without an id")
    if bare := sum(paper.abstract is None for paper in papers):
        notes.append(f"{bare} of {plural(len(papers), 'paper')} came without an abstract")
    return Snapshot(NAME, papers, tuple(notes), tuple(_doubts(text, cards)))


def _doubts(text: str, cards: list[Card]) -> Iterator[str]:
    """Yields a doubt if the text ends inside its last card without a truncation notice."""
    if cards[-1].abstract is None and not _CUT.search(text):
        yield f"ends with a paper without its abstract (“{cards[-1].title[:40]}”); it may be cut"


def _year(document: Document) -> tuple[int | None, list[str]]:
    """Returns the year for days without one, which is that of the capture if known, and notes."""
    text, near = document.text, document.near
    day_match = _CAPTURED.search(text[:4_096]) or _LINKED_DAY.search(text)
    if day_match and (day := iso_day(day_match[1])):
        return day.year, []
    if near:
        return near.year, [f"days without a year are of {near.year}, from {document.dated_by}"]
    return None, []


def _cards(pieces: Iterator[Piece], year: int | None) -> list[Card]:
    return [card for card in Cards(year).add(pieces) if card.title]


def _markdown(text: str) -> Iterator[Piece]:
    """Yields links with the text in their brackets, and the lines between them."""
    at = 0
    for start, end, inner, url in _links(text):
        yield from (Piece(clean(line)) for line in text[at:start].split("\n") if line.strip())
        heading = text[text.rfind("\n", at, start) + 1 or at : start].startswith("#")
        yield Piece(_unmarked(inner), url, heading)
        at = end
    yield from (Piece(clean(line)) for line in text[at:].split("\n") if line.strip())


_TARGET = re.compile(r"\]\((https?://[^\s()]+)\)")
_IMAGE = re.compile(r"!\[[^\]\n]{0,300}\]\([^\s()]{0,1000}\)")


def _links(text: str) -> Iterator[tuple[int, int, str, str]]:
    """Yields the start, end, text and URL of each link.

    A link starts at the first bracket after the previous link, because its text may contain
    brackets.
    """
    text = _IMAGE.sub(lambda found: " " * len(found[0]), text)
    at = 0
    for target in _TARGET.finditer(text):
        start = text.find("[", at, target.start())
        if start < 0 or target.start() - start > _LONGEST:
            start = text.rfind("[", at, target.start())
        if start >= 0:
            yield start, target.end(), text[start + 1 : target.start()], target[1]
        at = target.end()


def _unmarked(text: str) -> str:
    return clean(_WRAPPED.sub(" ", text))


_REST_OF_LINK = re.compile(r"\]\(https?://[^\s()]+\)$")


def _lines(text: str) -> Iterator[Piece]:
    """Yields each URL on a line of its own, with the lines since the previous one."""
    above: list[str] = []
    for raw in text.split("\n"):
        line = clean(raw)
        if line.startswith(("https://", "http://")) and " " not in line:
            yield from (Piece(other) for other in above[:-1])
            yield Piece(above[-1] if above else "", line)
            above = []
        elif _REST_OF_LINK.search(line):
            above = []
        elif line and line != "[":
            above.append(line)
    yield from (Piece(line) for line in above)


_NOTE = re.compile(r"\]\[(\d{1,6})\]")
_NOTED = re.compile(r"^[ \t]*\[?(\d{1,6})(?:\]:?|\.|:)[ \t]+(https?://\S+)[ \t]*$", re.MULTILINE)


def _footnotes(text: str, year: int | None) -> list[Card]:
    """Returns the cards of numbered links. A card whose number has no URL has no id."""
    targets = {int(number): url for number, url in _NOTED.findall(text)}
    cards: list[Card] = []
    before: tuple[str, int] = ("", 0)
    for shown, number, heading, between in _numbered(text):
        if heading:
            card = Card(_id(targets.get(number)), shown)
            card.votes = page_cards.votes_in(before[0]) if before[1] == number - 1 else None
            cards.append(card)
        elif cards and cards[-1].abstract is None and len(shown) >= SHORTEST_ABSTRACT:
            cards[-1].abstract = shown
        if cards and not heading and cards[-1].published is None:
            days = (page_cards.written_day(clean(line), year) for line in between.split("\n"))
            cards[-1].published = next((day for day in days if day), None)
        before = (shown, number)
    return cards


def _numbered(text: str) -> Iterator[tuple[str, int, bool, str]]:
    """Yields each link's text and number, whether it is a heading, and the text before it."""
    at = 0
    for note in _NOTE.finditer(text):
        start = text.find("\n[", at, note.start()) + 1
        heading = text.rfind("\n### [", at, note.start())
        opening = heading + 5 if heading >= 0 else start
        if opening > 0:
            inner = re.sub(r"^[\s*]+", "", text[opening + 1 : note.start()])
            yield clean(inner), int(note[1]), heading >= 0, text[at:opening]
        at = note.end()
    yield "", 0, False, text[at : at + _LONGEST]


def _id(url: str | None) -> str | None:
    found = re.fullmatch(rf"https://huggingface\.co/papers/({page_cards.PAPER_ID})", url or "")
    return found[1] if found else None


FORMAT = Format(NAME, recognise, parse, hugging_face.CREDIT)
