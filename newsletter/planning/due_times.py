"""Corrects due times after the rules behind them have changed, or a clock was wrong."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from newsletter.planning.rules import Rules, refuse_old_clock
from newsletter.storage import due, installation
from newsletter.storage.database import Database
from newsletter.storage.due import Group


class DueTimes:
    """Corrects the due times of subscribers.

    Args:
        database: the newsletter's database.
        rules: when subscribers are due.
    """

    def __init__(self, database: Database, rules: Rules) -> None:
        self._database = database
        self._rules = rules

    def reschedule(self, now: datetime) -> int:
        """Corrects due times that no longer match the subscribers' preferences.

        Checks all due times after a change of the newsletter's send time, time zone or skip
        dates, or of the time zone database. Otherwise checks only those more than two days
        away, which a wrong clock may have set too far in the future.

        Returns the number of subscribers whose due time changed.

        Raises:
            ClockBehind: the clock is earlier than the newest record.
        """
        with self._database.read() as tx:
            row = installation.get(tx)
            refuse_old_clock(row, now)
            changed = row.schedule_fingerprint != self._rules.schedule_fingerprint
            found = list(due.scheduled(tx, now if changed else now + timedelta(days=2)))
        many = sum(self._correct(now, group, last, all_of_them=changed) for group, last in found)
        if changed:
            with self._database.write() as tx:
                installation.note_schedule_fingerprint(tx, self._rules.schedule_fingerprint)
        return many

    def _correct(self, now: datetime, group: Group, last: date | None, *, all_of_them: bool) -> int:
        schedule = self._rules.schedule(group.preferences)
        assert group.due_at is not None  # noqa: S101  # callers pass only scheduled groups
        if not all_of_them and group.due_at <= now + schedule.longest_gap():
            return 0
        want = self._rules.next_due(group.preferences, last, now)
        if want == group.due_at:
            return 0
        many, after = 0, 0
        while True:
            with self._database.write() as tx:
                done = due.reschedule(tx, group, last, want, after)
            if done is None:
                return many
            many, after = many + 1, done
