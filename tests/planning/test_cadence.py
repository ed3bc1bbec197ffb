"""When a subscriber is due, and the action then."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from newsletter.planning.cadence import (
    LOOK_BACK,
    PUNCTUAL,
    Cadence,
    DueAction,
    Kind,
    Schedule,
    due_action,
)
from newsletter.text.dates import WEEKDAYS

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)

TEXTS = (
    "daily",
    "weekdays",
    *(f"weekly:{name[:3].lower()}" for name in WEEKDAYS),
    *(f"monthly:{day}" for day in range(1, 32)),
)
ZONES = sorted(available_timezones())
ODD = (
    ("Asia/Manila", datetime(1844, 12, 31, tzinfo=UTC)),  # a date that does not exist there
    ("America/Juneau", datetime(1867, 10, 19, tzinfo=UTC)),  # a date that exists twice
    ("America/Juneau", datetime(1900, 8, 20, tzinfo=UTC)),
    ("Pacific/Kwajalein", datetime(1993, 8, 21, tzinfo=UTC)),
    ("America/St_Johns", datetime(2010, 11, 7, 2, tzinfo=UTC)),  # set back over midnight
    ("Pacific/Apia", datetime(2011, 12, 30, tzinfo=UTC)),
    ("America/Nuuk", datetime(2024, 3, 31, tzinfo=UTC)),  # set forward up to midnight
    ("Asia/Beirut", datetime(2024, 10, 26, 21, tzinfo=UTC)),
    ("America/Santiago", datetime(2025, 9, 7, 4, tzinfo=UTC)),  # set forward from midnight
    ("Europe/Berlin", datetime(2026, 10, 25, tzinfo=UTC)),
)
"""Time zones, and when their clocks had unusual changes."""

EARLIEST = datetime(1840, 1, 1, tzinfo=UTC)
CADENCES = st.sampled_from(TEXTS).map(Cadence.parse)
TIMES = st.builds(time, st.integers(0, 23), st.integers(0, 59)) | st.sampled_from(
    [time(0), time(23, 59, 59, 999_999)]
)
ANYWHERE = st.tuples(
    st.sampled_from(ZONES),
    st.timedeltas(0 * DAY, 131_000 * DAY).map(lambda passed: EARLIEST + passed),
)
AT_ODD_TIMES = st.builds(
    lambda odd, minutes: (odd[0], odd[1] + timedelta(minutes=minutes)),
    st.sampled_from(ODD),
    st.integers(-3 * 1440, 3 * 1440),
)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Schedule, datetime]:
    """Draws a schedule that skips some dates around an instant, and the instant."""
    zone, now = draw(ANYWHERE | AT_ODD_TIMES)
    skipped = draw(st.sets(st.integers(-40, 40), max_size=8))
    skip = frozenset(now.date() + n * DAY for n in skipped)
    return Schedule(draw(CADENCES), draw(TIMES), zone, skip), now


def utc(text: str) -> datetime:
    """Returns the instant written as `2026-06-08 07:30` in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def schedule(
    cadence: str = "daily", at: str = "07:30", zone: str = "Europe/Berlin", *skip: date
) -> Schedule:
    """Builds a schedule from its parts as text."""
    return Schedule(Cadence.parse(cadence), time.fromisoformat(at), zone, frozenset(skip))


def days(first: date, number: int) -> list[date]:
    """Returns this many dates, beginning with the first."""
    return [first + n * DAY for n in range(number)]


def due_dates(plan: Schedule, around: date) -> list[date]:
    """Returns the due dates near a date, found by checking each of them."""
    return [
        day
        for day in days(around - 110 * DAY, 220)
        if plan.cadence.falls_on(day) and day not in plan.skip
    ]


def walk(plan: Schedule, now: datetime, steps: int) -> Iterator[tuple[date, datetime]]:
    """Yields the next due instants with their dates, each computed from the one before."""
    for _ in range(steps):
        now = plan.next_due(now)
        last = plan.last_due(now)
        assert last is not None
        assert last[1] == now
        yield last


