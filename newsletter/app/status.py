"""The state of the installation, for `status` and for the summary of a run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from newsletter.app import automatic_backups
from newsletter.app.alert_conditions import AlertConditions
from newsletter.app.idle import IdleFacts, idle_reasons, joined
from newsletter.app.reason_words import edition_held, local, snapshot_held, source_failing
from newsletter.app.source_remarks import KnownSource, Remark, source_remarks
from newsletter.app.undelivered import MailFacts, Undelivered
from newsletter.config.schema import Config
from newsletter.errors import ClockBehind, DatabaseOlder, StorageError
from newsletter.models import DeliveryState, EditionState, SnapshotState, SubscriberState
from newsletter.planning import rules
from newsletter.storage import (
    breakers,
    deliveries,
    editions,
    erasure,
    generations,
    installation,
    log,
    outbox,
    senders,
    snapshots,
    subscribers,
)
from newsletter.storage import sources as source_rows
from newsletter.storage.database import Database
from newsletter.storage.editions import EditionRow
from newsletter.storage.snapshots import SnapshotRow
from newsletter.storage.sources import SourceStatus
from newsletter.text.dates import utc

_RECENT = timedelta(days=7)
_SOON = timedelta(minutes=15)
"""How long a due subscriber may wait for the next run before being reported as overdue."""


@dataclass(frozen=True, slots=True)
class Status:
    """The state of the installation.

    Attributes:
        subscribers: number of subscribers in each state.
        next_due_at: when the first subscriber is due.
        queued: number of messages that can be sent now.
        ended: number of messages, by state, that ended otherwise than sent or wait for a retry.
        idle_reasons: why nothing is sent, the most important reason first.
        remarks: sources that are new in the configuration or gone from it.
        configured: names of the configured sources.
        backups: number of automatic backups that are kept; 0 if none are made.
        newest_backup: the day of the newest of them.
        untold: the problems that no report to the owner has reached them with yet.
        is_erasing: whether addresses that were erased may still be in the database's files.
        at: when it was read.
    """

    sources: list[SourceStatus]
    snapshots: list[SnapshotRow]
    editions: list[EditionRow]
    subscribers: dict[SubscriberState, int]
    next_due_at: datetime | None
    queued: int
    ended: dict[DeliveryState, int]
    idle_reasons: tuple[str, ...]
    remarks: list[Remark] = field(default_factory=list)
    configured: frozenset[str] = frozenset()
    backups: int = 0
    newest_backup: date | None = None
    untold: tuple[str, ...] = ()
    is_erasing: bool = False
    at: datetime | None = None

    @property
    def idle_reason(self) -> str:
        """Why nothing is sent, in one line that starts with the most important reason."""
        return joined(self.idle_reasons)

    def concerns(self, source: SourceStatus) -> bool:
        """Returns whether a source is of interest now.

        Files and folders that were named once for `ingest` are not for ever: a week after the
        last capture, they are only if one of their captures is held.
        """
        if source.name in self.configured or source.watched or source.held:
            return True
        return not (self.at and source.captured_at and source.captured_at < self.at - _RECENT)


class StatusReader:
    """Reads the state of the installation. Changes nothing.

    Args:
        config: the configuration.
        database: the installation's database.
        clock: returns the current instant, aware.
    """

    def __init__(self, config: Config, database: Database, clock: Callable[[], datetime]) -> None:
        self._config = config
        self._database = database
        self._clock = clock

    def read(self) -> Status:
        """Returns the current state.

        Raises:
            StorageError: the database cannot be read.
        """
        at, older = self._clock(), _older(self._database)
        with self._database.read() as tx:
            is_sending = senders.any_alive(self._database.file)
            is_erasing = bool(erasure.noted(tx))
            found = _status(tx, self._config, at, older, is_sending=is_sending)
        untold = AlertConditions(self._config, self._database).untold(at)
        words = tuple(alert.words for alert in untold)
        found = replace(found, untold=words, is_erasing=is_erasing)
        if not self._config.database.backups:
            return found
        newest = automatic_backups.newest(self._database.file)
        return replace(found, backups=self._config.database.backups, newest_backup=newest)

    def source_remarks(self) -> list[Remark]:
        """Returns the remarks about sources that are new in the configuration or gone from it.

        Raises:
            StorageError: the database cannot be read.
        """
        with self._database.read() as tx:
            return remarks(self._config, source_rows.all_status(tx), self._clock())


def _older(database: Database) -> str:
    """Returns why nothing may be sent from this copy of the database; empty if that is not so."""
    try:
        generations.check(database)
    except DatabaseOlder as error:
        return f"{error.what}; {error.hint}"
    except StorageError as error:
        return str(error)
    return ""


def _status(
    tx: Connection, config: Config, at: datetime, older: str, *, is_sending: bool
) -> Status:
    captured = source_rows.all_status(tx)
    known_names = {one.name for one in captured}
    source_statuses = captured + [
        one for one in _never_asked(config) if one.name not in known_names
    ]
    held = snapshots.listed(tx, SnapshotState.HELD)
    stuck = editions.listed(tx, EditionState.HELD)
    counts = subscribers.counts(tx)
    due = subscribers.first_due(tx)
    queued = outbox.count_waiting(tx, at)
    facts = _facts(
        tx,
        config,
        at,
        source_statuses=source_statuses,
        held=held,
        stuck=stuck,
        counts=counts,
        due=due,
        is_sending=is_sending,
    )
    return Status(
        sources=source_statuses,
        snapshots=held,
        editions=stuck,
        subscribers=counts,
        next_due_at=due,
        queued=queued,
        ended=deliveries.ended_otherwise(tx),
        idle_reasons=idle_reasons(replace(facts, older=older)),
        remarks=remarks(config, captured, at),
        at=at,
        configured=_names(config),
    )


def remarks(config: Config, found: Sequence[SourceStatus], at: datetime) -> list[Remark]:
    """Returns the remarks about the sources that the configuration and the database have."""
    known = [
        KnownSource(
            one.name,
            captured_at=one.captured_at,
            first_snapshot=one.first_snapshot,
            last_snapshot=one.last_snapshot,
            origin=one.origin,
            watched=one.watched,
        )
        for one in found
    ]
    return source_remarks({one.name: one.url or one.path for one in config.sources}, known, at)


def _names(config: Config) -> frozenset[str]:
    return frozenset(section.name for section in config.sources)


def _facts(
    tx: Connection,
    config: Config,
    at: datetime,
    source_statuses: list[SourceStatus],
    *,
    held: list[SnapshotRow],
    stuck: list[EditionRow],
    counts: dict[SubscriberState, int],
    due: datetime | None,
    is_sending: bool,
) -> IdleFacts:
    """Returns the facts that the idle reasons are derived from."""
    row = installation.get(tx)
    waiting, last = _waiting(tx, at)
    if waiting:
        due = subscribers.first_due(tx, behind=last)
    return IdleFacts(
        held=tuple(snapshot_held(one.id, one.source, one.reason or "") for one in held),
        failing=tuple(_failing(source_statuses, _names(config))),
        captured=sum(source.snapshots for source in source_statuses),
        waiting=waiting,
        subscribers=counts.get(SubscriberState.ACTIVE, 0),
        paused=row.paused_at is not None,
        next_due=local(due, config.newsletter.time_zone) if due else "",
        is_due=due is not None and due <= at,
        editions=tuple(edition_held(one.id, one.reason or "") for one in stuck),
        clock=_clock(row, at),
        paused_subscribers=counts.get(SubscriberState.PAUSED, 0),
        pending_subscribers=counts.get(SubscriberState.PENDING, 0),
        suppressed_subscribers=counts.get(SubscriberState.SUPPRESSED, 0),
        overdue=utc(due) if due and waiting and due < at - _SOON else "",
        mail=MailFacts(
            [Undelivered(*one) for one in deliveries.undelivered(tx, at)],
            breakers.listed(tx),
            row.stopped,
            is_sending,
        ),
    )


def _failing(found: Sequence[SourceStatus], configured: Collection[str]) -> Iterator[str]:
    """Yields a description of each configured source that fails."""
    for one in found:
        if one.failing_since and one.name in configured:
            yield source_failing(one.name, one.failing_since, one.failure or "")


def nothing_yet(config: Config, where: str) -> Status:
    """Returns the state where there is no database: not yet, or no longer."""
    reasons = no_database(where)
    return Status(_never_asked(config), [], [], {}, None, 0, {}, reasons, configured=_names(config))


def no_database(where: str) -> tuple[str, ...]:
    """Returns why nothing is sent where there is no database, by what lies beside its place."""
    file = Path(where)
    backup = automatic_backups.newest(file)
    if backup is None and not generations.is_beside(file):
        first, *others = idle_reasons(IdleFacts())
        return (f"{first} (no database at {where})", *others)
    last = f"; the newest automatic backup is of {backup}" if backup else ""
    return (
        f"held: the database is gone from {where}{last}; mount its volume, or bring a backup back "
        "with `newsletter restore FILE`",
    )


def _never_asked(config: Config) -> list[SourceStatus]:
    return [SourceStatus.never_asked(section.name) for section in config.sources]


def _waiting(tx: Connection, at: datetime) -> tuple[int, int]:
    """Returns the number of papers that are waiting, and the position of the last of them.

    They are those that the subscriber furthest behind, or a new one, would be planned.
    """
    cursor = subscribers.oldest_cursor(tx, everyone=True)
    if cursor is None:
        cursor = log.newcomer_cursor(tx, rules.latest_day(at))
    return log.waiting(tx, cursor), log.last_waiting(tx, cursor)


def _clock(row: installation.Installation, at: datetime) -> str:
    try:
        rules.refuse_old_clock(row, at)
    except ClockBehind as behind:
        return str(behind)
    return ""
