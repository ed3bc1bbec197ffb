"""Tells the owner: of problems, when all is well again, of the week, and that runs are healthy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from newsletter.app import edition_factories, factories
from newsletter.app.alert_channels import AlertChannels
from newsletter.app.alert_conditions import Alert, AlertConditions
from newsletter.app.alert_reports import Report, Step, is_news, known_alerts, next_step
from newsletter.config.schema import Config
from newsletter.editions.notice_kinds import REPORT, WEEKLY
from newsletter.editions.notices import Notices
from newsletter.errors import RenderError, StorageError
from newsletter.models import DeliveryState, SubscriberState
from newsletter.storage import deliveries, installation, subscribers, trace
from newsletter.storage import notices as notice_rows
from newsletter.storage.database import Database
from newsletter.storage.notices import ReportRow
from newsletter.storage.subscribers import Preferences
from newsletter.subscribers.address import normal_form

PING_EVERY = timedelta(minutes=3)
"""How often a process that keeps running requests `ping_url`."""
_WEEK = timedelta(days=7)
_EVERY = "weekly:mon"
_REPLACED = "no longer up to date; the owner is told how things stand now"


class Alerts:
    """Tells the owner of problems: by a command or URL if configured, otherwise by mail.

    A problem counts as told when a command, a URL or a mail server has taken a report of it.

    Args:
        config: the configuration.
        database: the installation's database.
        notices: returns what renders transactional mails.
    """

    def __init__(self, config: Config, database: Database, notices: Callable[[], Notices]) -> None:
        self._config = config
        self._database = database
        self._notices = notices
        self._channels = AlertChannels(config.newsletter)
        self._conditions = AlertConditions(config, database)
        self._pinged_at: datetime | None = None
        self._faults: tuple[str, ...] = ()

    def current(self, at: datetime) -> list[Alert]:
        """Returns the problems that need the owner's attention now."""
        return self._conditions.current(at)

    def report(self, at: datetime) -> bool:
        """Tells the owner what they do not know. Returns whether mail to them was queued.

        Raises:
            RenderError: the template of a report is wrong.
            StorageError: the database cannot be used.
        """
        return self._report_alerts(at) | self._report_week(at)

    def report_without_mail(self, at: datetime) -> None:
        """Tells the owner by command or URL, when no mail can be sent. Never fails."""
        try:
            self._report_alerts(at, by_mail=False)
        except RenderError as error:
            self._faults = (str(error),)
        except StorageError:
            pass  # it is why no mail can be sent, and the caller says so

    def take_faults(self) -> tuple[str, ...]:
        """Returns why the command or URL did not take the last report, and forgets it."""
        faults, self._faults = self._faults, ()
        return faults

    def ping(self, at: datetime) -> str:
        """Tells the dead-man switch of a healthy run. Returns why that failed, or nothing.

        Does nothing if it did so a short time ago, or while no mail is accepted.

        Raises:
            StorageError: the database cannot be read.
        """
        last = self._pinged_at
        is_early = last is not None and timedelta() <= at - last < PING_EVERY
        if not self._channels.has_ping or is_early:
            return ""
        if any(alert.concerns_all_mail for alert in self.current(at)):
            return ""
        self._pinged_at = at
        return self._channels.ping()

    def _report_alerts(self, at: datetime, *, by_mail: bool = True) -> bool:
        """Tells the owner if there is a new problem, or if all problems are resolved."""
        self._faults = ()
        found = self.current(at)
        names = [alert.name for alert in found]
        with self._database.read() as tx:
            alerted, report = self._on_record(tx)
        if is_news(names, alerted, _report(report)):
            if self._channels and self._tell(found, at):
                return False
        elif report is None and set(names) == set(alerted):
            return False
        with self._database.write() as tx:
            return self._queue_report(tx, found, at, by_mail=by_mail and bool(self._address))

    def _tell(self, found: Sequence[Alert], at: datetime) -> bool:
        """Gives a report to the command and the URL. Returns whether one of them took it."""
        names = [alert.name for alert in found]
        with self._database.alone("alerts"):
            with self._database.read() as tx:
                alerted, report = self._on_record(tx)
            if not is_news(names, alerted, _report(report)):
                return True  # another process has told them meanwhile
            told = self._channels.tell(*self._words(REPORT, _facts(found)))
            self._faults = told.faults
            if told.heard:
                with self._database.write() as tx:
                    installation.note_alerted(tx, names)
                    if report:
                        notice_rows.close_report(tx, report, _REPLACED, at)
        return told.heard

    def _queue_report(
        self, tx: Connection, found: Sequence[Alert], at: datetime, *, by_mail: bool
    ) -> bool:
        """Records what became of the last report, and queues it again or a new one if needed."""
        names = [alert.name for alert in found]
        alerted, row = self._on_record(tx)
        report = _report(row)
        step = next_step(names, alerted, report, at)
        # A problem that is over, and recurs, is reported again.
        known = names if step is Step.NOTHING else known_alerts(alerted, report)
        if set(known) != set(alerted):
            installation.note_alerted(tx, list(known))
        is_sent = row is not None and row.state is DeliveryState.SENT
        is_replaced = step is Step.NOTHING or (step is Step.QUEUE and by_mail)
        if row and (is_sent or is_replaced):
            notice_rows.close_report(tx, row, _REPLACED, at)
        if not by_mail or step not in (Step.QUEUE, Step.RESEND):
            return False
        if row and step is Step.RESEND:
            notice_rows.resend(tx, row.delivery, at)
        else:
            self._queue(tx, REPORT, at, _facts(found, self._faults), names)
        return True

    def _on_record(self, tx: Connection) -> tuple[tuple[str, ...], ReportRow | None]:
        """Returns what the owner was told of, and the last report if it is not accounted for."""
        alerted = installation.get(tx).alerted
        address = self._address
        return alerted, notice_rows.open_report(tx, normal_form(address)) if address else None

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
            self._queue(tx, WEEKLY, at, facts)
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

    def _queue(
        self,
        tx: Connection,
        kind: str,
        at: datetime,
        facts: Mapping[str, object],
        alerts: Sequence[str] | None = None,
    ) -> None:
        address = self._address
        subject, text = self._words(kind, facts)
        notice_rows.add(tx, kind, address, normal_form(address), subject, text, at, alerts=alerts)

    def _words(self, kind: str, facts: Mapping[str, object]) -> tuple[str, str]:
        return self._notices().words(kind, name=self._config.newsletter.name, **facts)

    @property
    def _address(self) -> str:
        return edition_factories.owner_address(self._config)


def _report(row: ReportRow | None) -> Report | None:
    return Report(row.alerts, row.state, row.attempts, row.changed_at) if row else None


def _facts(found: Sequence[Alert], faults: Sequence[str] = ()) -> dict[str, list[str]]:
    return {"troubles": [alert.words for alert in found], "faults": list(faults)}