def exists(day: date, zone: str) -> bool:
    """Whether clocks in the zone ever showed this date."""
    noon = datetime.combine(day, time(12), tzinfo=ZoneInfo(zone))
    return noon.astimezone(UTC).astimezone(ZoneInfo(zone)).date() == day


# --- how a cadence is written


@pytest.mark.parametrize("text", TEXTS)
def test_a_cadence_survives_writing_and_parsing(text: str) -> None:
    """Every cadence has one text, which parses to the same cadence."""
    assert str(Cadence.parse(text)) == text
    assert Cadence.parse(str(Cadence.parse(text))) == Cadence.parse(text)


def test_different_texts_are_different_cadences() -> None:
    """There are forty texts and forty cadences."""
    assert len({Cadence.parse(text) for text in TEXTS}) == len(TEXTS) == 40


@pytest.mark.parametrize(
    ("text", "kind", "day"),
    [
        ("daily", "daily", 0),
        ("weekdays", "weekdays", 0),
        ("weekly:mon", "weekly", 0),
        ("weekly:sun", "weekly", 6),
        ("monthly:1", "monthly", 1),
        ("monthly:31", "monthly", 31),
        ("  Daily\n", "daily", 0),
        ("\tWEEKLY:Wed ", "weekly", 2),
        ("Monthly:15", "monthly", 15),
    ],
)
def test_case_and_outer_space_do_not_matter(text: str, kind: Kind, day: int) -> None:
    """Words are accepted as users write them."""
    assert Cadence.parse(text) == Cadence(kind, day)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "weekly",
        "monthly",
        "weekly:",
        "weekly:monday",
        "weekly:0",
        "weekly: mon",
        "monthly:0",
        "monthly:32",
        "monthly:-1",
        "monthly:01",
        "monthly:mon",
        "daily:1",
        "weekdays:mon",
        "hourly",
        "daily weekly",
    ],
)
def test_the_error_for_an_invalid_cadence_says_what_to_write(text: str) -> None:
    """The message has an example of each kind to copy."""
    with pytest.raises(ValueError, match="write") as caught:
        Cadence.parse(text)
    for written in ("daily", "weekdays", "weekly:mon", "monthly:1"):
        assert f'"{written}"' in str(caught.value)
        Cadence.parse(written)


@given(st.text() | st.from_regex(r"\s*(daily|weekdays|weekly|monthly):?\w*\s*", fullmatch=True))
@example("monthly:31")
@example("monthly:32")
def test_any_text_is_a_cadence_or_a_value_error(text: str) -> None:
    """A parsed cadence is written as one of the forty texts."""
    try:
        cadence = Cadence.parse(text)
    except ValueError:
        return
    assert str(cadence) in TEXTS


@pytest.mark.parametrize(
    ("kind", "day"),
    [("daily", 1), ("weekdays", 1), ("weekly", -1), ("weekly", 7), ("monthly", 0), ("monthly", 32)],
)
def test_an_impossible_day_is_an_error(kind: Kind, day: int) -> None:
    """No cadence can be created that cannot be written."""
    with pytest.raises(ValueError, match="has no day"):
        Cadence(kind, day)


# --- the dates of a cadence


@pytest.mark.parametrize(
    ("text", "week"),
    [
        ("daily", "1111111"),
        ("weekdays", "1111100"),
        ("weekly:mon", "1000000"),
        ("weekly:thu", "0001000"),
        ("weekly:sun", "0000001"),
    ],
)
def test_the_due_dates_of_a_week(text: str, week: str) -> None:
    """The week is from Monday, 8 June 2026 to the following Sunday."""
    fallen = [Cadence.parse(text).falls_on(day) for day in days(date(2026, 6, 8), 7)]
    assert "".join(str(int(falls)) for falls in fallen) == week


