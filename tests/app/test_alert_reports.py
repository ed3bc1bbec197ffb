"""When the owner is told of problems, and when a report is sent again."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import pytest

from newsletter.app.alert_reports import RESEND_AFTER, TRIES, Report, Step, is_news, next_step
from newsletter.models import DeliveryState as State

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
WAITING = (State.QUEUED, State.DEFERRED)
LOST = (State.REFUSED, State.EXPIRED, State.CANCELLED)


def report(
    state: State, *alerts: str, attempts: int = 1, ago: timedelta = timedelta(minutes=1)
) -> Report:
    """Returns a report about these alerts that has been in that state for a while."""
    return Report(alerts, state, attempts, NOW - ago)


@pytest.mark.parametrize(
    ("current", "alerted", "step"),
    [
        ("", "", Step.NOTHING),
        ("a", "", Step.QUEUE),
        ("a", "a", Step.NOTHING),
        ("a", "ab", Step.NOTHING),
        ("ab", "a", Step.QUEUE),
        ("", "a", Step.QUEUE),
    ],
)
def test_without_a_report(current: str, alerted: str, step: Step) -> None:
    """One is needed for a new problem, and when the last problem is resolved."""
    assert next_step(current, alerted, None, NOW) is step
    assert is_news(current, alerted, None) is (step is Step.QUEUE)
    sent = report(State.SENT, *alerted)
    assert next_step(current, "x", sent, NOW) is step


@pytest.mark.parametrize("state", WAITING)
def test_a_queued_report(state: State) -> None:
    """It stays while it is accurate, is replaced when it is not, and is dropped when none is
    needed.
    """
    waiting = report(state, "a", "b", ago=timedelta(days=2))
    assert next_step("ba", "", waiting, NOW) is Step.WAIT
    assert next_step("a", "", waiting, NOW) is Step.QUEUE
    assert next_step("abc", "", waiting, NOW) is Step.QUEUE
    assert next_step("", "", waiting, NOW) is Step.NOTHING
    assert next_step("", "a", waiting, NOW) is Step.QUEUE
    assert next_step("a", "a", waiting, NOW) is Step.NOTHING


@pytest.mark.parametrize("current", ["", "a", "b"])
def test_a_report_that_is_being_sent(current: str) -> None:
    """Nothing is decided before the outcome is known."""
    assert next_step(current, "", report(State.SENDING, "a"), NOW) is Step.WAIT


@pytest.mark.parametrize("state", LOST)
def test_a_report_that_was_lost(state: State) -> None:
    """It is sent again, or replaced if it is no longer accurate."""
    assert next_step("a", "", report(state, "a"), NOW) is Step.RESEND
    assert next_step("ab", "", report(state, "a"), NOW) is Step.QUEUE
    assert next_step("", "", report(state, "a"), NOW) is Step.NOTHING
    assert next_step("", "a", report(state), NOW) is Step.RESEND


def test_a_report_that_is_always_refused() -> None:
    """It is sent less often to a server that never accepts it."""
    for attempts, ago, step in (
        (TRIES - 1, timedelta(), Step.RESEND),
        (TRIES, timedelta(), Step.WAIT),
        (TRIES, RESEND_AFTER - timedelta(seconds=1), Step.WAIT),
        (TRIES, RESEND_AFTER, Step.RESEND),
        (TRIES, -timedelta(hours=1), Step.RESEND),  # by a clock that was wrong
    ):
        lost = report(State.REFUSED, "a", attempts=attempts, ago=ago)
        assert next_step("a", "", lost, NOW) is step


@pytest.mark.parametrize(
    ("current", "alerted", "about", "early", "late"),
    [
        ("a", "", "a", Step.WAIT, Step.RESEND),
        ("", "", "a", Step.QUEUE, Step.QUEUE),
        ("", "a", "", Step.WAIT, Step.RESEND),
        ("a", "a", "", Step.QUEUE, Step.QUEUE),
        ("a", "a", "ab", Step.NOTHING, Step.NOTHING),
        ("ab", "", "a", Step.QUEUE, Step.QUEUE),
    ],
)
def test_a_report_that_may_have_arrived(
    current: str, alerted: Collection[str], about: str, early: Step, late: Step
) -> None:
    """It is sent again after an hour, because the owner may or may not know of it."""
    for ago, step in ((RESEND_AFTER - timedelta(seconds=1), early), (RESEND_AFTER, late)):
        assert next_step(current, alerted, report(State.UNKNOWN, *about, ago=ago), NOW) is step
