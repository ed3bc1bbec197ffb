"""The one place where concrete parts are put together: configuration in, running parts out."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from email.headerregistry import Address
from email.utils import parseaddr
from functools import cache, cached_property
from importlib.resources import files as resource_files
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from newsletter import formats, silence
from newsletter.config import Config, SourceSection
from newsletter.errors import (
    ConfigError,
    NewsletterError,
    SourceMissing,
    StorageError,
    UsageError,
)
from newsletter.ingest import Captured, Ingest, Report
from newsletter.models import SnapshotState
from newsletter.sources import Source
from newsletter.sources.files import RESTED, FileSource, FolderSource
from newsletter.sources.stdin import STANDARD_INPUT, StdinSource
from newsletter.storage import log, snapshots, sources
from newsletter.storage.database import Database
from newsletter.storage.snapshots import SnapshotRow
from newsletter.storage.sources import SourceStatus

# Imported where they are used: an ingest of a file needs none of them, and half its time
# would be theirs.
if TYPE_CHECKING:
    from newsletter.message import Sender
    from newsletter.planning import Edition, Planner
    from newsletter.preview import Written
    from newsletter.render import Look
    from newsletter.sources.fetch import Fetcher

MANUAL = "manual"
"""The source of files and addresses named on the command line."""

FetcherFor = Callable[[], "Fetcher"]
"""What fetches, made at its first use."""


def now() -> datetime:
    """The current instant."""
    return datetime.now(UTC)


def deeper_problems(config: Config) -> list[str]:
    """What is wrong beyond the values themselves: formats that do not exist, a broken theme."""
    from newsletter.render import Look, Renderer

    problems = []
    for number, section in enumerate(config.sources, 1):
        try:
            _ = formats.named(section.format) if section.format else None
        except UsageError as error:
            problems.append(f"sources[{number}].format: {error}")
    templates = config.theme.templates_dir
    try:
        renderer = Renderer(Look(theme=config.theme.name), Path(templates) if templates else None)
        _ = renderer.html, renderer.fingerprint
    except NewsletterError as error:
        problems.append(f"theme: {error}")
    return problems


def sample() -> list[Path]:
    """The bundled sample: captures of two consecutive days, of invented papers."""
    folder = Path(str(resource_files("newsletter"))) / "sample"
    return sorted(folder.glob("*.json"))


class App:
    """The program with one configuration.

    Args:
        config: the configuration.
        database: where everything is remembered; opened from the configuration when
            it is not given.
    """

    def __init__(self, config: Config, database: Database | None = None) -> None:
        self._config = config
        self._database = database or Database(config.database.url)
        self._ingest = Ingest(self._database, now)

    def close(self) -> None:
        """Lets go of the database."""
        self._database.close()

    # --- capture → log

    def ingest_configured(self, format: str | None = None) -> Iterator[Report]:  # noqa: A002
        """Takes in what every configured source has now.

        Raises:
            ConfigError: no source is configured.
        """
        if not self._config.sources:
            raise ConfigError(
                ["no source is configured"], hint="add a [[sources]] section, or name a file"
            )
        for section in self._config.sources:
            if section.format:
                formats.named(section.format)
        with _fetching() as fetcher:
            for section in self._config.sources:
                place, whole = self._source_for(section, fetcher)
                yield from self._ingest.captures(
                    section.name,
                    place.captures(),
                    whole_folder=whole,
                    format=format or section.format or None,
                )

    def ingest_named(
        self,
        places: Sequence[str],
        format: str | None = None,  # noqa: A002
    ) -> Iterator[Report]:
        """Takes in files and addresses as source `manual`, each folder as a source of its own."""
        with _fetching() as fetcher:
            folders = [place for place in places if Path(place).is_dir()]
            loose = (
                one
                for place in places
                if place not in folders
                for one in _named(place, fetcher, self._today).captures()
            )
            if len(folders) < len(places):
                yield from self._ingest.captures(MANUAL, loose, format=format)
            for folder in folders:
                source = self._folder_name(folder)
                found = FolderSource(Path(folder)).captures()
                yield from self._ingest.captures(source, found, whole_folder=True, format=format)

    def replay(self, places: Sequence[str], format: str | None = None) -> Iterator[Report]:  # noqa: A002
        """Takes in files, folders and addresses in the order given, as one source."""
        with _fetching() as fetcher:
            captured: Iterator[Captured] = (
                one for place in places for one in _named(place, fetcher, self._today).captures()
            )
            yield from self._ingest.captures("replay", captured, announce_all=True, format=format)

    def release(self, snapshot: int, *, silent: bool) -> Report:
        """Announces what a held or rejected snapshot has."""
        self._waits(snapshot)
        return self._ingest.release(snapshot, silent=silent)

    def reject(self, snapshot: int) -> SnapshotRow:
        """Leaves a held snapshot out for good; its bytes stay."""
        self._waits(snapshot)
        with self._database.write() as tx:
            snapshots.reject(tx, snapshot)
            return snapshots.get(tx, snapshot)

    def snapshots(self, state: SnapshotState | None = None) -> list[SnapshotRow]:
        """All snapshots, oldest first."""
        with self._database.read() as tx:
            return snapshots.listed(tx, state)

    def _waits(self, snapshot: int) -> None:
        with self._database.read() as tx:
            state = snapshots.get(tx, snapshot).state
        if state not in (SnapshotState.HELD, SnapshotState.REJECTED):
            raise UsageError(
                f"snapshot {snapshot} is {state}, not held",
                hint="`newsletter snapshots list --state held` shows those that wait",
            )

    def _source_for(self, section: SourceSection, fetcher: FetcherFor) -> tuple[Source, bool]:
        """The source a section describes, and whether it is a folder."""
        if section.url:
            from newsletter.sources.url import UrlSource

            with self._database.read() as tx:
                validators = sources.validators_of(tx, section.name)
            place = UrlSource(
                section.url,
                fetcher(),
                self._today,
                allow_private=section.allow_private,
                validators=validators,
            )
            return place, False
        path = Path(section.path)
        return (
            (FolderSource(path, rested=RESTED, dated=True), True)
            if path.is_dir()
            else (FileSource(path), False)
        )

    def _folder_name(self, folder: str) -> str:
        """The configured source that reads this folder, else the folder's path."""
        path = Path(folder).resolve()
        for section in self._config.sources:
            if section.path and Path(section.path).resolve() == path:
                return section.name
        return str(path)

    def _today(self) -> datetime:
        return now().astimezone(ZoneInfo(self._config.newsletter.time_zone))

    # --- log → editions

    @cached_property
    def _look(self) -> Look:
        from newsletter.render import Look

        config = self._config
        return Look(
            name=config.newsletter.name,
            theme=config.theme.name,
            language=config.newsletter.language,
            accent=config.theme.accent,
            accent_dark=config.theme.dark,
            postal_address=config.newsletter.postal_address,
        )

    @cached_property
    def _planner(self) -> Planner:
        from newsletter.planning import Planner
        from newsletter.render import Renderer

        templates = self._config.theme.templates_dir
        return Planner(
            Renderer(self._look, Path(templates) if templates else None),
            self._look,
            self._config.theme.excerpts,
            self._config.newsletter.base_url,
        )

    def edition_of(self, report: Report) -> Edition | None:
        """The edition of what one capture brought; `None` when that is nothing."""
        return self._planner.edition(report.new) if report.new else None

    def next_edition(self) -> Edition | None:
        """The edition a newcomer would get now; `None` on an empty log."""
        from newsletter import planning

        entries = planning.newcomers_entries(self._database)
        return self._planner.edition(entries) if entries else None

    def freeze(self, edition: Edition) -> None:
        """Keeps an edition as it was made."""
        from newsletter import planning

        planning.freeze(self._database, edition, self._look, now())

    def write(self, edition: Edition, folder: Path) -> Written:
        """The edition's files in a folder, as a recipient nobody is would get it.

        Raises:
            OutputError: they cannot be written.
        """
        from newsletter import preview

        base = self._config.newsletter.base_url
        return preview.write(edition, folder, self._sender, base, now())

    @property
    def _sender(self) -> Sender:
        from newsletter.message import NO_OWNER, Sender

        section = self._config.newsletter
        return Sender(
            name=section.name,
            address=_address(section.sender, section.name),
            reply_to=_address(section.reply_to, "") if section.reply_to else None,
            owner=_address(section.owner, "").addr_spec if section.owner else NO_OWNER,
        )

    # --- how things stand

    def status(self) -> tuple[list[SourceStatus], list[SnapshotRow], str]:
        """How every source fares, what is held, and why nothing went out."""
        with self._database.read() as tx:
            fares = sources.all_status(tx)
            held = snapshots.listed(tx, SnapshotState.HELD)
            waiting = log.waiting(tx, log.newcomer_cursor(tx))
        failing = [source for source in fares if source.failing_since]
        return (
            fares,
            held,
            silence.reason(
                silence.Standing(
                    held=tuple(snapshot.id for snapshot in held),
                    held_reason=(held[0].reason or "") if held else "",
                    failing=tuple(source.name for source in failing),
                    failure=(failing[0].failure or "") if failing else "",
                    captured=sum(source.snapshots for source in fares),
                    newest_new=sum(source.new for source in fares),
                    waiting=waiting,
                )
            ),
        )