@pytest.mark.parametrize(
    ("text", "first", "number", "fallen"),
    [
        ("monthly:1", date(2026, 1, 15), 60, ["2026-02-01", "2026-03-01"]),
        ("monthly:28", date(2026, 2, 1), 31, ["2026-02-28"]),
        ("monthly:29", date(2026, 2, 1), 57, ["2026-02-28", "2026-03-29"]),
        ("monthly:29", date(2024, 2, 1), 57, ["2024-02-29"]),
        ("monthly:30", date(2024, 2, 1), 59, ["2024-02-29", "2024-03-30"]),
        ("monthly:30", date(2026, 1, 30), 60, ["2026-01-30", "2026-02-28", "2026-03-30"]),
        ("monthly:31", date(2026, 4, 1), 61, ["2026-04-30", "2026-05-31"]),
        ("monthly:31", date(1900, 2, 1), 28, ["1900-02-28"]),
        ("monthly:31", date(2000, 2, 1), 29, ["2000-02-29"]),
        ("monthly:31", date(2026, 12, 1), 62, ["2026-12-31", "2027-01-31"]),
    ],
)
def test_the_last_day_replaces_days_that_a_month_lacks(
    text: str, first: date, number: int, fallen: list[str]
) -> None:
    """Every month has a due date, also February, in leap years and in others."""
    cadence = Cadence.parse(text)
    assert [str(day) for day in days(first, number) if cadence.falls_on(day)] == fallen


@given(st.integers(1, 31), st.integers(1, 9998), st.integers(1, 12))
def test_every_month_has_one_date(day: int, year: int, month: int) -> None:
    """Exactly one, in any month of any year."""
    fallen = [
        d
        for d in days(date(year, month, 1), 31)
        if d.month == month and Cadence("monthly", day).falls_on(d)
    ]
    assert len(fallen) == 1
    assert fallen[0].day == day or (fallen[0].day < day and (fallen[0] + DAY).day == 1)


# --- the due instant of a date


@pytest.mark.parametrize(
    ("zone", "day", "at", "instant"),
    [
        ("UTC", date(2026, 6, 8), "07:30", "2026-06-08 07:30"),
        ("Europe/Berlin", date(2026, 6, 8), "07:30", "2026-06-08 05:30"),
        ("Europe/Berlin", date(2026, 12, 8), "07:30", "2026-12-08 06:30"),
        ("Pacific/Kiritimati", date(2026, 6, 8), "07:30", "2026-06-07 17:30"),
        ("Pacific/Pago_Pago", date(2026, 6, 8), "23:30", "2026-06-09 10:30"),
        ("Asia/Kathmandu", date(2026, 6, 8), "07:30", "2026-06-08 01:45"),
    ],
)
def test_the_time_of_day_is_local(zone: str, day: date, at: str, instant: str) -> None:
    """The zones are ahead of UTC and behind it, in summer and winter."""
    due = schedule("daily", at, zone).due_at(day)
    assert due == utc(instant)
    assert due.tzinfo is UTC


@pytest.mark.parametrize(
    ("zone", "day", "at", "instant", "shown"),
    [
        ("Europe/Berlin", date(2026, 3, 29), "02:00", "2026-03-29 01:00", "29 03:00"),
        ("Europe/Berlin", date(2026, 3, 29), "02:30", "2026-03-29 01:30", "29 03:30"),
        ("Europe/Berlin", date(2026, 3, 29), "03:00", "2026-03-29 01:00", "29 03:00"),
        ("America/New_York", date(2026, 3, 8), "02:30", "2026-03-08 07:30", "08 03:30"),
        ("America/Santiago", date(2025, 9, 7), "00:00", "2025-09-07 04:00", "07 01:00"),
        ("Africa/Cairo", date(2024, 4, 26), "00:30", "2024-04-25 22:30", "26 01:30"),
        ("Asia/Beirut", date(2024, 3, 31), "00:30", "2024-03-30 22:30", "31 01:30"),
        ("America/Havana", date(2024, 3, 10), "00:00", "2024-03-10 05:00", "10 01:00"),
        ("Australia/Lord_Howe", date(2025, 10, 5), "02:15", "2025-10-04 15:45", "05 02:45"),
        ("America/Nuuk", date(2024, 3, 30), "23:30", "2024-03-31 01:30", "31 00:30"),
        ("Pacific/Apia", date(2011, 12, 30), "09:00", "2011-12-30 19:00", "31 09:00"),
    ],
)
def test_a_skipped_time_is_moved_later(
    zone: str, day: date, at: str, instant: str, shown: str
) -> None:
    """It moves by as much as the clock was set forward: half an hour, an hour or a day."""
    due = schedule("daily", at, zone).due_at(day)
    assert due == utc(instant)
    assert f"{due.astimezone(ZoneInfo(zone)):%d %H:%M}" == shown


