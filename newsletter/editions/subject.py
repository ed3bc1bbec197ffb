"""The lines of an edition that the inbox shows: its subject and its preheader.

Everything inside the message is the work of `compose`. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from newsletter.editions.content import Part
from newsletter.editions.paper_block import title_of
from newsletter.models import Paper
from newsletter.text.clean import clean, cut, width
from newsletter.text.excerpt import excerpt, sentences
from newsletter.text.tex import to_unicode

SUBJECT_TITLE_COLUMNS = 48
SUBJECT_COLUMNS = 90
PREHEADER_COLUMNS = 110


def subject_line(papers: Sequence[Paper], part: Part) -> str:
    """Returns the first paper's title, the number of other papers, and the part number if any."""
    lead, others = title_of(papers[0]), len(papers) - 1
    if others:
        subject = f"{cut(lead, SUBJECT_TITLE_COLUMNS)} + {others:,} more"
    else:
        subject = cut(lead, SUBJECT_COLUMNS)
    return f"{subject} ({part.number}/{part.of})" if part.of > 1 else subject


def short_title(title: str) -> str:
    """Returns the part before the first colon, else the first four words."""
    name, colon, _ = title.partition(":")
    return cut(name.strip() if colon and name.strip() else " ".join(title.split(" ")[:4]), 40)


def preheader(papers: Sequence[Paper], days: Sequence[tuple[str, int]], minutes: int) -> str:
    """Returns the text that the inbox shows beside the subject.

    Args:
        papers: all papers of the edition in reading order; at least one.
        days: the name of each day, empty if not known, with its number of papers.
        minutes: reading time.
    """
    if len(papers) == 1:
        abstract = clean(to_unicode(papers[0].abstract or ""))
        first = next(iter(sentences(excerpt(abstract, 10_000))), "")
        return cut(first, PREHEADER_COLUMNS) or f"One new paper, {plural(minutes, 'minute')}."
    several_days = len(days) > 1
    total = f"{plural(len(papers), 'new paper')}, {plural(minutes, 'minute')}."
    if several_days:
        total = _by_day(days)
    shorts = [short_title(title_of(paper)) for paper in papers[1:4]]
    while shorts:
        also = f"Also: {_listed(shorts)}."
        whole = f"{total} {also}" if several_days else f"{also} {total}"
        if width(whole) <= PREHEADER_COLUMNS:
            return whole
        shorts.pop()
    return cut(total, PREHEADER_COLUMNS)


def _by_day(days: Sequence[tuple[str, int]]) -> str:
    """Returns text such as `21 papers on Tuesday, 19 on Monday.`"""
    pieces: list[str] = []
    for name, count in days:
        amount = f"{count:,}" if pieces else plural(count, "paper")
        pieces.append(f"{amount} on {name}" if name else f"{amount} without a day")
    return ", ".join(pieces[:3]) + (", and more." if len(pieces) > 3 else ".")


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def plural(count: int, noun: str) -> str:
    """Returns the count with its noun: `1 paper`, `2 papers`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
