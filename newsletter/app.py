"""The one place where concrete parts are put together: configuration in, running parts out."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.headerregistry import Address
from email.utils import parseaddr
from importlib.resources import files as resource_files
from pathlib import Path
from zoneinfo import ZoneInfo

from newsletter import formats, message, planning, preview, silence
from newsletter.config import Config, SourceSection
from newsletter.errors import (
    ConfigError,
    NewsletterError,
    SourceError,
    SourceMissing,
    StorageError,
    UsageError,
)
from newsletter.ingest import Captured, Ingest, Report
from newsletter.models import Snapshot, SnapshotState
from newsletter.planning import Edition, Planner
from newsletter.preview import Written
from newsletter.render import Look, Renderer
from newsletter.sources import Source
from newsletter.sources.fetch import Fetcher
from newsletter.sources.files import RESTED, FileSource, FolderSource
from newsletter.sources.stdin import StdinSource
from newsletter.sources.url import UrlSource
from newsletter.storage import log, snapshots, sources
from newsletter.storage.database import Database
from newsletter.storage.snapshots import SnapshotRow
from newsletter.storage.sources import SourceStatus

MANUAL = "manual"
"""The source of files and addresses named on the command line."""

STANDARD_INPUT = "-"


def now() -> datetime:
    """The current instant."""
    return datetime.now(UTC)


def deeper_problems(config: Config) -> list[str]:
    """What is wrong beyond the values themselves: formats that do not exist, a broken theme."""
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


def inspect(place: str, format: str | None) -> tuple[str, str, Snapshot]:  # noqa: A002
    """The format of a file or of standard input, the sign it was recognised by, its papers.

    Raises:
        SourceError: it cannot be read.
        SnapshotUnreadable: no format knows it, or no list is found.
        UsageError: there is no such format.
    """
    source = (
        StdinSource(sys.stdin.buffer, now) if place == STANDARD_INPUT else FileSource(Path(place))
    )
    (found,) = source.captures()
    if isinstance(found, SourceError):
        raise found
    document = formats.Document(found.data, found.day, found.dated_by)
    chosen, sign = (formats.named(format), "asked for") if format else formats.sniff(document)
    snapshot = formats.parse(found.data, day=found.day, dated_by=found.dated_by, format=chosen.name)
    return chosen.name, sign, snapshot


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
        self._look = Look(
            name=config.newsletter.name,
            theme=config.theme.name,
            language=config.newsletter.language,
            accent=config.theme.accent,
            accent_dark=config.theme.dark,
            postal_address=config.newsletter.postal_address,
        )
        templates = config.theme.templates_dir
        self._planner = Planner(
            Renderer(self._look, Path(templates) if templates else None),
            self._look,
            config.theme.excerpts,
            config.newsletter.base_url,
        )

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
        with Fetcher() as fetcher:
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
        with Fetcher() as fetcher:
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
        with Fetcher() as fetcher:
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

    def _source_for(self, section: SourceSection, fetcher: Fetcher) -> tuple[Source, bool]:
        """The source a section describes, and whether it is a folder."""
        if section.url:
            with self._database.read() as tx:
                validators = sources.validators_of(tx, section.name)
            place = UrlSource(
                section.url,
                fetcher,
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

    def edition_of(self, report: Report) -> Edition | None:
        """The edition of what one capture brought; `None` when that is nothing."""
        return self._planner.edition(report.new) if report.new else None

    def next_edition(self) -> Edition | None:
        """The edition a newcomer would get now; `None` on an empty log."""
        entries = planning.newcomers_entries(self._database)
        return self._planner.edition(entries) if entries else None

    def freeze(self, edition: Edition) -> None:
        """Keeps an edition as it was made."""
        planning.freeze(self._database, edition, self._look, now())

    def write(self, edition: Edition, folder: Path) -> Written:
        """The edition's files in a folder, as a recipient nobody is would get it.

        Raises:
            OutputError: they cannot be written.
        """
        base = self._config.newsletter.base_url
        return preview.write(edition, folder, self._sender, base, now())

    @property
    def _sender(self) -> message.Sender:
        section = self._config.newsletter
        return message.Sender(
            name=section.name,
            address=_address(section.sender, section.name),
            reply_to=_address(section.reply_to, "") if section.reply_to else None,
            owner=_address(section.owner, "").addr_spec if section.owner else message.NO_OWNER,
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


def _named(place: str, fetcher: Fetcher, clock: Callable[[], datetime]) -> Source:
    if place == STANDARD_INPUT:
        return StdinSource(sys.stdin.buffer, now)
    if re.match(r"https?://", place):
        return UrlSource(place, fetcher, clock)
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
    if not mailbox:
        return Address(name, "newsletter", message.NOWHERE)
    display, spec = parseaddr(mailbox)
    return Address(display or name, addr_spec=spec)