@pytest.mark.parametrize(
    ("zone", "day", "at", "instant"),
    [
        ("Europe/Berlin", date(2026, 10, 25), "02:30", "2026-10-25 00:30"),
        ("Europe/Berlin", date(2026, 10, 25), "03:00", "2026-10-25 02:00"),
        ("America/New_York", date(2026, 11, 1), "01:30", "2026-11-01 05:30"),
        ("America/Havana", date(2024, 11, 3), "00:30", "2024-11-03 04:30"),
        ("Asia/Beirut", date(2024, 10, 26), "23:30", "2024-10-26 20:30"),
        ("Australia/Lord_Howe", date(2026, 4, 5), "01:45", "2026-04-04 14:45"),
        ("America/St_Johns", date(2010, 11, 7), "00:00", "2010-11-07 02:30"),
        ("America/Juneau", date(1867, 10, 18), "16:00", "1867-10-18 00:57:41"),
    ],
)
def test_the_first_of_a_repeated_time_counts(zone: str, day: date, at: str, instant: str) -> None:
    """The second one is not due again."""
    plan = schedule("daily", at, zone)
    assert plan.due_at(day) == utc(instant)
    assert plan.next_due(utc(instant) - SECOND) == utc(instant)
    assert plan.next_due(utc(instant)) == plan.due_at(day + DAY)
    assert plan.next_due(utc(instant)) - utc(instant) >= 24 * HOUR


# --- the next and the last due instant


def test_next_is_strictly_later() -> None:
    """At a due instant, the next one is tomorrow's."""
    plan = schedule()
    assert plan.next_due(utc("2026-06-08 05:29:59")) == utc("2026-06-08 05:30")
    assert plan.next_due(utc("2026-06-08 05:30")) == utc("2026-06-09 05:30")


def test_last_is_now_or_earlier() -> None:
    """At a due instant, the last one is this one."""
    plan = schedule()
    today, yesterday = date(2026, 6, 8), date(2026, 6, 7)
    assert plan.last_due(utc("2026-06-08 05:30")) == (today, utc("2026-06-08 05:30"))
    assert plan.last_due(utc("2026-06-08 05:29:59")) == (yesterday, utc("2026-06-07 05:30"))


@pytest.mark.parametrize(
    ("cadence", "last", "following"),
    [
        ("daily", "2026-06-12 05:30", "2026-06-13 05:30"),
        ("weekdays", "2026-06-12 05:30", "2026-06-15 05:30"),
        ("weekly:fri", "2026-06-12 05:30", "2026-06-19 05:30"),
        ("weekly:sat", "2026-06-06 05:30", "2026-06-13 05:30"),
        ("monthly:12", "2026-06-12 05:30", "2026-07-12 05:30"),
        ("monthly:13", "2026-05-13 05:30", "2026-06-13 05:30"),
        ("monthly:31", "2026-05-31 05:30", "2026-06-30 05:30"),
    ],
)
def test_around_a_friday(cadence: str, last: str, following: str) -> None:
    """The last and the next due instant at noon on 12 June 2026, for each kind."""
    now, plan = utc("2026-06-12 12:00"), schedule(cadence)
    assert plan.last_due(now) == (utc(last).date(), utc(last))
    assert plan.next_due(now) == utc(following)


