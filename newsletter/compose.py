"""Entries in, the content of an edition out: order, days, tiers, subject. Pure.

What a reader sees is decided here, once, so that HTML and text say the same; how it
looks is decided by the theme.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from newsletter.models import Entry, Paper
from newsletter.text import urls
from newsletter.text.clean import clean, cut, isolate, width
from newsletter.text.dates import WEEKDAYS, long_day, short_range
from newsletter.text.excerpt import excerpt, sentences
from newsletter.text.tex import to_unicode

WORDS_A_MINUTE = 230
META_COLUMNS = 66
TITLE_COLUMNS = 500
NAME_COLUMNS = 60
ADDRESS_COLUMNS = 200
ORGANISATION_COLUMNS = 40
SUBJECT_TITLE_COLUMNS = 48
SUBJECT_COLUMNS = 90
PREHEADER_COLUMNS = 110
LEAST_EXCERPTS_A_DAY = 3


@dataclass(frozen=True, slots=True)
class Detail:
    """How much is said of each paper. Editions that are too big take the next one."""

    excerpts: int
    """Papers with an excerpt, the lead among them."""
    lead: int
    """Characters of the first paper's excerpt."""
    excerpt: int
    """Characters of the others'."""


def details(excerpts: int) -> tuple[Detail, ...]:
    """The steps in which an edition shrinks: shorter excerpts, then titles only."""
    return (
        Detail(excerpts, lead=320, excerpt=200),
        Detail(excerpts, lead=200, excerpt=140),
        Detail(0, lead=0, excerpt=0),
    )


@dataclass(frozen=True, slots=True)
class Link:
    """A link of a paper. Without `url` the label itself is an address shown as text."""

    label: str
    url: str | None


@dataclass(frozen=True, slots=True)
class Block:
    """One paper as shown."""

    number: int
    title: str
    url: str | None
    votes: int
    byline: str
    organisation: str
    submitter: str
    excerpt: str
    links: tuple[Link, ...]
    lead: bool = False
    brief: bool = False

    @property
    def code(self) -> Link | None:
        """The link to its code, if it has one."""
        return next((link for link in self.links if link.label == "Code" and link.url), None)


@dataclass(frozen=True, slots=True)
class Day:
    """The papers of one day: first those with excerpts, then the briefs."""

    heading: str
    """Empty when the edition has one day only."""
    short: str
    """`Tuesday`, or what else names the day in a sentence; empty when nothing does."""
    full: tuple[Block, ...]
    briefs: tuple[Block, ...]

    @property
    def count(self) -> int:
        """Papers of the day in this part."""
        return len(self.full) + len(self.briefs)


@dataclass(frozen=True, slots=True)
class Part:
    """Which piece of an edition this is, when it does not fit into one mail."""

    number: int = 1
    of: int = 1
    first: int = 0
    """Index of its first paper in reading order."""
    last: int | None = None
    """Index after its last paper; `None` for all that follow."""


@dataclass(frozen=True, slots=True)
class Content:
    """All that an edition says."""

    count: int
    """New papers in the whole edition."""
    days: tuple[Day, ...]
    subject: str
    preheader: str
    dates: str
    """The days its papers are from; empty where nothing says."""
    tally: str
    credits: tuple[tuple[str, str | None], ...]
    sources: tuple[str, ...]
    part: Part
    more: int
    """Papers that are only on the web."""

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Every paper shown, in order."""
        return tuple(block for day in self.days for block in (*day.full, *day.briefs))

    @property
    def titles(self) -> tuple[str, ...]:
        """Every title shown, in order."""
        return tuple(block.title for block in self.blocks)

    @property
    def votes(self) -> bool:
        """Whether any vote count is shown."""
        return any(block.votes for block in self.blocks)


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Reading order: newest day first, undated last; in a day upvotes, then source order."""
    return sorted(entries, key=_rank)


def _rank(entry: Entry) -> tuple[int, int, str, int, int]:
    day = entry.paper.listed_on
    label = entry.paper.day_label or ""
    kind = 0 if day else 1 if label else 2
    votes = entry.paper.upvotes or 0
    return kind, -(day.toordinal() if day else 0), label, -votes, entry.position


