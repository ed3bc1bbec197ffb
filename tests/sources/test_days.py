"""The days a dated source is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from newsletter.sources.days import FURTHEST, wanted

BERLIN = ZoneInfo("Europe/Berlin")
DAY = timedelta(days=1)


def day(number: int, month: int = 11) -> date:
    """A day of autumn 2026."""
    return date(2026, month, number)


def at(number: int, hour: int = 7, month: int = 11) -> datetime:
    """An hour of such a day, in Berlin."""
    return datetime(2026, month, number, hour, tzinfo=BERLIN)


def asked(answered: Mapping[date, datetime], now: datetime) -> list[int]:
    """The days of the month that are asked for."""
    days = wanted(answered, now)
    return [one.day for one in (*days.overdue, *days.always)]


def test_a_source_never_captured_is_asked_for_yesterday_and_today() -> None:
    """There is nothing it could owe."""
    assert asked({}, at(19)) == [18, 19]


def test_day_after_day_it_is_two() -> None:
    """The day before yesterday was got yesterday, when it was over."""
    answered = {day(17): at(18), day(18): at(19, 6), day(19): at(19, 6)}
    assert asked(answered, at(19)) == [18, 19]
    assert asked(answered, at(20)) == [19, 20]


def test_days_that_were_missed_are_asked_for() -> None:
    """And the day before them, whose list was got before it was complete."""
    answered = {day(18): at(19), day(19): at(19)}
    assert asked(answered, at(23)) == [19, 20, 21, 22, 23]


def test_what_counts_is_the_day_at_home() -> None:
    """23:30 UTC is the next day in Berlin: then the list was complete."""
    complete = {day(18): at(19), day(19): datetime.fromisoformat("2026-11-19T23:30Z")}
    assert asked(complete, at(23)) == [20, 21, 22, 23]
    early = {day(18): at(19), day(19): datetime.fromisoformat("2026-11-19T22:30Z")}
    assert asked(early, at(23)) == [19, 20, 21, 22, 23]


def test_of_several_days_only_those_that_failed_are_asked_for() -> None:
    """What came is not asked for again, however long another day fails."""
    answered = {day(n): at(n + 1) for n in (10, 11, 13, 14)}
    assert asked(answered, at(15)) == [12, 14, 15]


def test_a_first_capture_of_which_yesterday_failed() -> None:
    """That it was asked for is told by the list of today, which came before its day was over."""
    assert asked({day(10): at(10)}, at(13)) == [9, 10, 11, 12, 13]
    assert asked({day(10): at(11)}, at(13)) == [11, 12, 13]


def test_what_is_too_far_back_is_given_up_and_said() -> None:
    """As long as nothing came since; after that it was said."""
    answered = {day(1, 10): at(2, month=10), day(2, 10): at(2, month=10)}
    days = wanted(answered, at(23))
    assert (days.overdue[0], len(days.overdue)) == (day(23, 10), FURTHEST - 1)
    assert days.given_up == (day(2, 10), day(22, 10))
    answered[day(23)] = at(23)
    assert wanted(answered, at(23, 10)).given_up is None


def test_the_longest_gap_that_loses_nothing() -> None:
    """One day more, and that day is named."""
    answered = {day(22, 10): at(23, month=10)}
    days = wanted(answered, at(23))
    assert (days.overdue[0], days.given_up) == (day(23, 10), None)
    assert wanted(answered, at(24)).given_up == (day(23, 10), day(23, 10))


def test_a_clock_that_was_ahead_asks_for_nothing_strange() -> None:
    """Lists of days that have not come owe nothing."""
    answered = {day(28): at(29), day(29): at(29)}
    assert asked(answered, at(19)) == [18, 19]


@given(st.sets(st.integers(0, 90)), st.integers(1, 90))
def test_whenever_it_ran_no_day_is_lost(runs: set[int], last: int) -> None:
    """After each run every day since the first was got when it was over, or named as given up."""
    answered: dict[date, datetime] = {}
    said: set[date] = set()
    start = at(1, month=8)
    for run in sorted({*runs, last}):
        now = start + run * DAY
        days = wanted(answered, now)
        if days.given_up:
            first, end = days.given_up
            said |= {first + n * DAY for n in range((end - first).days + 1)}
        answered |= dict.fromkeys((*days.overdue, *days.always), now)
    today = max(answered)
    for n in range((today - min(answered)).days):
        one = min(answered) + n * DAY
        assert one in said or answered[one].date() > one
