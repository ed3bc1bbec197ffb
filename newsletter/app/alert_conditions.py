"""The problems that need the owner's attention: what is wrong, since when, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from newsletter.app.edition_factories import owner_address
from newsletter.app.reason_words import (
    circuit_open,
    edition_held,
    sentence,
    snapshot_held,
    source_failing,
)
from newsletter.config.schema import Config
from newsletter.editions.notice_kinds import REPORT, WEEKLY
from newsletter.errors import ClockBehind, StorageError
from newsletter.models import Circuit, DeliveryState, EditionState, SnapshotState, SubscriberState
from newsletter.planning.rules import refuse_old_clock
from newsletter.storage import (
    breakers,
    deliveries,
    editions,
    generations,
    installation,
    notices,
    snapshots,
    sources,
    subscribers,
)
from newsletter.storage.database import Database
from newsletter.storage.installation import LIMITED, Installation
from newsletter.subscribers.address import normal_form
from newsletter.text.dates import utc

WELL_AGAIN = timedelta(days=1)
"""How long a source must not have failed before it is reported as recovered."""
PASSES = timedelta(hours=1)
"""How long sending may fail before it is reported."""
NOTHING_ACCEPTED = timedelta(hours=4)
"""How long servers may accept nothing at all before it is reported."""
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_MANY = 10
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_OLDER = "older database"
_ALL_MAIL = ("clock", "sending", "breaker", "nothing accepted", _OLDER)


@dataclass(frozen=True, slots=True)
class Alert:
    """A problem that needs the owner's attention.

    Attributes:
        name: identifies the problem; stays the same while the problem does.
        words: the problem, and what to do about it.
    """

    name: str
    words: str

    @property
    def concerns_all_mail(self) -> bool:
        """Whether no mail goes out because of it."""
        return self.name in _ALL_MAIL


class AlertConditions:
    """Finds the problems that need the owner's attention.

    Args:
        config: the configuration.
        database: the installation's database.
    """

    def __init__(self, config: Config, database: Database) -> None:
        self._source_names = {section.name for section in config.sources}
        self._owner = normal_form(owner_address(config))
        self._database = database

    def current(self, at: datetime) -> list[Alert]:
        """Returns the problems that there are now.

        Raises:
            StorageError: the database cannot be read.
        """
        try:
            generations.check(self._database)
        except StorageError as error:  # what else the database says may be out of date
            return [Alert(_OLDER, f"Nothing is planned or sent: {error}.")]
        with self._database.read() as tx:
            row = installation.get(tx)
            return [
                *self._source_alerts(tx, row, at),
                *_held(tx),
                *self._sending_alerts(tx, row, at),
                *_unsettled(tx),
            ]

    def untold(self, at: datetime) -> list[Alert]:
        """Returns the problems that the owner has not been told of.

        Raises:
            StorageError: the database cannot be read.
        """
        with self._database.read() as tx:
            known = set(installation.get(tx).alerted)
            report = notices.open_report(tx, self._owner) if self._owner else None
        if report and report.state is DeliveryState.SENT:
            known = set(report.alerts)
        return [alert for alert in self.current(at) if alert.name not in known]

    def _source_alerts(self, tx: Connection, row: Installation, at: datetime) -> Iterator[Alert]:
        """Yields alerts for failing sources, and for reported ones that failed recently.

        An intermittent failure is therefore one problem, not one per occurrence.
        """
        for one in sources.all_status(tx):
            name = f"source {one.name}"
            if one.name not in self._source_names:
                continue
            if one.failing_since:
                words = source_failing(one.name, one.failing_since, one.failure or "")
                yield Alert(name, f"The source {words}.")
            elif name in row.alerted and one.failed_at and at - one.failed_at < WELL_AGAIN:
                yield Alert(
                    name,
                    f"The source {one.name} fails now and then, last at "
                    f"{utc(one.failed_at)}. It counts as recovered after a day without "
                    "a failure.",
                )

    def _sending_alerts(self, tx: Connection, row: Installation, at: datetime) -> Iterator[Alert]:
        """Yields alerts for mail that does not go out, and for a surge of suppressions."""
        opened = breakers.listed(tx)
        yield from map(_breaker, opened)
        if not any(one.domain == "" for one in opened):  # which says why nothing goes out
            yield from _stopped(row, at)
            yield from self._nothing_accepted(tx, at)
        gone = subscribers.suppressed_since(tx, at - _DAY)
        active = subscribers.counts(tx).get(SubscriberState.ACTIVE, 0)
        if gone >= _MANY and gone > active / 10:
            yield Alert(
                "suppressed",
                f"{gone:,} subscribers were suppressed within a day: their servers say that there "
                "is no such mailbox. If that is wrong, the fault is probably in your own mail "
                "server; `newsletter suppressions undo --since 1d` makes them active again.",
            )

    def _nothing_accepted(self, tx: Connection, at: datetime) -> Iterator[Alert]:
        """Yields an alert if servers have deferred or refused everything for hours.

        A single subscriber whose mail is deferred is no reason, unless there is no other.
        """
        hour, accepted = self._last_accepted(tx)
        failing, later = deliveries.failing(tx, hour), deliveries.failing(tx, hour + _HOUR)
        if accepted > failing.subscribers - later.subscribers:
            failing = later  # those that failed in that hour are exceptions
        active = subscribers.counts(tx).get(SubscriberState.ACTIVE, 0)
        if (
            failing.since is None
            or failing.subscribers < min(2, active)
            or at - failing.since < NOTHING_ACCEPTED
        ):
            return
        yield Alert(
            "nothing accepted",
            f"No server has accepted any mail to subscribers since {utc(failing.since)}: "
            f"{failing.deferred:,} deferred, {failing.refused:,} refused. `newsletter deliveries "
            "--state deferred` (or `refused`) shows the servers' replies; deferred mail is tried "
            "again by itself, and `newsletter deliveries retry --state refused` sends the rest "
            "once the cause is fixed.",
        )

    def _last_accepted(self, tx: Connection) -> tuple[datetime, int]:
        """Returns the last hour in which a server accepted mail, and how many messages.

        Reports to the owner do not count: else the report of a problem would be its end.
        """
        for hour, accepted in installation.accepting_hours(tx):
            reports = notices.count_sent(tx, self._owner, (REPORT, WEEKLY), hour, hour + _HOUR)
            if accepted > reports:
                return hour, accepted - reports
        return _EVER, 0


def _held(tx: Connection) -> Iterator[Alert]:
    for snapshot in snapshots.listed(tx, SnapshotState.HELD):
        yield Alert(
            f"snapshot {snapshot.id}",
            sentence(snapshot_held(snapshot.id, snapshot.source, snapshot.reason or "")),
        )
    for edition in editions.listed(tx, EditionState.HELD):
        yield Alert(
            f"edition {edition.id}",
            sentence(edition_held(edition.id, edition.reason or "")),
        )


def _breaker(row: Circuit) -> Alert:
    name = f"breaker {row.domain}" if row.domain else "breaker"
    return Alert(name, sentence(circuit_open(row)))


def _stopped(row: Installation, at: datetime) -> Iterator[Alert]:
    try:
        refuse_old_clock(row, at)
    except ClockBehind as error:
        yield Alert("clock", f"Nothing is planned or sent: {error}.")
    since = row.stopped_at
    if row.stopped and row.stopped != LIMITED and since and at - since >= PASSES:
        yield Alert(
            "sending",
            f"Sending has been stopped since {utc(since)}: {row.stopped}. Every run tries "
            "again; `newsletter doctor` looks for the cause.",
        )


def _unsettled(tx: Connection) -> Iterator[Alert]:
    # Without notices: a report that may not have arrived would cause another report.
    counts = deliveries.ended_otherwise(tx, notices=False, acknowledged=False)
    for state, what in _UNSETTLED.items():
        if many := counts.get(state):
            mails = "1 mail" if many == 1 else f"{many:,} mails"
            yield Alert(f"{state} {deliveries.newest(tx, state)}", f"{mails} {what}")


_UNSETTLED = {
    DeliveryState.UNKNOWN: (
        "may or may not have arrived, because a sender died or a server did not answer. "
        "`newsletter deliveries --state unknown` lists them; `newsletter deliveries settle` "
        "records what became of them, `newsletter deliveries retry` sends them again."
    ),
    DeliveryState.EXPIRED: (
        "could not be sent within the time allowed (`give_up_after`). `newsletter deliveries "
        "--state expired` lists them; `newsletter deliveries retry --state expired` tries again."
    ),
}