@contextmanager
def _fetching() -> Iterator[FetcherFor]:
    """Something to fetch with, made when the first address comes: most runs have none."""
    with ExitStack() as stack:

        @cache
        def fetcher() -> Fetcher:
            from newsletter.sources import fetch

            return stack.enter_context(fetch.Fetcher())

        yield fetcher


@contextmanager
def opened(config: Config) -> Iterator[App]:
    """The program with its configured database."""
    app = App(config)
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


def _named(place: str, fetcher: FetcherFor, clock: Callable[[], datetime]) -> Source:
    if place == STANDARD_INPUT:
        return StdinSource(sys.stdin.buffer, now)
    if re.match(r"https?://", place):
        from newsletter.sources.url import UrlSource

        return UrlSource(place, fetcher(), clock)
    if re.match(r"[a-z][a-z0-9+.-]*://", place):
        return _Refused(place)
    path = Path(place)
    return FolderSource(path) if path.is_dir() else FileSource(path)


class _Refused:
    """An address of a kind we do not read."""

    def __init__(self, place: str) -> None:
        self._place = place

    def captures(self) -> Iterator[Captured]:
        """Why not."""
        yield SourceMissing(
            "not an address we read", where=self._place, hint="use http://, https:// or a path"
        )


def _address(mailbox: str, name: str) -> Address:
    from newsletter.message import NOWHERE

    if not mailbox:
        return Address(name, "newsletter", NOWHERE)
    display, spec = parseaddr(mailbox)
    return Address(display or name, addr_spec=spec)
