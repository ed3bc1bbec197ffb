"""Reports to the owner: one when action is needed, one when the problem is resolved, and an
optional weekly summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from newsletter.app import edition_factories, factories
from newsletter.config.schema import Config
from newsletter.delivery.recorder import LIMITED
from newsletter.editions.notices import REPORT, WEEKLY, Notices
from newsletter.models import DeliveryState, EditionState, SnapshotState, SubscriberState
from newsletter.storage import deliveries, installation, snapshots, sources, subscribers, trace
from newsletter.storage import editions as edition_rows
from newsletter.storage import notices as notice_rows
from newsletter.storage.database import Database
from newsletter.storage.subscribers import Preferences
from newsletter.subscribers.address import normal_form

WELL_AGAIN = timedelta(days=1)
"""How long a source must not have failed before it is reported as recovered."""
PASSES = timedelta(hours=1)
"""How long sending may fail before it is reported."""
_WEEK = timedelta(days=7)
_DAY = timedelta(days=1)
_MANY = 10
_EVERY = "weekly:mon"


@dataclass(frozen=True, slots=True)
class Alert:
    """A problem that needs the owner's attention.

    Attributes:
        name: identifies the problem; stays the same while the problem does.
        words: the problem, and what to do about it.
    """

    name: str
    words: str


class Alerts:
    """Queues reports to the owner.

    Args:
        config: the configuration.
        database: the installation's database.
        notices: renders transactional mails.
    """

    def __init__(self, config: Config, database: Database, notices: Notices) -> None:
        self._config = config
        self._database = database
        self._notices = notices

    def report(self, at: datetime) -> bool:
        """Queues reports of what the owner has not been told. Returns whether there are any."""
        return self._report_alerts(at) | self._report_week(at)

    def current(self, at: datetime) -> list[Alert]:
        """Returns the problems that need the owner's attention now."""
        found = self._source_alerts(at)
        with self._database.read() as tx:
            found += [
                Alert(
                    f"snapshot {row.id}",
                    f"Snapshot {row.id} of {row.source} is held: {row.reason}. "
                    f"`newsletter snapshots release {row.id}` or `reject` it.",
                )
                for row in snapshots.listed(tx, SnapshotState.HELD)
            ]
            found += [
                Alert(
                    f"edition {row.id}",
                    f"Edition {row.id} is held: {row.reason}. "
                    f"`newsletter editions release {row.id}` or `reject` it.",
                )
                for row in edition_rows.listed(tx, EditionState.HELD)
            ]
            found += self._sending_alerts(tx, at)
            # Without notices: a report that may not have arrived would cause another report.
            counts = deliveries.ended_otherwise(tx, notices=False)
            for state, what in _UNSETTLED.items():
                if counts.get(state):
                    name = f"{state} {deliveries.newest(tx, state)}"
                    found.append(Alert(name, what.format(counts[state])))
        return found

    def _sending_alerts(self, tx: Connection, at: datetime) -> list[Alert]:
        """Returns alerts for sending that has been failing, and for a surge of suppressions."""
        found = []
        row = installation.get(tx)
        since = row.stopped_at
        if row.stopped and row.stopped != LIMITED and since and at - since >= PASSES:
            words = f"Nothing goes out since {since:%Y-%m-%d %H:%M} UTC: {row.stopped}."
            found.append(Alert("sending", words))
        counts = subscribers.counts(tx)
        gone = subscribers.suppressed_since(tx, at - _DAY)
        if gone >= _MANY and gone > counts.get(SubscriberState.ACTIVE, 0) / 10:
            found.append(
                Alert(
                    "suppressed",
                    f"{gone:,} people were suppressed within a day: their servers say that there "
                    "is no such mailbox. If that is wrong, your own mail server says so; "
                    "`newsletter subscribers add --unsuppress ADDRESS` brings a subscriber back.",
                )
            )
        return found

    def _report_alerts(self, at: datetime) -> bool:
        """Queues a report if there is a new problem, or if all problems are resolved."""
        found = self.current(at)
        names = [trouble.name for trouble in found]
        with self._database.read() as tx:
            alerted = installation.get(tx).alerted
        if _is_known(names, alerted):
            if len(names) < len(alerted):
                with self._database.write() as tx:
                    installation.note_alerted(tx, names)  # a problem that recurs is reported again
            return False
        facts = {"troubles": [trouble.words for trouble in found]}
        with self._database.write() as tx:
            if _is_known(names, installation.get(tx).alerted):
                return False  # another run has already reported it
            installation.note_alerted(tx, names)
            if self._address:
                self._queue(tx, REPORT, at, **facts)
        return bool(self._address)

    def _report_week(self, at: datetime) -> bool:
        """Queues the weekly summary, if enabled: on Mondays at the newsletter's send time."""
        if not (self._config.newsletter.weekly_report and self._address):
            return False
        last = factories.rules(self._config).schedule(Preferences(_EVERY)).last_due(at)
        with self._database.read() as tx:
            reported_on = installation.get(tx).week_reported_on
        if last is None or (reported_on and reported_on >= last[0]):
            return False
        facts = self._week(at)
        with self._database.write() as tx:
            if installation.get(tx).week_reported_on != reported_on:
                return False  # another run has already reported it
            installation.note_week_reported(tx, last[0])
            if reported_on is None:
                return False  # the first report covers the first full week
            self._queue(tx, WEEKLY, at, **facts)
        return True

    def _week(self, at: datetime) -> dict[str, object]:
        since = at - _WEEK
        with self._database.read() as tx:
            counts = subscribers.counts(tx)
            return {
                "since": f"{since:%Y-%m-%d}",
                "papers": trace.announced_since(tx, since),
                "mails": installation.sendings_since(tx, since),
                "active": counts.get(SubscriberState.ACTIVE, 0),
                "paused": counts.get(SubscriberState.PAUSED, 0),
                "came": subscribers.added_since(tx, since),
                "left": subscribers.left_since(tx, since),
                "ended": [
                    f"{many:,} {state}"
                    for state, many in sorted(deliveries.ended_otherwise(tx, notices=False).items())
                ],
                "troubles": [trouble.words for trouble in self.current(at)],
            }

    def _queue(self, tx: Connection, kind: str, at: datetime, **facts: object) -> None:
        subject, text = self._notices.words(kind, name=self._config.newsletter.name, **facts)
        notice_rows.add(tx, kind, self._address, normal_form(self._address), subject, text, at)

    @property
    def _address(self) -> str:
        return edition_factories.owner_address(self._config)

    def _source_alerts(self, at: datetime) -> list[Alert]:
        """Returns alerts for failing sources, and for reported ones that failed recently.

        An intermittent failure is therefore one problem, not one per occurrence.
        """
        names = {section.name for section in self._config.sources}
        with self._database.read() as tx:
            alerted = installation.get(tx).alerted
            statuses = [one for one in sources.all_status(tx) if one.name in names]
        return [
            Alert(f"source {one.name}", f"The source {one.name} fails: {one.failure or 'again'}.")
            for one in statuses
            if one.failing_since
            or (
                f"source {one.name}" in alerted
                and one.failed_at
                and at - one.failed_at < WELL_AGAIN
            )
        ]


def _is_known(troubles: Sequence[str], alerted: Sequence[str]) -> bool:
    """Returns whether the owner has been told of all of these, or that there are none left."""
    return set(troubles) <= set(alerted) and bool(troubles or not alerted)


_UNSETTLED = {
    DeliveryState.UNKNOWN: (
        "{:,} mails may have arrived or not, because a sender died or a server did not answer. "
        "`newsletter deliveries --state unknown` lists them; `deliveries settle` or `retry` them."
    ),
    DeliveryState.EXPIRED: (
        "{:,} mails were given up. `newsletter deliveries --state expired` lists them; "
        "`deliveries retry` sends them."
    ),
}