def test_now_may_be_in_any_zone() -> None:
    """The result depends on the instant, not on its time zone."""
    plan = schedule("weekly:mon", "00:15", "Pacific/Kiritimati")
    now = utc("2026-06-07 10:15")
    # In Pago Pago it is still Saturday.
    for zone in ("Pacific/Kiritimati", "Europe/Berlin", "Pacific/Pago_Pago"):
        local = now.astimezone(ZoneInfo(zone))
        assert plan.last_due(local) == (date(2026, 6, 8), now)
        assert plan.next_due(local - SECOND) == now


def test_a_served_date_is_not_due_again() -> None:
    """A later send time does not make it due again, nor a zone where it is still to come."""
    used = date(2026, 6, 8)
    now = utc("2026-06-08 06:00")
    assert schedule(at="20:00").next_due(now) == utc("2026-06-08 18:00")
    assert schedule(at="20:00").next_due(now, after=used) == utc("2026-06-09 18:00")
    there = schedule(zone="America/Los_Angeles")
    assert there.next_due(now) == utc("2026-06-08 14:30")
    assert there.next_due(now, after=used) == utc("2026-06-09 14:30")


def test_an_old_served_date_changes_nothing() -> None:
    """The next due instant is not one that was missed since then."""
    now = utc("2026-06-08 06:00")
    assert schedule().next_due(now, after=date(2001, 1, 1)) == schedule().next_due(now)
    assert schedule().next_due(now, after=date.min) == schedule().next_due(now)


def test_a_served_date_in_the_future_is_respected() -> None:
    """After a wrong clock, nothing is due before the date that was recorded as served."""
    due = schedule("weekdays").next_due(utc("2026-06-08 06:00"), after=date(2126, 1, 4))
    assert due == utc("2126-01-07 06:30")


def test_a_time_moved_past_midnight_is_still_due() -> None:
    """Half an hour into Sunday, Saturday's 23:30 is next."""
    plan = schedule("weekly:sat", "23:30", "America/Nuuk")
    due = utc("2024-03-31 01:30")
    assert plan.next_due(utc("2024-03-31 01:10")) == due
    assert plan.last_due(due) == (date(2024, 3, 30), due)


def test_a_date_that_begins_twice_is_due_once() -> None:
    """In St. John's, Sunday's midnight passed before it was Saturday again."""
    plan = schedule("daily", "00:00", "America/St_Johns")
    now = utc("2010-11-07 02:40")
    assert f"{now.astimezone(ZoneInfo(plan.zone)):%a %H:%M}" == "Sat 23:10"
    assert plan.last_due(now) == (date(2010, 11, 7), utc("2010-11-07 02:30"))
    assert plan.next_due(now) == utc("2010-11-08 03:30")


def test_a_date_that_does_not_exist_is_due_with_the_next() -> None:
    """In Apia, 30 and 31 December 2011 are due at the same instant, and only once."""
    plan = schedule("daily", "09:00", "Pacific/Apia")
    dates = [day.day for day, _ in walk(plan, utc("2011-12-28 12:00"), 4)]
    assert dates == [28, 29, 31, 1]
    assert plan.due_at(date(2011, 12, 30)) == plan.due_at(date(2011, 12, 31))


def test_a_week_without_its_weekday_is_still_due() -> None:
    """In Apia, Friday, 30 December 2011 is due on the Saturday."""
    plan = schedule("weekly:fri", "09:00", "Pacific/Apia")
    assert plan.next_due(utc("2011-12-30 00:00")) == utc("2011-12-30 19:00")
    assert plan.next_due(utc("2011-12-30 19:00")) == utc("2012-01-05 19:00")


