"""Decides when the owner is told of problems, and when a report is sent again. Pure.

The owner knows of a problem once a mail server, a command or a URL has taken a report of it.
Until then a single report is on its way: one that is out of date is replaced.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from newsletter.models import DeliveryState

RESEND_AFTER = timedelta(hours=1)
"""How long a report that may have arrived, or was refused several times, is not sent again."""
TRIES = 10
"""How often a report is refused before it is sent less often."""


@dataclass(frozen=True, slots=True)
class Report:
    """A report that was queued as mail, and whose delivery has not been accounted for.

    Attributes:
        alerts: names of the alerts that it is about; none: all is well again.
        state: the state of its delivery.
        attempts: how often it was tried.
        changed_at: when that state was reached.
    """

    alerts: Collection[str]
    state: DeliveryState
    attempts: int
    changed_at: datetime


class Step(Enum):
    """What to do about the mail that tells the owner."""

    NOTHING = auto()
    """The owner knows how things stand: a report that waits is out of date."""
    WAIT = auto()
    """A report is being sent, waits, or is not sent again yet."""
    RESEND = auto()
    """The report that there is has to be sent again."""
    QUEUE = auto()
    """A new report is needed, in place of the one that there is."""


def is_news(current: Collection[str], alerted: Collection[str], report: Report | None) -> bool:
    """Returns whether the owner may not know how things stand.

    Args:
        current: names of the current alerts.
        alerted: names of the alerts that the owner was told of, on record.
        report: the last report, if it has not been accounted for.
    """
    beliefs = [known_alerts(alerted, report)]
    if report and report.state is DeliveryState.UNKNOWN:  # it may have arrived
        beliefs.append(report.alerts)
    return not all(_is_known(current, known) for known in beliefs)


def known_alerts(alerted: Collection[str], report: Report | None) -> Collection[str]:
    """Returns the alerts that the owner was told of: the last report's, if it was sent."""
    return report.alerts if report and report.state is DeliveryState.SENT else alerted


def next_step(
    current: Collection[str], alerted: Collection[str], report: Report | None, at: datetime
) -> Step:
    """Returns what to do next.

    Args:
        at: the current time; see `is_news` for the others.
    """
    if report and report.state is DeliveryState.SENDING:
        return Step.WAIT
    if not is_news(current, alerted, report):
        return Step.NOTHING
    if report is None or report.state is DeliveryState.SENT or set(report.alerts) != set(current):
        return Step.QUEUE
    if report.state in (DeliveryState.QUEUED, DeliveryState.DEFERRED):
        return Step.WAIT
    is_early = timedelta() <= at - report.changed_at < RESEND_AFTER
    may_have_arrived = report.state is DeliveryState.UNKNOWN
    return Step.WAIT if is_early and (may_have_arrived or report.attempts >= TRIES) else Step.RESEND


def _is_known(current: Collection[str], alerted: Collection[str]) -> bool:
    """Returns whether all of these are known, or there are none and none were known."""
    return set(current) <= set(alerted) and bool(current or not alerted)