def title_of(paper: Paper) -> str:
    """The title as shown: whole, unless it is absurdly long."""
    return cut(clean(to_unicode(paper.title)) or paper.title, TITLE_COLUMNS)


def compose(
    entries: Sequence[Entry],
    detail: Detail,
    credits: Sequence[tuple[str, str | None]] = (),
    part: Part = Part(),
    *,
    more_on_web: bool = False,
) -> Content:
    """The content of an edition, or of one part of it.

    Args:
        entries: all entries of the edition, in any order; at least one.
        detail: how much is said of each paper.
        credits: whom to thank, with an address.
        part: which papers, in reading order, this part has.
        more_on_web: the papers after the part's last are on the web, not in a further part.
    """
    ordered = in_order(entries)
    chosen = ordered[part.first : part.last]
    days = tuple(_days(chosen, detail, part.first, alone=_one_day(ordered)))
    minutes = _minutes(days)
    return Content(
        count=len(ordered),
        days=days,
        subject=_subject(ordered, part),
        preheader=_preheader(ordered, minutes),
        dates=_dates(ordered),
        tally=" · ".join(filter(None, (_dates(ordered), _plural(minutes, "minute")))),
        credits=tuple(credits),
        sources=tuple(dict.fromkeys(entry.source for entry in ordered)),
        part=part,
        more=len(ordered) - part.first - len(chosen) if more_on_web else 0,
    )


def alone(paper: Paper, characters: int) -> Block:
    """One paper by itself, as search and feeds show it, with an excerpt of so many characters."""
    return _block(paper, 0, Detail(1, characters, characters), brief=False)


def _one_day(entries: Sequence[Entry]) -> bool:
    return len({_day_key(entry) for entry in entries}) == 1


def _day_key(entry: Entry) -> date | str:
    return entry.paper.listed_on or entry.paper.day_label or ""


def _days(entries: Sequence[Entry], detail: Detail, first: int, *, alone: bool) -> Iterable[Day]:
    number = first
    for key, group in groupby(entries, _day_key):
        papers = [entry.paper for entry in group]
        share = _share(len(papers), len(entries), detail.excerpts)
        blocks = []
        for at, paper in enumerate(papers):
            number += 1
            blocks.append(_block(paper, number, detail, brief=at >= share))
        yield Day(
            heading="" if alone else _heading(key),
            short=WEEKDAYS[key.weekday()] if isinstance(key, date) else key,
            full=tuple(blocks[:share]),
            briefs=tuple(blocks[share:]),
        )


def _share(papers: int, of: int, excerpts: int) -> int:
    """How many of a day's papers get an excerpt: in proportion, at least three."""
    if not excerpts:
        return 0
    return min(papers, max(LEAST_EXCERPTS_A_DAY, round(excerpts * papers / of)))


def _heading(key: date | str) -> str:
    return long_day(key) if isinstance(key, date) else key or "Without a day"


def _block(paper: Paper, number: int, detail: Detail, *, brief: bool) -> Block:
    lead = number == 1 and not brief
    votes = paper.upvotes or 0
    organisation = cut(clean(to_unicode(paper.organisation or "")), ORGANISATION_COLUMNS)
    authors = [cut(clean(to_unicode(author)), NAME_COLUMNS) for author in paper.authors]
    taken = width(f"▲ {votes:,} · ") * bool(votes) + (width(organisation) + 3) * bool(organisation)
    limit = detail.lead if lead else detail.excerpt
    return Block(
        number=number,
        title=title_of(paper),
        url=page_of(paper),
        votes=votes,
        byline=_first_of(authors) if brief else byline(authors, META_COLUMNS - taken),
        organisation=isolate(organisation),
        submitter=isolate(cut(clean(paper.submitter or ""), ORGANISATION_COLUMNS)),
        excerpt="" if brief else excerpt(clean(to_unicode(paper.abstract or "")), limit),
        links=tuple(_links(paper)),
        lead=lead,
        brief=brief,
    )


