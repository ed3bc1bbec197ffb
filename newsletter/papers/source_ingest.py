"""Sources → log: captures configured or named sources and ingests the result.

Knows which source a file or URL belongs to. Does not parse captures and does not decide
what is new: `ingest` does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from zoneinfo import ZoneInfo

from newsletter import formats
from newsletter.config.schema import SourceSection
from newsletter.errors import ConfigError
from newsletter.papers.ingest import Ingest
from newsletter.papers.report import CaptureReport
from newsletter.papers.source_rename import Renamed, SourceRename
from newsletter.sources import Captured
from newsletter.sources.factories import FetcherFor, SourceRecord, configured, fetching, named
from newsletter.sources.files import RESTED, is_folder
from newsletter.storage import sources
from newsletter.storage.database import Database


class SourceIngest:
    """Captures sources and ingests the result.

    Args:
        sections: the configured sources.
        ingest: adds captures to the log.
        database: the newsletter's database.
        clock: returns the current time, timezone-aware.
        time_zone: the newsletter's time zone; determines today's date for URLs with `{date}`.
    """

    def __init__(
        self,
        sections: Sequence[SourceSection],
        ingest: Ingest,
        database: Database,
        clock: Callable[[], datetime],
        time_zone: str,
    ) -> None:
        self._sections = sections
        self._ingest = ingest
        self._database = database
        self._clock = clock
        self._zone = ZoneInfo(time_zone)

    def ingest_configured(self, format: str | None = None) -> Iterator[CaptureReport]:
        """Ingests every configured source, and settles snapshots left by interrupted runs.

        Raises:
            ConfigError: no source is configured.
            UsageError: there is no such format.
        """
        if not self._sections:
            raise ConfigError(
                ["no source is configured"], hint="add a [[sources]] section, or name a file"
            )
        self._check_formats(format)
        yield from self._with_leftovers(self._each_configured(format))

    def _each_configured(self, format: str | None) -> Iterator[CaptureReport]:
        with fetching() as fetcher:
            for section in self._sections:
                # A single run waits for a file that is still being copied into a folder.
                yield from self._one(section, fetcher, format, wait=time.sleep)

    def ingest_source(self, section: SourceSection) -> Iterator[CaptureReport]:
        """Ingests one configured source, and settles its snapshots left by interrupted runs."""
        with fetching() as fetcher:
            yield from self._one(section, fetcher, None)

    def ingest_named(
        self, locations: Sequence[str], format: str | None = None
    ) -> Iterator[CaptureReport]:
        """Ingests files, folders and URLs, in the order given.

        A configured path or URL belongs to its source, other files and URLs to `manual`, and
        any other folder to a source named by its path.

        Raises:
            UsageError: there is no such format.
        """
        self._check_formats(format)
        yield from self._with_leftovers(self._each_named(locations, format))

    def _each_named(self, locations: Sequence[str], format: str | None) -> Iterator[CaptureReport]:
        with fetching() as fetcher:
            for source, group in groupby(locations, self._source_name):
                section = self._section(source)
                found = [named(location, fetcher, self._today) for location in group]
                if section:
                    # A folder named on the command line is read as it is now.
                    yield from self._one(section, fetcher, format, rested=0)
                else:
                    captured = (one for location in found for one in location.captures())
                    whole = source != sources.MANUAL
                    yield from self._ingest.captures(
                        source, captured, whole_folder=whole, format=format
                    )

    def _with_leftovers(self, reports: Iterator[CaptureReport]) -> Iterator[CaptureReport]:
        """Adds snapshots left by earlier runs, except of sources with no time left in this run."""
        waiting = set()
        for report in reports:
            if report.postponed:
                waiting.add(report.source)
            yield report
        yield from self._ingest.leftovers(excluded=waiting)

    def replay(
        self, locations: Sequence[str], format: str | None = None
    ) -> Iterator[CaptureReport]:
        """Ingests files, folders and URLs in the order given, as one source.

        Raises:
            UsageError: there is no such format.
        """
        self._check_formats(format)
        with fetching() as fetcher:
            captured: Iterator[Captured] = (
                one
                for location in locations
                for one in named(location, fetcher, self._today).captures()
            )
            yield from self._ingest.captures(
                sources.REPLAY, captured, announce_all=True, hurried=False, format=format
            )

    def rename(self, old: str, new: str) -> Renamed:
        """Continues the source `old` under the name `new`; see `SourceRename`.

        Raises:
            UsageError: there is no such source, or it cannot be given that name.
        """
        configured = {section.name for section in self._sections}
        return SourceRename(self._database, configured).rename(old, new)

    def captured_at(self, source: str) -> datetime | None:
        """Returns the time of the source's last capture, or `None` if it has none."""
        with self._database.read() as tx:
            return sources.captured_at(tx, source)

    def _check_formats(self, given: str | None) -> None:
        """Raises `UsageError` for a format that does not exist, before anything is attempted."""
        for name in (given, *(section.format for section in self._sections)):
            if name:
                formats.named(name)

    def _one(
        self,
        section: SourceSection,
        fetcher: FetcherFor,
        format: str | None,
        *,
        rested: float = RESTED,
        wait: Callable[[float], None] | None = None,
    ) -> Iterator[CaptureReport]:
        source = configured(
            section,
            fetcher,
            self._today,
            self._known(section.name) if section.url else SourceRecord(),
            rested=rested,
            wait=wait,
        )
        yield from self._ingest.captures(
            section.name,
            source.captures(),
            whole_folder=bool(section.path) and is_folder(section.path),
            watched=True,
            format=format or section.format or None,
        )

    def _known(self, name: str) -> SourceRecord:
        with self._database.read() as tx:
            return SourceRecord(sources.validators_of(tx, name), sources.answers_of(tx, name))

    def _section(self, name: str) -> SourceSection | None:
        return next((s for s in self._sections if s.name == name), None)

    def _source_name(self, location: str) -> str:
        """Returns the configured source of this location, else the folder's path or `manual`."""
        path = os.path.realpath(location)
        for section in self._sections:
            if section.url == location or (section.path and os.path.realpath(section.path) == path):
                return section.name
        return path if is_folder(location) else sources.MANUAL

    def _today(self) -> datetime:
        return self._clock().astimezone(self._zone)