@given(situations(), st.none() | st.integers(-20, 20))
def test_next_is_the_earliest_of_all_dates(
    situation: tuple[Schedule, datetime], used: int | None
) -> None:
    """It is the earliest due instant around `now` that is later and not served."""
    plan, now = situation
    after = None if used is None else now.date() + used * DAY
    dates = [day for day in due_dates(plan, now.date()) if after is None or day > after]
    expected = min((due for day in dates if (due := plan.due_at(day)) > now), default=None)
    # If all dates nearby are skipped, there is nothing to compare with.
    assert expected is None or plan.next_due(now, after) == expected


@given(situations())
def test_last_is_the_latest_of_all_dates(situation: tuple[Schedule, datetime]) -> None:
    """It is the latest date around `now` whose due instant has come."""
    plan, now = situation
    today = now.astimezone(ZoneInfo(plan.zone)).date()
    oldest = today - (LOOK_BACK + len(plan.skip)) * DAY
    past = [
        (day, due)
        for day in due_dates(plan, today)
        if day >= oldest and (due := plan.due_at(day)) <= now
    ]
    assert plan.last_due(now) == (past[-1] if past else None)


@given(situations())
def test_last_and_next_are_on_either_side_of_now(situation: tuple[Schedule, datetime]) -> None:
    """Serving the last date does not affect the next one."""
    plan, now = situation
    last = plan.last_due(now)
    assert plan.next_due(now) > now
    assert last is None or last[1] == plan.due_at(last[0]) <= now
    assert last is None or plan.next_due(now, after=last[0]) == plan.next_due(now)


@given(situations(), st.integers(-400, 400))
def test_a_date_is_never_due_again(situation: tuple[Schedule, datetime], used: int) -> None:
    """Whatever date was served, the next instant belongs to a later one."""
    plan, now = situation
    after = now.date() + used * DAY
    due = plan.next_due(now, after)
    last = plan.last_due(due)
    assert due > now
    assert last is not None
    assert last[0] > after
    assert last[1] == due


@given(situations())
def test_every_date_is_due_once_and_in_order(situation: tuple[Schedule, datetime]) -> None:
    """No date is left out, except one that does not exist."""
    plan, now = situation
    steps = list(walk(plan, now, 30))
    assert steps[0][1] > now
    for (day, due), (next_day, next_due) in pairwise(steps):
        assert day < next_day
        assert due < next_due
        between = [d for d in due_dates(plan, day) if day < d < next_day]
        assert not [d for d in between if exists(d, plan.zone)]


@given(situations())
def test_only_dates_of_the_cadence_are_due(situation: tuple[Schedule, datetime]) -> None:
    """Skipped dates are not due."""
    plan, now = situation
    for day, _ in walk(plan, now, 10):
        assert plan.cadence.falls_on(day)
        assert day not in plan.skip


# --- dates on which nothing is due


def test_a_skipped_date_is_not_due() -> None:
    """The date after it is next, and the date before it was last."""
    plan = schedule("weekdays", "07:30", "Europe/Berlin", date(2026, 6, 12), date(2026, 6, 15))
    assert plan.next_due(utc("2026-06-11 12:00")) == utc("2026-06-16 05:30")
    assert plan.last_due(utc("2026-06-15 12:00")) == (date(2026, 6, 11), utc("2026-06-11 05:30"))


@pytest.mark.parametrize(
    ("cadence", "following"),
    [
        ("daily", "2027-07-13 05:30"),
        ("weekdays", "2027-07-13 05:30"),
        ("weekly:mon", "2027-07-19 05:30"),
        ("monthly:31", "2027-07-31 05:30"),
    ],
)
def test_a_long_series_of_skipped_dates_ends(cadence: str, following: str) -> None:
    """After 400 skipped dates, the first date that is not skipped is due."""
    plan = schedule(cadence, "07:30", "Europe/Berlin", *days(date(2026, 6, 8), 400))
    assert plan.next_due(utc("2026-06-08 00:00")) == utc(following)
    assert plan.next_due(utc("2026-06-08 00:00"), after=date(2026, 6, 7)) == utc(following)
    last = plan.last_due(utc("2027-07-12 12:00"))
    assert last is not None
    assert last[0] < date(2026, 6, 8)


