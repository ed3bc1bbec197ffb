"""What the owner is told: once when something needs them, once when it is well again, and,
if they like, how the week went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from newsletter.app import editions, parts
from newsletter.config.schema import Config
from newsletter.delivery import LIMITED
from newsletter.models import DeliveryState, EditionState, SnapshotState, SubscriberState
from newsletter.notices import REPORT, WEEKLY, Notices
from newsletter.recipients import normal_form
from newsletter.storage import deliveries, people, snapshots, sources, standing, stories
from newsletter.storage import editions as kept
from newsletter.storage import notices as letters
from newsletter.storage.database import Database
from newsletter.storage.people import Wishes

WELL_AGAIN = timedelta(days=1)
"""How long a source must not have failed before the owner hears that it is well."""
PASSES = timedelta(hours=1)
"""How long sending may fail before the owner hears of it."""
_WEEK = timedelta(days=7)
_DAY = timedelta(days=1)
_MANY = 10
_EVERY = "weekly:mon"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that needs the owner.

    Attributes:
        name: the same as long as it is the same.
        words: what, and what to do.
    """

    name: str
    words: str


class Owner:
    """Writes to the owner with one configuration.

    Args:
        config: the configuration.
        database: where everything is remembered.
        notices: the words of mails.
    """

    def __init__(self, config: Config, database: Database, notices: Notices) -> None:
        self._config = config
        self._database = database
        self._notices = notices

    def report(self, at: datetime) -> bool:
        """Queues what the owner does not know yet; whether there is such a mail."""
        return self._report_troubles(at) | self._report_week(at)

    def troubles(self, at: datetime) -> list[Trouble]:
        """What needs the owner now."""
        found = self._source_troubles(at)
        with self._database.read() as tx:
            found += [
                Trouble(
                    f"snapshot {row.id}",
                    f"Snapshot {row.id} of {row.source} is held: {row.reason}. "
                    f"`newsletter snapshots release {row.id}` or `reject` it.",
                )
                for row in snapshots.listed(tx, SnapshotState.HELD)
            ]
            found += [
                Trouble(
                    f"edition {row.id}",
                    f"Edition {row.id} is held: {row.reason}. "
                    f"`newsletter editions release {row.id}` or `reject` it.",
                )
                for row in kept.listed(tx, EditionState.HELD)
            ]
            found += self._sending_troubles(tx, at)
            # Not of reports: each that may not have arrived would be the reason for another.
            counts = deliveries.ended_otherwise(tx, notices=False)
            for state, what in _UNSETTLED.items():
                if counts.get(state):
                    name = f"{state} {deliveries.newest(tx, state)}"
                    found.append(Trouble(name, what.format(counts[state])))
        return found

    def _sending_troubles(self, tx: Connection, at: datetime) -> list[Trouble]:
        """What has kept mail from going out for a while, and servers that know nobody any more."""
        found = []
        row = standing.get(tx)
        since = row.stopped_at
        if row.stopped and row.stopped != LIMITED and since and at - since >= PASSES:
            words = f"Nothing goes out since {since:%Y-%m-%d %H:%M} UTC: {row.stopped}."
            found.append(Trouble("sending", words))
        counts = people.counts(tx)
        gone = people.suppressed_since(tx, at - _DAY)
        if gone >= _MANY and gone > counts.get(SubscriberState.ACTIVE, 0) / 10:
            found.append(
                Trouble(
                    "suppressed",
                    f"{gone:,} people were suppressed within a day: their servers say that there "
                    "is no such mailbox. If that is wrong, your own mail server says so; "
                    "`newsletter subscribers add --unsuppress ADDRESS` brings somebody back.",
                )
            )
        return found

    def _report_troubles(self, at: datetime) -> bool:
        """Queues a mail if there is trouble they do not know of, or none any more."""
        found = self.troubles(at)
        names = [trouble.name for trouble in found]
        with self._database.read() as tx:
            told = standing.get(tx).told
        if _is_known(names, told):
            if len(names) < len(told):
                with self._database.write() as tx:
                    standing.note_told(tx, names)  # what comes back is told again
            return False
        facts = {"troubles": [trouble.words for trouble in found]}
        with self._database.write() as tx:
            if _is_known(names, standing.get(tx).told):
                return False  # another run was quicker
            standing.note_told(tx, names)
            if self._address:
                self._queue(tx, REPORT, at, **facts)
        return bool(self._address)

    def _report_week(self, at: datetime) -> bool:
        """Queues how the last week went, on Mondays at the newsletter's hour; if that is wished."""
        if not (self._config.newsletter.weekly_report and self._address):
            return False
        last = parts.rules(self._config).schedule(Wishes(_EVERY)).last_due(at)
        with self._database.read() as tx:
            told_on = standing.get(tx).week_told_on
        if last is None or (told_on and told_on >= last[0]):
            return False
        facts = self._week(at)
        with self._database.write() as tx:
            if standing.get(tx).week_told_on != told_on:
                return False  # another run was quicker
            standing.note_week_told(tx, last[0])
            if told_on is None:
                return False  # begins with the first whole week
            self._queue(tx, WEEKLY, at, **facts)
        return True

    def _week(self, at: datetime) -> dict[str, object]:
        since = at - _WEEK
        with self._database.read() as tx:
            counts = people.counts(tx)
            return {
                "since": f"{since:%Y-%m-%d}",
                "papers": stories.announced_since(tx, since),
                "mails": standing.sendings_since(tx, since),
                "active": counts.get(SubscriberState.ACTIVE, 0),
                "paused": counts.get(SubscriberState.PAUSED, 0),
                "came": people.added_since(tx, since),
                "left": people.left_since(tx, since),
                "ended": [
                    f"{many:,} {state}"
                    for state, many in sorted(deliveries.ended_otherwise(tx, notices=False).items())
                ],
                "troubles": [trouble.words for trouble in self.troubles(at)],
            }

    def _queue(self, tx: Connection, kind: str, at: datetime, **facts: object) -> None:
        subject, text = self._notices.words(kind, name=self._config.newsletter.name, **facts)
        letters.add(tx, kind, self._address, normal_form(self._address), subject, text, at)

    @property
    def _address(self) -> str:
        return editions.owner_address(self._config)

    def _source_troubles(self, at: datetime) -> list[Trouble]:
        """Sources that fail; and those that did a while ago, if the owner was told.

        One that fails now and then is one trouble, not one for every time.
        """
        names = {section.name for section in self._config.sources}
        with self._database.read() as tx:
            told = standing.get(tx).told
            fares = [one for one in sources.all_status(tx) if one.name in names]
        return [
            Trouble(f"source {one.name}", f"The source {one.name} fails: {one.failure or 'again'}.")
            for one in fares
            if one.failing_since
            or (f"source {one.name}" in told and one.failed_at and at - one.failed_at < WELL_AGAIN)
        ]


def _is_known(troubles: Sequence[str], told: Sequence[str]) -> bool:
    """Whether the owner knows all of it, also that there is nothing any more."""
    return set(troubles) <= set(told) and bool(troubles or not told)


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
