"""Reads sources once to show what they have. Stores nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

from newsletter.app.clock import now
from newsletter.config.schema import SourceSection
from newsletter.errors import NewsletterError
from newsletter.models import Capture, NotModified
from newsletter.papers.parsers import Parsers
from newsletter.sources.factories import FetcherFor, SourceRecord, configured, fetching

_DATE = "{date}"
_SHOWN = 3
"""Titles that are shown."""


@dataclass(slots=True)
class SourceCheck:
    """What a source has now.

    Attributes:
        source: its name.
        format: how its content was read; `None` if nothing was read.
        papers: the number of papers.
        day: the day of the list; `None` if it is not known.
        titles: the first titles.
        notes: remarks about what was read.
        doubts: signs that it is not what it should be.
        error: why nothing could be read, or `None`.
    """

    source: str
    format: str | None = None
    papers: int = 0
    day: date | None = None
    titles: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    error: NewsletterError | None = None


def checks(
    sections: Iterable[SourceSection], clock: Callable[[], datetime]
) -> Iterator[SourceCheck]:
    """Yields what each source has.

    A URL with `{date}` is fetched for yesterday and today. Of a folder, only the last file is
    read.

    Args:
        sections: the sources.
        clock: returns the current instant, in the time zone of the sources' days.
    """
    with fetching() as fetcher, Parsers() as parsers:
        for section in sections:
            yield _check(section, fetcher, parsers, clock)


def _check(
    section: SourceSection, fetcher: FetcherFor, parsers: Parsers, clock: Callable[[], datetime]
) -> SourceCheck:
    made = SourceCheck(section.name)
    source = configured(section, fetcher, clock, SourceRecord(), rested=0.0)
    failed = []
    for captured in deque(source.captures(), maxlen=2 if _DATE in section.url else 1):
        if isinstance(captured, Capture):
            try:
                _read(captured, section, parsers, made)
            except NewsletterError as error:
                error.where = error.where or captured.origin
                failed.append(error)
        elif not isinstance(captured, NotModified):
            failed.append(captured)
    if failed and made.format is None:
        made.error = failed[0]
    elif made.format is None:
        made.notes.append("there are no files yet")
    else:
        made.notes += map(str, failed)
    return made


def _read(captured: Capture, section: SourceSection, parsers: Parsers, made: SourceCheck) -> None:
    """Adds the papers of a capture to what was found."""
    one = parsers.read(
        captured.data, day=captured.day, dated_by=captured.dated_by, format=section.format or None
    )
    papers = one.snapshot.papers
    made.format = one.format
    made.papers += len(papers)
    made.day = max((paper.listed_on for paper in papers if paper.listed_on), default=made.day)
    if papers:
        made.titles = [paper.title for paper in papers[:_SHOWN]]
    made.notes += one.snapshot.notes
    made.doubts += one.snapshot.doubts


def local_clock(zone: str) -> Callable[[], datetime]:
    """Returns the clock in a time zone, which determines the days of `{date}`."""
    place = ZoneInfo(zone)
    return lambda: now().astimezone(place)
