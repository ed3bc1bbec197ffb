"""Days as they are displayed, and dates in names."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.text.dates import MONTHS, WEEKDAYS, day_in, long_day, month_number, short_range

DAYS = st.dates(date(2000, 1, 1), date(2099, 12, 31))


@given(DAYS, st.sampled_from(["{:%Y-%m-%d}", "{:%Y_%m_%d}", "{:%Y%m%d}"]))
def test_a_date_in_a_name_is_found(day: date, written: str) -> None:
    """All three spellings are found, anywhere in the name."""
    name = written.format(day)
    for around in ("{}", "papers-{}.html", "papers_{}_late.txt", "https://x.org/d?date={}&limit=9"):
        assert day_in(around.format(name)) == day


@pytest.mark.parametrize(
    "name",
    [
        "",
        "papers.html",
        "2026-13-45.json",
        "2026-02-30.json",
        "2026-06_08.json",
        "1999-06-08.json",
        "2026-6-8.json",
        "120260608.json",
        "202606081200.json",
        "2606.11176.json",
    ],
)
def test_other_numbers_are_not_dates(name: str) -> None:
    """Impossible days, mixed separators, other centuries and longer numbers are ignored."""
    assert day_in(name) is None


def test_the_first_existing_date_is_returned() -> None:
    """Dates that do not exist are skipped."""
    assert day_in("2026-02-30_2026-06-08_2026-06-09.json") == date(2026, 6, 8)


@given(st.text())
def test_no_name_raises(name: str) -> None:
    """Any text is accepted."""
    day_in(name)


def test_months_are_recognised_by_name_and_by_three_letters() -> None:
    """Both return the number."""
    for number, month in enumerate(MONTHS, 1):
        assert month_number(month) == month_number(month[:3]) == number


def test_a_long_day_has_its_weekday() -> None:
    """`Monday, 8 June`."""
    assert long_day(date(2026, 6, 8)) == "Monday, 8 June"


@given(DAYS)
def test_long_days_follow_the_calendar(day: date) -> None:
    """The weekday, the day and the month are those of the date."""
    assert long_day(day) == f"{WEEKDAYS[day.weekday()]}, {day.day} {MONTHS[day.month - 1]}"


@pytest.mark.parametrize(
    ("first", "last", "written"),
    [
        (date(2026, 6, 8), date(2026, 6, 8), "Monday, 8 June"),
        (date(2026, 6, 8), date(2026, 6, 9), "8–9 June"),
        (date(2026, 5, 30), date(2026, 6, 2), "30 May – 2 June"),
        (date(2025, 12, 31), date(2026, 1, 2), "31 December – 2 January"),
        (date(2025, 6, 8), date(2026, 6, 9), "8 June – 9 June"),
    ],
)
def test_ranges_are_short(first: date, last: date, written: str) -> None:
    """The month appears once if both days are in one month of one year."""
    assert short_range([first, last]) == written


@given(st.lists(DAYS, min_size=1, max_size=6))
def test_a_range_does_not_depend_on_order(days: list[date]) -> None:
    """Only the first and the last day matter."""
    assert short_range(days) == short_range(sorted(days)) == short_range([max(days), min(days)])


@given(DAYS)
def test_one_day_is_not_written_as_a_range(day: date) -> None:
    """A repeated day is one day; two days are a range."""
    assert short_range([day, day]) == long_day(day)
    assert "–" in short_range([day, day + timedelta(days=1)])
