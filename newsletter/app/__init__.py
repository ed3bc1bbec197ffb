"""The one place where concrete parts are put together: configuration in, running parts out."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from newsletter import formats
from newsletter.app.places import FetcherFor, configured, fetching, named, now
from newsletter.config import Config, SourceSection
from newsletter.errors import (
    ConfigError,
    StorageError,
)
from newsletter.ingest import Ingest
from newsletter.models import SnapshotState
from newsletter.reports import Captured, Report
from newsletter.sources.files import RESTED, is_folder
from newsletter.storage import snapshots, sources, standing
from newsletter.storage.database import Database
from newsletter.storage.snapshots import SnapshotRow

# Imported where they are used: an ingest of a file needs none of them, and half its time
# would be theirs.
if TYPE_CHECKING:
    from newsletter.app.mailing import Mailing
    from newsletter.app.readers import Readers
    from newsletter.app.status import Status
    from newsletter.app.why import Fact
    from newsletter.editing import Edition
    from newsletter.preview import Written
    from newsletter.subscriptions import Subscriptions

CHECK_SECONDS = 2.0
"""How long a check waits for another writer: longer than our own transactions take."""

MANUAL = "manual"
"""The source of files and addresses named on the command line."""


class App:
    """The program with one configuration.

    Args:
        config: the configuration.
        database: where everything is remembered; opened from the configuration when
            it is not given.
        clock: the current instant, aware.
    """

    def __init__(
        self,
        config: Config,
        database: Database | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._config = config
        self._database = database or Database(config.database.url)
        self._clock = clock
        self._ingest = Ingest(self._database, clock)

    def close(self) -> None:
        """Lets go of the database."""
        self._database.close()

    # --- capture → log

    def ingest_configured(self, format: str | None = None) -> Iterator[Report]:
        """Takes in what every configured source has now, and what runs that died have left.

        Raises:
            ConfigError: no source is configured.
            UsageError: there is no such format.
        """
        if not self._config.sources:
            raise ConfigError(
                ["no source is configured"], hint="add a [[sources]] section, or name a file"
            )
        self._check_formats(format)
        with fetching() as fetcher:
            for section in self._config.sources:
                # Who runs this once puts a page into a folder and wants it taken in.
                yield from self._configured(section, fetcher, format, wait=time.sleep)
        yield from self.settle_leftovers()

    def settle_leftovers(self) -> Iterator[Report]:
        """Takes in what runs that died have left, of any source."""
        yield from self._ingest.leftovers()

    def ingest_source(self, section: SourceSection) -> Iterator[Report]:
        """Takes in what one configured source has now, and what runs that died have left of it."""
        with fetching() as fetcher:
            yield from self._configured(section, fetcher, None)

    def captured_at(self, source: str) -> datetime | None:
        """When the source of that name gave anything last."""
        with self._database.read() as tx:
            return sources.captured_at(tx, source)

    def ingest_named(
        self,
        places: Sequence[str],
        format: str | None = None,
    ) -> Iterator[Report]:
        """Takes in files, folders and addresses, in the order given.

        What is configured belongs to its source; other files and addresses to `manual`,
        another folder to a source named by its path.

        Raises:
            UsageError: there is no such format.
        """
        self._check_formats(format)
        with fetching() as fetcher:
            for source, group in groupby(places, self._source_name):
                section = self._section(source)
                found = [named(place, fetcher, self._today) for place in group]
                if section:
                    # Who names a folder wants what is in it now.
                    yield from self._configured(section, fetcher, format, rested=0)
                else:
                    captured = (one for place in found for one in place.captures())
                    whole = source != MANUAL
                    yield from self._ingest.captures(
                        source, captured, whole_folder=whole, format=format
                    )
        yield from self.settle_leftovers()

    def replay(self, places: Sequence[str], format: str | None = None) -> Iterator[Report]:
        """Takes in files, folders and addresses in the order given, as one source.

        Raises:
            UsageError: there is no such format.
        """
        self._check_formats(format)
        with fetching() as fetcher:
            captured: Iterator[Captured] = (
                one for place in places for one in named(place, fetcher, self._today).captures()
            )
            yield from self._ingest.captures("replay", captured, announce_all=True, format=format)

    def release(self, snapshot: int, *, silent: bool, format: str | None = None) -> Report:
        """Announces what a held, rejected or unfinished snapshot has."""
        self._check_formats(format)
        return self._ingest.release(snapshot, silent=silent, format=format)

    def reject(self, snapshot: int) -> SnapshotRow:
        """Leaves a held snapshot out for good; its bytes stay."""
        return self._ingest.reject(snapshot)

    def snapshots(self, state: SnapshotState | None = None) -> list[SnapshotRow]:
        """All snapshots, oldest first."""
        with self._database.read() as tx:
            return snapshots.listed(tx, state)

    def _check_formats(self, asked: str | None) -> None:
        """Before anything is attempted: a format that does not exist is a usage error."""
        for name in (asked, *(section.format for section in self._config.sources)):
            if name:
                formats.named(name)

    def _configured(
        self,
        section: SourceSection,
        fetcher: FetcherFor,
        format: str | None,
        *,
        rested: float = RESTED,
        wait: Callable[[float], None] | None = None,
    ) -> Iterator[Report]:
        place, whole = configured(
            section, fetcher, self._today, self._database, rested=rested, wait=wait
        )
        yield from self._ingest.captures(
            section.name,
            place.captures(),
            whole_folder=whole,
            watched=True,
            format=format or section.format or None,
        )

    def _section(self, name: str) -> SourceSection | None:
        return next((s for s in self._config.sources if s.name == name), None)

    def _source_name(self, place: str) -> str:
        """The configured source that reads this place; else `manual`, or the folder's path."""
        path = os.path.realpath(place)
        for section in self._config.sources:
            if section.url == place or (section.path and os.path.realpath(section.path) == path):
                return section.name
        return path if is_folder(place) else MANUAL

    def _today(self) -> datetime:
        return self._clock().astimezone(ZoneInfo(self._config.newsletter.time_zone))

    # --- log → editions

    @cached_property
    def mailing(self) -> Mailing:
        """Plans and sends."""
        from newsletter.app.mailing import Mailing

        return Mailing(self._config, self._database, self._clock)

    @cached_property
    def subscriptions(self) -> Subscriptions:
        """Changes who gets editions."""
        from newsletter.app import parts
        from newsletter.subscriptions import Subscriptions

        return Subscriptions(self._database, parts.rules(self._config), self._clock)

    @cached_property
    def readers(self) -> Readers:
        """What readers do of their own accord."""
        from newsletter.app.readers import Readers

        return Readers(self._config, self._database, self.mailing, self.subscriptions, self._clock)

    def edition_of(self, report: Report) -> Edition | None:
        """The edition of what one capture brought; `None` when that is nothing."""
        return self.mailing.editor.edition(report.new) if report.new else None

    def next_edition(self, subscriber: str | None = None) -> Edition | None:
        """The edition that goes out next; `None` when there is nothing to send.

        Args:
            subscriber: the address of whose edition it is; by default it is that of the daily
                subscriber without topics who is furthest behind, or else a newcomer's.

        Raises:
            UsageError: there is no such subscriber.
        """
        from newsletter import planning
        from newsletter.subscriptions import address_of

        cursor = None
        if subscriber is not None:
            cursor = self.subscriptions.find(address_of(subscriber)).cursor
        entries = planning.next_entries(self._database, self._clock(), cursor)
        return self.mailing.editor.edition(entries) if entries else None

    def freeze(self, edition: Edition) -> None:
        """Keeps an edition as it was made."""
        from newsletter.app import editions
        from newsletter.storage import editions as kept

        look = editions.look(self._config)
        positions = [entry.position for entry in edition.entries]
        with self._database.write() as tx:
            kept.freeze(
                tx, edition.key, positions, look.language, look.theme, edition.parts, self._clock()
            )

    def write(self, edition: Edition, folder: Path) -> Written:
        """The edition's files in a folder, as a recipient nobody is would get it.

        Raises:
            OutputError: they cannot be written.
        """
        from newsletter import preview
        from newsletter.app.editions import sender

        base = self._config.newsletter.base_url
        return preview.write(edition, folder, sender(self._config), base, self._clock())

    def clear(self, folder: Path) -> None:
        """Takes away what an earlier run wrote where there is no edition now.

        Raises:
            OutputError: it stays.
        """
        from newsletter import preview

        preview.clear(folder)

    # --- how things stand

    def status(self) -> Status:
        """How everything stands, and why nothing goes out."""
        from newsletter.app.status import status

        return status(self._config, self._database, self._clock())

    def check(self) -> None:
        """Whether the database can be written to; takes a few seconds at most.

        Raises:
            StorageError: it cannot.
        """
        self._database.check_writable(CHECK_SECONDS)

    def check_file(self) -> None:
        """Whether the database that is open is still the one at its path.

        Raises:
            DatabaseReplaced: it is not.
            StorageError: it cannot be looked at.
        """
        self._database.check_file()

    def why(self, asked: str) -> list[Fact]:
        """The story of one reader, or of one paper.

        Raises:
            UsageError: there is no such subscriber or paper.
        """
        from newsletter.app.why import story

        return story(self._database, self.mailing, asked, self.status().silence)

    def pause(self) -> None:
        """Stops all sending, until `resume`."""
        with self._database.write() as tx:
            standing.pause(tx, self._clock())

    def resume(self) -> None:
        """Starts sending again, and takes the clock as right."""
        with self._database.write() as tx:
            standing.resume(tx, self._clock())


@contextmanager
def opened(config: Config, *, create: bool = True) -> Iterator[App]:
    """The program with its configured database, which is made if it is missing.

    Raises:
        DatabaseMissing: it is missing, and `create` is off.
    """
    app = App(config, Database(config.database.url, create=create))
    try:
        yield app
    finally:
        app.close()


@contextmanager
def throw_away() -> Iterator[App]:
    """The program with a database that is gone afterwards, and no configuration."""
    with _temporary_folder() as folder:
        app = App(Config(), Database(f"sqlite:///{folder}/replay.db"))
        try:
            yield app
        finally:
            app.close()


@contextmanager
def _temporary_folder() -> Iterator[str]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="newsletter-")
    except OSError as exc:
        raise StorageError(
            f"no temporary folder can be made ({exc.strerror})", hint="make room, or set TMPDIR"
        ) from exc
    with folder as path:
        yield path
