"""Entries → the content of an edition: the order of papers, their days, which have an excerpt.

The content is decided here, once, so that HTML and text say the same. `paper_block` composes a
single paper, `subject` the subject and the preheader; the design is the theme's. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import groupby

from newsletter.editions.content import WHOLE, Content, Day, Detail, Part
from newsletter.editions.paper_block import block_of
from newsletter.editions.subject import plural, preheader, subject_line
from newsletter.models import Entry
from newsletter.text.dates import WEEKDAYS, long_day, short_range

WORDS_PER_MINUTE = 230
MIN_EXCERPTS_PER_DAY = 3


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Sorts entries: newest day first, undated last; within a day by upvotes, then source order."""
    return sorted(entries, key=_rank)


def _rank(entry: Entry) -> tuple[int, int, str, int, int]:
    day = entry.paper.listed_on
    label = entry.paper.day_label or ""
    kind = 0 if day else 1 if label else 2
    votes = entry.paper.upvotes or 0
    return kind, -(day.toordinal() if day else 0), label, -votes, entry.position


def compose(
    entries: Sequence[Entry],
    detail: Detail,
    credits: Sequence[tuple[str, str | None]] = (),
    part: Part = WHOLE,
    *,
    more_on_web: bool = False,
) -> Content:
    """Returns the content of an edition, or of one part of it.

    Args:
        entries: all entries of the edition, in any order; at least one.
        detail: how much is shown of each paper.
        credits: texts of the credits, each with a URL or `None`.
        part: the range of papers, in reading order, that this part contains.
        more_on_web: the papers after this part are on a web page, not in a further part.
    """
    ordered = in_order(entries)
    papers = [entry.paper for entry in ordered]
    chosen = ordered[part.first : part.last]
    days = tuple(_days(chosen, detail, part.first, alone=_one_day(ordered)))
    minutes = _minutes(days)
    return Content(
        count=len(ordered),
        days=days,
        subject=subject_line(papers, part),
        preheader=preheader(papers, _days_of(ordered), minutes),
        dates=_dates(ordered),
        dateline=" · ".join(filter(None, (_dates(ordered), plural(minutes, "minute")))),
        credits=tuple(credits),
        sources=tuple(dict.fromkeys(entry.source for entry in ordered)),
        part=part,
        more=len(ordered) - part.first - len(chosen) if more_on_web else 0,
    )


def _one_day(entries: Sequence[Entry]) -> bool:
    return len({_day_key(entry) for entry in entries}) == 1


def _day_key(entry: Entry) -> date | str:
    return entry.paper.listed_on or entry.paper.day_label or ""


def _days_of(ordered: Sequence[Entry]) -> list[tuple[str, int]]:
    """Returns the name of each day with its number of papers."""
    grouped = groupby(ordered, _day_key)
    return [(_day_name(key), sum(1 for _ in group)) for key, group in grouped]


def _day_name(key: date | str) -> str:
    return WEEKDAYS[key.weekday()] if isinstance(key, date) else key


def _days(entries: Sequence[Entry], detail: Detail, first: int, *, alone: bool) -> Iterable[Day]:
    number = first
    for key, group in groupby(entries, _day_key):
        papers = [entry.paper for entry in group]
        share = _share(len(papers), len(entries), detail.excerpts)
        blocks = []
        for at, paper in enumerate(papers):
            number += 1
            blocks.append(block_of(paper, number, detail, brief=at >= share))
        yield Day(
            heading="" if alone else _heading(key),
            short=_day_name(key),
            full=tuple(blocks[:share]),
            briefs=tuple(blocks[share:]),
        )


def _share(papers: int, of: int, excerpts: int) -> int:
    """Returns the number of a day's papers with an excerpt: in proportion, at least three."""
    if not excerpts:
        return 0
    return min(papers, max(MIN_EXCERPTS_PER_DAY, round(excerpts * papers / of)))


def _heading(key: date | str) -> str:
    return long_day(key) if isinstance(key, date) else key or "Without a day"


def _dates(ordered: Sequence[Entry]) -> str:
    days = [entry.paper.listed_on for entry in ordered if entry.paper.listed_on]
    labels = dict.fromkeys(e.paper.day_label for e in ordered if e.paper.day_label)
    return ", ".join(filter(None, (short_range(days) if days else "", *labels)))


def _minutes(days: Sequence[Day]) -> int:
    words = sum(
        len(f"{block.title} {block.byline} {block.excerpt}".split())
        for day in days
        for block in (*day.full, *day.briefs)
    )
    return max(1, math.ceil(words / WORDS_PER_MINUTE))
