"""Text of the papers page as readers and crawlers save it: banner, then titles and abstracts.

Two layouts are known. One has a blank line after every line, a header of five lines and a day
without a year. The other has no blank lines, a banner of two lines, and `Subscribe` joined to the
first title. In both, titles and abstracts alternate. Ids, votes and authors are lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from newsletter.errors import SnapshotUnreadable
from newsletter.formats import hugging_face
from newsletter.formats.base import Document, Format
from newsletter.models import Paper, Snapshot
from newsletter.text.clean import clean
from newsletter.text.counted import plural
from newsletter.text.dates import MONTHS, month_number

NAME = "text-capture"
_BANNER = "Get trending papers in your email inbox"
_HEADER = re.compile(rf"new|{_BANNER}(?: once a day)?!|Subscribe|by ?AK and the research community")
_DAY = re.compile(rf"({'|'.join(m[:3] for m in MONTHS)})[a-z]*\.? (\d{{1,2}})(?:, (20\d\d))?")
_GLUED = "Subscribe"

SHORTEST_ABSTRACT = 200
"""In characters. Of 13,399 abstracts one was shorter, and no title was as long."""

ENOUGH_SHORT = 5
"""Number of short abstracts from which a page that consists mostly of them raises a doubt."""

_ENDS = tuple(""".!?)]}”"'’…""")
_ADDRESS = re.compile(r"://|\w[.-]*+(?<=\.)[a-z]{2,}+/")


def recognise(document: Document) -> str | None:
    """Recognises text with the banner among its first lines."""
    first = [line for line in document.text[:2000].split("\n") if line.strip()][:2]
    return "the banner of the papers page" if any(s.startswith(_BANNER) for s in first) else None


def parse(document: Document) -> Snapshot:
    """Parses pairs of title and abstract, in order.

    A day without a year gets it from the day of the capture; without that, it stays a label.
    Lines that do not pair up raise doubts; nothing is guessed.
    """
    lines = _numbered(document.text)
    header, body = _split(lines)
    if not body:
        raise SnapshotUnreadable(
            "the banner of the papers page and no papers below it", hint="capture it again"
        )
    stray = next((line for line in body if _HEADER.fullmatch(line.text)), None)
    if stray:
        raise SnapshotUnreadable(
            f"line {stray.number}: “{stray.text}” stands among the papers: the capture was cut",
            hint="capture it again",
        )
    listed_on, label, notes = _day_of(header, document)
    pairs = list(_pairs(body))
    papers = tuple(
        Paper(title=pair.title, abstract=pair.abstract, listed_on=listed_on, day_label=label)
        for pair in pairs
    )
    if bare := sum(pair.abstract is None for pair in pairs):
        notes.append(f"{bare} of {plural(len(pairs), 'paper')} came without an abstract")
    return Snapshot(NAME, papers, tuple(notes), tuple(_doubts(pairs)))


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    text: str

    @property
    def long(self) -> bool:
        return len(self.text) >= SHORTEST_ABSTRACT


@dataclass(frozen=True, slots=True)
class _Pair:
    number: int
    title: str
    abstract: str | None


def _numbered(text: str) -> list[_Line]:
    cleaned = ((number, clean(line)) for number, line in enumerate(text.split("\n"), 1))
    return [_Line(number, line) for number, line in cleaned if line]


def _split(lines: Sequence[_Line]) -> tuple[list[str], list[_Line]]:
    """Splits the lines into those of the header and those of the papers."""
    end = 0
    while end < len(lines) and (
        _HEADER.fullmatch(lines[end].text) or (end and _DAY.fullmatch(lines[end].text))
    ):
        end += 1
    header, body = [line.text for line in lines[:end]], list(lines[end:])
    if body and _GLUED not in header and body[0].text.startswith(_GLUED):
        first = body[0]
        body[0] = _Line(first.number, first.text.removeprefix(_GLUED).strip())
    return header, body


def _pairs(lines: Sequence[_Line]) -> Iterator[_Pair]:
    """Yields titles with their abstracts.

    Where two short lines follow each other, the second is the next title if a long line follows
    it, otherwise a short abstract.
    """
    at = 0
    while at < len(lines):
        title = lines[at]
        follows = lines[at + 1] if at + 1 < len(lines) else None
        after = lines[at + 2] if at + 2 < len(lines) else None
        if follows is None or (not follows.long and after is not None and after.long):
            yield _Pair(title.number, title.text, None)
            at += 1
        else:
            yield _Pair(title.number, title.text, follows.text)
            at += 2


def _doubts(pairs: Sequence[_Pair]) -> Iterator[str]:
    short = sum(len(pair.abstract or "") < SHORTEST_ABSTRACT for pair in pairs)
    if short >= ENOUGH_SHORT and 2 * short > len(pairs):
        yield f"{short} of {len(pairs)} abstracts are hardly longer than titles; is it such a page?"
        return
    for pair in pairs:
        if len(pair.title) >= SHORTEST_ABSTRACT and pair.abstract:
            yield (
                f"line {pair.number}: an abstract where a title should stand "
                f"(“{pair.title[:40]}…”); titles and abstracts may be mixed up"
            )
            return
    last = pairs[-1]
    if last.abstract is None:
        yield f"line {last.number}: ends with a title without its abstract; the capture may be cut"
    elif not _is_finished(last.abstract):
        yield (
            f"line {last.number}: the last abstract stops in the middle of a sentence "
            f"(“…{last.abstract[-40:]}”); the capture may be cut"
        )


def _is_finished(abstract: str) -> bool:
    """Returns whether an abstract ends as a sentence does, or with an address."""
    return abstract.endswith(_ENDS) or _ADDRESS.search(abstract.rpartition(" ")[2]) is not None


def _day_of(header: Sequence[str], document: Document) -> tuple[date | None, str | None, list[str]]:
    """Returns the day of the list, or the day as shown, and notes on the origin of its year."""
    match = next((found for line in header if (found := _DAY.fullmatch(line))), None)
    if match is None:
        return None, None, []
    month, day = month_number(match[1]), int(match[2])
    label = f"{day} {MONTHS[month - 1]}"
    if match[3]:
        exact = _valid(int(match[3]), month, day)
        return exact, None if exact else label, []
    day_near, note = nearest(month, day, document)
    return day_near, None if day_near else label, [note]


def nearest(month: int, day: int, document: Document) -> tuple[date | None, str]:
    """Returns a month and day in the year that brings it nearest to the capture's day.

    Also returns a note on where the year is from, or why there is none.
    """
    label, near = f"{day} {MONTHS[month - 1]}", document.near
    if near is None:
        return None, f"the page says {label} without a year; the day stays as written"
    years = (_valid(near.year + step, month, day) for step in (-1, 0, 1))
    found = min((d for d in years if d), key=lambda d: abs(d - near), default=None)
    if found is None or abs(found - near) > timedelta(days=60):
        said = f"the page says {label}, {document.dated_by} {near}"
        return None, f"{said}; the day stays as written"
    return found, f"the page says {label}; the year {found.year} is from {document.dated_by}"


def _valid(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


FORMAT = Format(NAME, recognise, parse, hugging_face.CREDIT)