def byline(authors: Sequence[str], columns: int) -> str:
    """Authors in short: three in full; of more, the first two, the last and how many.

    The second goes when the line would not fit into `columns`.
    """
    names = [isolate(author) for author in authors]
    if len(names) <= 3:
        return ", ".join(names)
    short = f"{names[0]}, {names[1]} … {names[-1]} ({len(names)})"
    return short if width(short) <= columns else f"{names[0]} … {names[-1]} ({len(names)})"


def _first_of(authors: Sequence[str]) -> str:
    if len(authors) < 2:
        return isolate("".join(authors))
    return f"{isolate(authors[0])} +{len(authors) - 1}"


def page_of(paper: Paper) -> str | None:
    """Where the title leads: the paper's page at its source, else arXiv, else its DOI."""
    return (
        urls.safe(paper.url)
        or (f"https://arxiv.org/abs/{paper.arxiv_id}" if paper.arxiv_id else None)
        or (urls.safe(f"https://doi.org/{paper.doi}") if paper.doi else None)
    )


def _links(paper: Paper) -> Iterable[Link]:
    page = page_of(paper)
    if paper.arxiv_id:
        abstract = f"https://arxiv.org/abs/{paper.arxiv_id}"
        if page != abstract:
            yield Link("arXiv", abstract)
    elif paper.doi and (doi := urls.safe(f"https://doi.org/{paper.doi}")) and page != doi:
        yield Link("doi.org", doi)
    pdf = urls.safe(paper.pdf_url)
    if not pdf and paper.arxiv_id:
        pdf = f"https://arxiv.org/pdf/{paper.arxiv_id}"
    code = urls.safe(paper.code_url) or urls.code_in(paper.abstract or "")
    for label, url in (("PDF", pdf), ("Code", code), ("Project", urls.safe(paper.project_url))):
        if url and url != page:
            yield Link(label, url)
    for url in (paper.url, paper.code_url, paper.project_url):
        if url and not urls.safe(url) and re.match(r"https?://", url):
            yield Link(cut(clean(url), ADDRESS_COLUMNS), None)


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
    return max(1, math.ceil(words / WORDS_A_MINUTE))


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _subject(ordered: Sequence[Entry], part: Part) -> str:
    lead, others = title_of(ordered[0].paper), len(ordered) - 1
    if others:
        subject = f"{cut(lead, SUBJECT_TITLE_COLUMNS)} + {others:,} more"
    else:
        subject = cut(lead, SUBJECT_COLUMNS)
    return f"{subject} ({part.number}/{part.of})" if part.of > 1 else subject


def short_title(title: str) -> str:
    """The part before the first colon, else the first four words."""
    name, colon, _ = title.partition(":")
    return cut(name.strip() if colon and name.strip() else " ".join(title.split(" ")[:4]), 40)


def _preheader(ordered: Sequence[Entry], minutes: int) -> str:
    if len(ordered) == 1:
        abstract = clean(to_unicode(ordered[0].paper.abstract or ""))
        first = next(iter(sentences(excerpt(abstract, 10_000))), "")
        return cut(first, PREHEADER_COLUMNS) or f"One new paper, {_plural(minutes, 'minute')}."
    total = f"{_plural(len(ordered), 'new paper')}, {_plural(minutes, 'minute')}."
    if not _one_day(ordered):
        total = _by_day(ordered)
    shorts = [short_title(title_of(entry.paper)) for entry in ordered[1:4]]
    while shorts:
        also = f"Also: {_listed(shorts)}."
        whole = f"{total} {also}" if not _one_day(ordered) else f"{also} {total}"
        if width(whole) <= PREHEADER_COLUMNS:
            return whole
        shorts.pop()
    return cut(total, PREHEADER_COLUMNS)


def _by_day(ordered: Sequence[Entry]) -> str:
    """`21 papers on Tuesday, 19 on Monday.`"""
    pieces: list[str] = []
    for key, group in groupby(ordered, _day_key):
        count = len(list(group))
        amount = f"{count:,}" if pieces else _plural(count, "paper")
        name = WEEKDAYS[key.weekday()] if isinstance(key, date) else key
        pieces.append(f"{amount} on {name}" if name else f"{amount} without a day")
    return ", ".join(pieces[:3]) + (", and more." if len(pieces) > 3 else ".")


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
