"""Reports of the service to the owner."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from newsletter.app.composition import App
from newsletter.delivery.sending import RunResult
from newsletter.service.intervals import is_time

log = structlog.get_logger()

REPORTED = timedelta(minutes=10)
"""Interval between checks for a report to the owner while nothing is sent."""


class OwnerReports:
    """Reports to the owner from one process that keeps running.

    Args:
        app: the use cases.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._checked_at: datetime | None = None
        self._pinged: str = ""

    def is_due(self, now: datetime) -> bool:
        """Returns whether to check for reports; if so, the next check is due an interval later."""
        due = is_time(self._checked_at, now, REPORTED)
        if due:
            self._checked_at = now
        return due

    def after_failure(self, now: datetime) -> None:
        """Alerts the owner by command or URL after a pass that could not send mail."""
        if self.is_due(now):
            self._app.alerts.report_without_mail(now)
            self._log_faults()

    def after_pass(self, result: RunResult, now: datetime) -> None:
        """Logs alerts that could not be delivered, and pings if sending was not stopped."""
        self._log_faults()
        if result.stopped:
            return
        fault = self._app.alerts.ping(now)
        if fault and fault != self._pinged:
            log.warning("ping failed", reason=fault)
        self._pinged = fault

    def _log_faults(self) -> None:
        for fault in self._app.alerts.take_faults():
            log.warning("alert not delivered", reason=fault)
