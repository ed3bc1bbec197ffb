"""Which days of a dated source are fetched."""

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
    """An hour of that day, in Berlin."""
    return datetime(2026, month, number, hour, tzinfo=BERLIN)


def asked(answered: Mapping[date, datetime], now: datetime) -> list[int]:
    """Returns the days of the month that are to be fetched."""
    days = wanted(answered, now)
    return [one.day for one in (*days.overdue, *days.always)]


def test_a_source_that_was_never_captured_fetches_yesterday_and_today() -> None:
    """No earlier day is overdue."""
    assert asked({}, at(19)) == [18, 19]


def test_a_source_captured_daily_fetches_two_days() -> None:
    """The day before yesterday was fetched yesterday, when it was over."""
    answered = {day(17): at(18), day(18): at(19, 6), day(19): at(19, 6)}
    assert asked(answered, at(19)) == [18, 19]
    assert asked(answered, at(20)) == [19, 20]


def test_missed_days_are_fetched() -> None:
    """So is the day before them, whose list was fetched before it was complete."""
    answered = {day(18): at(19), day(19): at(19)}
    assert asked(answered, at(23)) == [19, 20, 21, 22, 23]


def test_days_end_in_the_time_zone_of_the_source() -> None:
    """23:30 UTC is the next day in Berlin: then the list was complete."""
    complete = {day(18): at(19), day(19): datetime.fromisoformat("2026-11-19T23:30Z")}
    assert asked(complete, at(23)) == [20, 21, 22, 23]
    early = {day(18): at(19), day(19): datetime.fromisoformat("2026-11-19T22:30Z")}
    assert asked(early, at(23)) == [19, 20, 21, 22, 23]


def test_only_the_days_that_failed_are_fetched_again() -> None:
    """A fetched day is not fetched again, however long another day fails."""
    answered = {day(n): at(n + 1) for n in (10, 11, 13, 14)}
    assert asked(answered, at(15)) == [12, 14, 15]


def test_yesterday_is_fetched_again_if_it_failed_in_the_first_capture() -> None:
    """Today's list, fetched before its day was over, shows that yesterday's was requested too."""
    assert asked({day(10): at(10)}, at(13)) == [9, 10, 11, 12, 13]
    assert asked({day(10): at(11)}, at(13)) == [11, 12, 13]


def test_days_too_far_back_are_given_up_and_reported() -> None:
    """They are reported only until a later list is fetched."""
    answered = {day(1, 10): at(2, month=10), day(2, 10): at(2, month=10)}
    days = wanted(answered, at(23))
    assert (days.overdue[0], len(days.overdue)) == (day(23, 10), FURTHEST - 1)
    assert days.given_up == (day(2, 10), day(22, 10))
    answered[day(23)] = at(23)
    assert wanted(answered, at(23, 10)).given_up is None


def test_a_gap_of_the_maximum_length_loses_no_day() -> None:
    """A gap one day longer gives up one day, which is reported."""
    answered = {day(22, 10): at(23, month=10)}
    days = wanted(answered, at(23))
    assert (days.overdue[0], days.given_up) == (day(23, 10), None)
    assert wanted(answered, at(24)).given_up == (day(23, 10), day(23, 10))


def test_lists_of_future_days_make_no_day_overdue() -> None:
    """A clock that was ahead recorded them."""
    answered = {day(28): at(29), day(29): at(29)}
    assert asked(answered, at(19)) == [18, 19]


@given(st.sets(st.integers(0, 90)), st.integers(1, 90))
def test_no_day_is_lost_whenever_the_source_ran(runs: set[int], last: int) -> None:
    """Every day since the first was fetched after it ended, or reported as given up."""
    answered: dict[date, datetime] = {}
    reported: set[date] = set()
    start = at(1, month=8)
    for run in sorted({*runs, last}):
        now = start + run * DAY
        days = wanted(answered, now)
        if days.given_up:
            first, end = days.given_up
            reported |= {first + n * DAY for n in range((end - first).days + 1)}
        answered |= dict.fromkeys((*days.overdue, *days.always), now)
    today = max(answered)
    for n in range((today - min(answered)).days):
        one = min(answered) + n * DAY
        assert one in reported or answered[one].date() > one