@pytest.mark.parametrize(
    ("now", "found"),
    [("2026-06-09 12:00", True), ("2026-06-10 12:00", True), ("2026-06-11 12:00", False)],
)
def test_looking_back_is_limited(now: str, *, found: bool) -> None:
    """After ten skipped Mondays, the one before them is found for 62 and 10 days."""
    skipped = [date(2026, 6, 8) - n * 7 * DAY for n in range(10)]
    plan = schedule("weekly:mon", "07:30", "Europe/Berlin", *skipped)
    last = plan.last_due(utc(now))
    assert last == ((date(2026, 3, 30), utc("2026-03-30 05:30")) if found else None)


@pytest.mark.parametrize(
    ("cadence", "most"), [("daily", 3), ("weekdays", 5), ("weekly:mon", 10), ("monthly:31", 64)]
)
def test_few_dates_are_checked(cadence: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few are checked however far away the served date is: this runs for every subscriber."""
    asked: list[date] = []
    real = Cadence.falls_on

    def falls_on(self: Cadence, day: date) -> bool:
        asked.append(day)
        return real(self, day)

    monkeypatch.setattr(Cadence, "falls_on", falls_on)
    for now in (utc("2026-06-08 12:00") + n * DAY for n in range(31)):
        for after in (None, date(1970, 1, 1), now.date(), date(2999, 12, 31)):
            asked.clear()
            schedule(cadence).next_due(now, after)
            assert 0 < len(asked) <= most
        asked.clear()
        schedule(cadence).last_due(now)
        assert 0 < len(asked) <= most


# --- the longest gap


@pytest.mark.parametrize(
    ("cadence", "number"), [("daily", 2), ("weekdays", 4), ("weekly:mon", 8), ("monthly:31", 32)]
)
def test_the_longest_gap_has_a_day_to_spare(cadence: str, number: int) -> None:
    """A day, a weekend, a week or a month, and one more day."""
    assert schedule(cadence).longest_gap() == number * DAY


def test_a_skipped_date_extends_the_gap_to_the_next_date() -> None:
    """A skipped Monday makes a weekly gap two weeks long; a skipped Tuesday does not matter."""
    monday, tuesday = date(2026, 6, 8), date(2026, 6, 9)
    assert schedule("daily", "07:30", "UTC", monday, tuesday).longest_gap() == 4 * DAY
    assert schedule("weekly:mon", "07:30", "UTC", monday).longest_gap() == 15 * DAY
    assert schedule("weekly:mon", "07:30", "UTC", tuesday).longest_gap() == 8 * DAY
    assert schedule("monthly:8", "07:30", "UTC", monday, tuesday).longest_gap() == 63 * DAY


def test_a_repeated_date_is_within_the_longest_gap() -> None:
    """In Juneau in 1867 the gap is two days, which needs the extra day."""
    plan = schedule("daily", "09:00", "America/Juneau")
    due = plan.due_at(date(1867, 10, 19))
    assert plan.next_due(due) - due == plan.longest_gap() == 2 * DAY


@given(situations())
def test_no_gap_exceeds_the_longest_gap(situation: tuple[Schedule, datetime]) -> None:
    """This includes the gap from `now` to the next due instant, whatever the zone's clocks did."""
    plan, now = situation
    for due in [due for _, due in walk(plan, now, 15)]:
        assert due - now <= plan.longest_gap()
        now = due


# --- the action


def decide(
    late: timedelta = 0 * HOUR,
    ahead: timedelta = 24 * HOUR,
    *,
    catch_up: timedelta = 3 * HOUR,
    papers: bool = True,
    failing: bool = False,
) -> DueAction:
    """Returns the action this long after one due instant and this long before the next."""
    now = utc("2026-06-08 12:00")
    return due_action(
        due=now - late,
        following=now + ahead,
        now=now,
        catch_up=catch_up,
        papers=papers,
        failing=failing,
    )


@pytest.mark.parametrize("failing", [False, True])
@pytest.mark.parametrize("late", [0 * HOUR, 2 * HOUR, 20 * HOUR, 300 * HOUR])
def test_late_mail_is_sent(late: timedelta, *, failing: bool) -> None:
    """Papers are sent however late it is, if the next mail is not near and even if sources fail."""
    assert decide(late, failing=failing) is DueAction.SEND
    assert decide(late, ahead=3 * HOUR, failing=failing) is DueAction.SEND


def test_late_mail_is_merged_with_the_next() -> None:
    """Shortly before the next mail, no separate one is sent."""
    assert decide(20 * HOUR, 3 * HOUR - SECOND) is DueAction.MERGE
    assert decide(20 * HOUR, 3 * HOUR) is DueAction.SEND
    assert decide(20 * HOUR, SECOND) is DueAction.MERGE


def test_mail_on_time_is_sent_though_the_next_is_near() -> None:
    """A delay of a quarter of an hour still counts as on time."""
    assert timedelta(minutes=15) == PUNCTUAL
    assert decide(0 * HOUR, HOUR) is DueAction.SEND
    assert decide(PUNCTUAL, HOUR) is DueAction.SEND
    assert decide(PUNCTUAL + SECOND, HOUR) is DueAction.MERGE
    assert decide(PUNCTUAL, HOUR, papers=False) is DueAction.PASS
    assert decide(PUNCTUAL, HOUR, papers=False, failing=True) is DueAction.WAIT


def test_nearer_to_the_last_than_to_the_next_is_merged_too() -> None:
    """It matters that mail is late and the next is near, not which of the two is nearer."""
    assert decide(HOUR, 2 * HOUR) is DueAction.MERGE
    assert decide(20 * HOUR, 4 * HOUR) is DueAction.SEND


def test_a_date_without_papers_waits_for_a_failing_source() -> None:
    """It waits as long as `catch_up`, and no longer."""
    assert decide(0 * HOUR, papers=False, failing=True) is DueAction.WAIT
    assert decide(3 * HOUR - SECOND, papers=False, failing=True) is DueAction.WAIT
    assert decide(3 * HOUR, papers=False, failing=True) is DueAction.PASS


@pytest.mark.parametrize("late", [0 * HOUR, HOUR, 20 * HOUR])
def test_a_date_without_papers_counts_as_served(late: timedelta) -> None:
    """If every source was read, there is nothing to wait for."""
    assert decide(late, papers=False) is DueAction.PASS


@pytest.mark.parametrize("papers", [False, True])
@pytest.mark.parametrize("failing", [False, True])
def test_merging_takes_precedence(*, papers: bool, failing: bool) -> None:
    """It does so with and without papers, and with and without failing sources."""
    assert decide(HOUR, HOUR, papers=papers, failing=failing) is DueAction.MERGE


SPANS = st.integers(0, 48 * 60).map(lambda minutes: timedelta(minutes=minutes))


@given(SPANS, SPANS, SPANS, st.booleans(), st.booleans())
def test_every_action_follows_from_its_inputs(
    late: timedelta, ahead: timedelta, catch_up: timedelta, papers: bool, failing: bool
) -> None:
    """The inputs are the delay, the time until the next mail, the papers and the sources."""
    done = decide(late, ahead + SECOND, catch_up=catch_up, papers=papers, failing=failing)
    near = ahead + SECOND < catch_up
    assert (done is DueAction.MERGE) == (near and late > PUNCTUAL)
    if done is not DueAction.MERGE:
        assert (done is DueAction.SEND) == papers
        assert (done is DueAction.WAIT) == (not papers and failing and late < catch_up)
