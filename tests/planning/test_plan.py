"""Log → editions and deliveries: who gets what, when, once; and when nobody gets anything."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from newsletter.editions.templating import bundled_templates
from newsletter.errors import ClockBehind, RenderError, UsageError
from newsletter.models import DeliveryState, EditionState
from newsletter.planning.plan import Planning, PlanResult
from newsletter.storage import due, editions, installation, log, outbox
from newsletter.storage.database import Database
from newsletter.storage.outbox import DeliveryUpdate
from newsletter.subscribers.address import parse_address
from tests.support.builders import DAY, day
from tests.support.planning_room import (
    A_DAY,
    DUE,
    HOUR,
    MORNING,
    RULES,
    WITHDRAWN,
    PlanningRoom,
    without_papers,
)


@pytest.fixture
def room(database: Database) -> PlanningRoom:
    """An empty log, and nobody there."""
    return PlanningRoom(database)


# --- newcomers


def test_a_newcomer_begins_with_the_latest_day(room: PlanningRoom) -> None:
    """Not with the archive, and not with nothing."""
    room.papers(1, 2, day=day(-1))
    room.papers(3, 4)
    room.join("mira")
    room.plan(DUE)
    assert room.got("mira") == [[3, 4]]


def test_a_newcomer_without_days_begins_with_the_last_snapshot(room: PlanningRoom) -> None:
    """The last one that had anything new."""
    room.papers(1, 2, day=None)
    room.papers(2, 3, 4, day=None)
    room.papers(4, 3, day=None)
    room.join("mira")
    room.plan(DUE)
    assert room.got("mira") == [[3, 4]]


def test_days_of_long_ago_are_no_newcomers_days(room: PlanningRoom) -> None:
    """The source that gave days is gone; the one that gives none is what newcomers begin with."""
    room.papers(1, 2)
    room.now += 3 * A_DAY
    room.papers(3, 4, day=None, source="feed")
    with room.database.read() as tx:
        assert log.newcomer_cursor(tx, room.now.date()) == 0
    room.now += A_DAY
    room.papers(5, 6, day=None, source="feed")
    room.join("mira")
    room.plan(room.now, all_active=True)
    assert room.got("mira") == [[5, 6]]


def test_a_newcomer_on_an_empty_log_gets_everything_that_comes(room: PlanningRoom) -> None:
    """From the first paper on."""
    room.join("mira")
    room.papers(1, day=day(-9))
    room.papers(2)
    room.plan(DUE)
    assert room.got("mira") == [[2, 1]]


def test_a_day_that_has_not_come_is_no_newcomers_day(room: PlanningRoom) -> None:
    """A row dated 2099 leaves nobody without papers; tomorrow's list may be there already."""
    room.papers(1, day=day(1))
    room.papers(2, day=date(2099, 1, 1))
    room.join("mira")
    room.plan(DUE)
    assert sorted(room.got("mira")[0]) == [1, 2]


# --- once


def test_who_is_due_gets_what_is_new_once(room: PlanningRoom) -> None:
    """Planned again at the same instant, an hour and a day later: nothing comes twice."""
    room.papers(1, 2)
    room.join("mira")
    assert room.plan(DUE - timedelta(seconds=1)).subscribers == 0
    planned = room.plan(DUE)
    assert (planned.subscribers, len(planned.editions), planned.held) == (1, 1, [])
    for later in (0 * HOUR, HOUR, A_DAY, 2 * A_DAY):
        again = room.plan(DUE + later)
        assert (again.subscribers, again.editions) == (0, [])
    assert room.got("mira") == [[1, 2]]
    assert room.person("mira").cursor == 2


def test_a_date_on_which_nothing_is_new_is_used_up(room: PlanningRoom) -> None:
    """What comes later that day waits for the next date."""
    room.join("mira")
    room.plan(DUE)
    assert room.person("mira").next_due_at == DUE + A_DAY
    room.papers(1)
    assert room.plan(DUE + HOUR).subscribers == 0
    assert room.plan(DUE + A_DAY).subscribers == 1


def test_daily_and_weekly_people_get_the_same_papers(room: PlanningRoom) -> None:
    """In seven editions or in one; none is repeated or skipped."""
    room.join("daily")
    room.join("weekly", cadence="weekly:fri")
    for number in range(7):
        room.papers(number + 1, day=day(number))
        room.plan(DUE + number * A_DAY)
    room.plan(DUE + 7 * A_DAY)
    assert room.got("daily") == [[1], [2], [3], [4], [5], [6], [7]]
    assert room.got("weekly") == [[1], [7, 6, 5, 4, 3, 2]]


def test_a_changed_cadence_neither_repeats_nor_skips(room: PlanningRoom) -> None:
    """The cursor is all there is."""
    room.join("mira")
    for number, cadence in enumerate(["daily", "weekly:mon", "daily", "weekdays", "monthly:1"]):
        room.papers(number + 1, day=day(number))
        room.plan(DUE + number * A_DAY)
        room.lifecycle.change(parse_address("mira@example.org"), cadence=cadence)
    room.plan(DUE + 40 * A_DAY)
    assert sorted(n for papers in room.got("mira") for n in papers) == [1, 2, 3, 4, 5]


def test_only_active_people_are_planned_for(room: PlanningRoom) -> None:
    """Not who paused, left, or must not be written to."""
    room.papers(1)
    for name in ("mira", "jonas", "ana"):
        room.join(name)
    room.lifecycle.pause(parse_address("mira@example.org"))
    room.lifecycle.unsubscribe(parse_address("jonas@example.org"))
    assert room.plan(DUE).subscribers == 1
    assert (room.got("mira"), room.got("jonas"), room.got("ana")) == ([], [], [[1]])
    assert room.plan(DUE, all_active=True).subscribers == 0


BROKEN = (
    "CREATE TRIGGER broken BEFORE UPDATE OF cursor ON subscribers WHEN NEW.id > {} "
    "BEGIN SELECT RAISE(ABORT, 'this write fails'); END"
)
"""A write that fails when the cursor of a subscriber with a greater id is moved."""


def test_deliveries_cursors_and_due_times_are_one_transaction(room: PlanningRoom) -> None:
    """When the cursor cannot be moved nothing is queued; tried again, everything is."""
    room.papers(1)
    before = room.join("mira")
    room.sql(BROKEN.format(0))
    with pytest.raises(IntegrityError, match="this write fails"):
        room.plan(DUE)
    assert room.person("mira") == before
    assert room.states() == {}
    room.sql("DROP TRIGGER broken")
    assert room.plan(DUE).subscribers == 1
    assert room.states() == {DeliveryState.QUEUED: 1}
    assert room.person("mira").next_due_at == DUE + A_DAY


def test_a_crash_between_two_chunks_leaves_the_others_due(room: PlanningRoom) -> None:
    """Each chunk is whole or not there at all, and the next planning plans exactly the rest."""
    room.papers(1, 2)
    room.crowd(due.CHUNK + 1)
    room.sql(BROKEN.format(due.CHUNK))
    with pytest.raises(IntegrityError, match="this write fails"):
        room.plan(DUE)
    served = "SELECT cursor, next_due_at > '2026-11-20 12', count(*) FROM subscribers GROUP BY 1, 2"
    assert room.states() == {DeliveryState.QUEUED: due.CHUNK}
    assert room.rows(served) == [(0, 0, 1), (2, 1, due.CHUNK)]
    room.sql("DROP TRIGGER broken")
    assert room.plan(DUE).subscribers == 1
    assert room.rows(served) == [(2, 1, due.CHUNK + 1)]
    assert room.mailed() == (due.CHUNK + 1, due.CHUNK + 1)


def test_chunks_of_several_groups_leave_nobody_out(room: PlanningRoom) -> None:
    """People of one cursor who are due at different times, in numbers that lie mixed."""
    room.papers(1)
    for _ in range(3):
        room.crowd(1_000, cadence="weekly:fri")
        room.crowd(1_000, due_at=DUE - HOUR)
        room.crowd(500, due_at=DUE + 9 * A_DAY)
    assert room.plan(DUE).subscribers == 6_000
    assert room.plan(DUE).subscribers == 0
    assert room.mailed() == (6_000, 6_000)


# --- several planners


def test_planners_in_threads_plan_nobody_twice(room: PlanningRoom) -> None:
    """Four at the same instant, for people at several cursors."""
    room.papers(1, 2, 3)
    for cursor in range(3):
        room.crowd(1_000, cursor)
    together = threading.Barrier(4)

    def plan(planning: Planning) -> int:
        together.wait()
        return planning.plan(DUE).subscribers

    with ThreadPoolExecutor(4) as pool:
        planned = list(pool.map(plan, [room.planning for _ in range(4)]))
    assert sum(planned) == 3_000
    assert room.mailed() == (3_000, 3_000)
    assert len(room.editions()) == 3


def test_planners_in_processes_plan_nobody_twice(room: PlanningRoom) -> None:
    """Each for everybody, in a process of its own."""
    room.papers(1)
    room.crowd(due.CHUNK + 500)
    code = (
        "import sys, tests.support.planning_room as t\n"
        "room = t.PlanningRoom(t.Database(sys.argv[1]))\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "print(room.plan(t.DUE).subscribers)"
    )
    planners = [
        subprocess.Popen(
            [sys.executable, "-c", code, f"sqlite:///{room.database.file}"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for planner in planners:
        assert planner.stdout is not None
        assert planner.stdout.readline() == "ready\n"
    for planner in planners:
        assert planner.stdin is not None
        planner.stdin.write("go\n")
        planner.stdin.flush()
    assert sum(int(planner.communicate()[0]) for planner in planners) == due.CHUNK + 500
    assert room.mailed() == (due.CHUNK + 500, due.CHUNK + 500)


@pytest.mark.parametrize("all_active", [False, True])
def test_a_planner_that_is_overtaken_plans_nobody(room: PlanningRoom, *, all_active: bool) -> None:
    """Another one plans everything between what it read and what it writes."""
    room.papers(1)
    room.join("mira")
    first = room.interrupted(lambda: room.plan(DUE, all_active=all_active))
    planned = first.plan(DUE, all_active=all_active)
    assert (planned.subscribers, planned.editions) == (0, [])
    assert room.got("mira") == [[1]]


@pytest.mark.parametrize("all_active", [False, True])
def test_a_planner_with_an_old_head_plans_nobody_twice(
    room: PlanningRoom, *, all_active: bool
) -> None:
    """A paper comes and is planned by another, between what it read and what it writes."""
    room.papers(1)
    room.join("mira")

    def overtakes() -> None:
        room.papers(2)
        room.plan(DUE, all_active=all_active)

    assert room.interrupted(overtakes).plan(DUE, all_active=all_active).subscribers == 0
    assert room.got("mira") == [[1, 2]]
    assert room.person("mira").cursor == 2


def test_papers_that_come_while_planning_wait_for_the_next_date(room: PlanningRoom) -> None:
    """The head is read once; what lies above it is nobody's yet, whoever comes last."""
    room.papers(1, 2)
    room.crowd(1, cursor=0)
    room.crowd(1, cursor=1)
    assert room.interrupted(lambda: room.papers(3)).plan(DUE).subscribers == 2
    room.plan(DUE + A_DAY)
    assert (room.got("0"), room.got("1")) == ([[1, 2], [3]], [[2], [3]])


@pytest.mark.parametrize("change", ["pause", "unsubscribe"])
def test_who_leaves_while_planning_gets_nothing(room: PlanningRoom, change: str) -> None:
    """Planned are those who are active when it is written."""
    room.papers(1)
    room.join("mira")
    leaves = getattr(room.lifecycle, change)
    room.now = DUE
    assert (
        room.interrupted(lambda: leaves(parse_address("mira@example.org"))).plan(DUE).subscribers
        == 0
    )
    assert room.states() == {}


def test_who_changes_wishes_while_planning_stays_due(room: PlanningRoom) -> None:
    """The next planning finds them, and nothing was skipped."""
    room.papers(1)
    room.join("mira")
    room.now = DUE
    mira = parse_address("mira@example.org")
    changes = room.interrupted(lambda: room.lifecycle.change(mira, cadence="weekly:fri"))
    assert changes.plan(DUE).subscribers == 0
    room.plan(DUE)
    assert room.got("mira") == [[1]]


# --- due now


def test_due_now_plans_everybody_and_changes_no_due_time(room: PlanningRoom) -> None:
    """Whoever is due, whatever their cadence; and their own date still comes."""
    room.papers(1)
    before = [room.join("mira"), room.join("jonas", cadence="monthly:1")]
    planned = room.plan(all_active=True)
    assert (planned.subscribers, planned.open) == (2, 0)
    assert (room.got("mira"), room.got("jonas")) == ([[1]], [[1]])
    for person in before:
        now = room.person(person.address.partition("@")[0])
        assert (now.next_due_at, now.last_due_on) == (person.next_due_at, None)
        assert now.cursor == 1


def test_due_now_repeated_finds_nothing_new(room: PlanningRoom) -> None:
    """Neither does the due time after it."""
    room.papers(1)
    room.join("mira")
    room.plan(all_active=True)
    again = room.plan(all_active=True)
    assert (again.subscribers, again.editions, again.open) == (0, [], 0)
    assert room.plan(DUE).subscribers == 0
    room.papers(2)
    assert room.plan(DUE + HOUR, all_active=True).subscribers == 1
    assert room.got("mira") == [[1], [2]]


# --- late


def test_three_missed_days_are_one_edition_with_dated_groups(room: PlanningRoom) -> None:
    """Newest first, and each day says which it is."""
    room.join("mira")
    for number in range(3):
        room.papers(number + 1, day=day(number))
    planned = room.plan(DUE + 2 * A_DAY + HOUR)
    assert (planned.subscribers, len(planned.editions)) == (1, 1)
    assert room.got("mira") == [[3, 2, 1]]
    (edition,) = room.editions()
    (part,) = room.parts(edition.id)
    days = ("Sunday, 22 November", "Saturday, 21 November", "Friday, 20 November")
    for said in (part.text, part.html):
        positions = [said.index(text) for text in days]
        assert positions == sorted(positions)
    assert part.subject.endswith("+ 2 more")
    assert room.person("mira").next_due_at == DUE + 3 * A_DAY


def test_a_machine_that_is_on_in_the_evening_only_still_sends(room: PlanningRoom) -> None:
    """Late by most of a day, every day: each date has its edition."""
    room.join("mira")
    for number in range(3):
        room.papers(number + 1, day=day(number))
        room.plan(DUE + number * A_DAY + 14 * HOUR)
    assert room.got("mira") == [[1], [2], [3]]


def test_late_mail_and_the_next_become_one_when_that_is_near(room: PlanningRoom) -> None:
    """Five hours before the next due time nothing goes; then everything in one."""
    room.papers(1)
    room.join("mira")
    assert room.plan(DUE + 19 * HOUR).subscribers == 0
    assert room.person("mira").next_due_at == DUE + A_DAY
    assert room.person("mira").cursor == 0
    room.papers(2, day=day(1))
    assert room.plan(DUE + A_DAY).subscribers == 1
    assert room.got("mira") == [[2, 1]]


def test_a_machine_that_is_on_before_the_hour_only_still_sends(room: PlanningRoom) -> None:
    """Two dates become one, and then not a third: what is late goes the next night."""
    room.join("mira")
    for number in range(5):
        room.papers(number + 1, day=day(number))
        room.plan(MORNING + (number + 1) * A_DAY)
    assert room.got("mira") == [[2, 1], [4, 3]]


def test_late_mail_goes_when_the_next_is_not_near(room: PlanningRoom) -> None:
    """A second more than `catch_up` before the next due time."""
    room.papers(1)
    room.join("mira")
    assert room.plan(DUE + 18 * HOUR - timedelta(seconds=1)).subscribers == 1


# --- while a source fails


def test_a_date_without_papers_stays_open_while_a_source_fails(room: PlanningRoom) -> None:
    """What comes within `catch_up` still goes out that day."""
    room.join("mira")
    room.join("jonas")
    for later in (0 * HOUR, 2 * HOUR):
        assert room.plan(DUE + later, failing=True).open == 2
    assert room.person("mira").next_due_at == DUE
    room.papers(1)
    planned = room.plan(DUE + 5 * HOUR)
    assert (planned.subscribers, planned.open) == (2, 0)
    assert room.person("mira").next_due_at == DUE + A_DAY


def test_an_open_date_ends_with_catch_up(room: PlanningRoom) -> None:
    """After it the date is used up; papers wait for the next one."""
    room.join("mira")
    assert room.plan(DUE + 6 * HOUR - timedelta(seconds=1), failing=True).open == 1
    assert room.plan(DUE + 6 * HOUR, failing=True).open == 0
    assert room.person("mira").next_due_at == DUE + A_DAY
    room.papers(1)
    assert room.plan(DUE + 7 * HOUR).subscribers == 0
    assert room.plan(DUE + A_DAY).subscribers == 1


def test_papers_go_out_while_another_source_fails(room: PlanningRoom) -> None:
    """Who has something to get does not wait."""
    room.papers(1)
    room.join("mira")
    planned = room.plan(DUE, failing=True)
    assert (planned.subscribers, planned.open) == (1, 0)


# --- due times that follow


def test_a_later_hour_counts_for_who_has_not_been_served_today(room: PlanningRoom) -> None:
    """The newsletter's hour changes before it strikes."""
    room.papers(1)
    room.join("mira")
    room.rules = replace(RULES, send_at=time(9, 0))
    assert room.plan(DUE).subscribers == 0
    assert room.person("mira").next_due_at == DUE.replace(hour=9, minute=0)
    assert room.plan(DUE + 2 * HOUR).subscribers == 1


def test_a_later_hour_makes_no_date_come_twice(room: PlanningRoom) -> None:
    """Served at half past seven, then the hour becomes nine: next is tomorrow."""
    room.papers(1)
    room.join("mira")
    room.plan(DUE)
    room.papers(2)
    room.rules = replace(RULES, send_at=time(9, 0))
    assert room.plan(DUE + 2 * HOUR).subscribers == 0
    assert room.person("mira").next_due_at == (DUE + A_DAY).replace(hour=9, minute=0)


def test_who_has_an_hour_of_their_own_keeps_it(room: PlanningRoom) -> None:
    """Only what follows from the newsletter's settings changes with them."""
    room.join("mira", send_at="10:00")
    room.join("jonas", time_zone="Europe/Berlin")
    due_at = {name: room.person(name).next_due_at for name in ("mira", "jonas")}
    room.rules = replace(RULES, send_at=time(9, 0))
    room.plan()
    assert room.person("mira").next_due_at == due_at["mira"]
    assert room.person("jonas").next_due_at == DUE.replace(hour=8, minute=0)


def test_a_zone_to_the_west_makes_no_date_come_twice(room: PlanningRoom) -> None:
    """Served for the 21st in Kiritimati, where it is the 20th in Los Angeles: next is the 22nd."""
    room.rules = replace(RULES, time_zone="Pacific/Kiritimati")
    room.papers(1)
    room.join("mira")
    served = datetime(2026, 11, 20, 17, 30, tzinfo=UTC)
    assert room.plan(served).subscribers == 1
    assert room.person("mira").last_due_on == date(2026, 11, 21)
    room.rules = replace(RULES, time_zone="America/Los_Angeles", send_at=time(20, 0))
    room.plan(served + HOUR)
    assert room.person("mira").next_due_at == datetime(2026, 11, 23, 4, 0, tzinfo=UTC)


@pytest.mark.parametrize("first", [MORNING, DUE, DUE + HOUR])
def test_a_date_that_is_skipped_from_now_on_is_nobodys(room: PlanningRoom, first: datetime) -> None:
    """A holiday that the operator adds; also when the next run is the one that would send."""
    room.papers(1)
    room.join("mira")
    room.rules = replace(RULES, skip_dates=frozenset({DAY}))
    assert room.plan(first).subscribers == 0
    assert room.person("mira").next_due_at == DUE + A_DAY
    assert room.plan(DUE + A_DAY).subscribers == 1
    assert room.got("mira") == [[1]]


def test_another_time_zone_database_mends_due_times(room: PlanningRoom) -> None:
    """They were computed by rules that a country has given up."""
    room.join("mira", time_zone="Europe/Berlin")
    right = room.person("mira").next_due_at
    room.plan()
    room.sql(
        "UPDATE subscribers SET next_due_at = "
        "strftime('%Y-%m-%d %H:%M:%f000', next_due_at, '+1 hour')"
    )
    room.plan()
    assert room.person("mira").next_due_at != right
    room.rules = replace(RULES, tz_version="2026c")
    room.plan()
    assert room.person("mira").next_due_at == right


@pytest.mark.parametrize("cadence", ["daily", "weekdays", "weekly:mon", "monthly:31"])
def test_a_due_time_further_away_than_any_is_mended(room: PlanningRoom, cadence: str) -> None:
    """Somebody joined by a clock that was years ahead, and is right again."""
    room.plan()
    room.join("jonas", cadence=cadence)
    room.now = MORNING.replace(year=2030)
    mira = room.join("mira", cadence=cadence)
    assert str(mira.next_due_at).startswith("2030")
    room.plan(MORNING + HOUR)
    assert room.person("mira").next_due_at == room.person("jonas").next_due_at


def test_a_date_done_with_by_a_wrong_clock_does_not_count(room: PlanningRoom) -> None:
    """Served for a day in 2030, and then it is 2026: today's edition is not left out."""
    room.papers(1)
    room.join("mira")
    room.plan(DUE.replace(year=2030))
    with room.database.write() as tx:
        installation.resume(tx, MORNING)
    room.plan(MORNING)
    room.papers(2)
    assert room.plan(DUE).subscribers == 1
    assert room.got("mira") == [[1], [2]]
    assert room.person("mira").next_due_at == DUE + A_DAY


def test_a_due_time_that_is_far_away_by_right_is_left(room: PlanningRoom) -> None:
    """A monthly person's next date is a month away."""
    room.join("mira", cadence="monthly:19")
    before = room.person("mira").next_due_at
    room.plan()
    assert room.person("mira").next_due_at == before


def test_an_hour_changed_while_overdue_makes_no_date_come_twice(room: PlanningRoom) -> None:
    """Due at half past seven and not yet served when the hour becomes eight in the evening."""
    room.papers(1)
    room.join("mira")
    room.now = DUE + HOUR
    room.lifecycle.change(parse_address("mira@example.org"), send_at="20:00")
    assert room.plan().subscribers == 0
    room.papers(2)
    assert room.plan(DUE.replace(hour=20, minute=0)).subscribers == 1
    room.papers(3)
    assert room.plan(DUE + A_DAY).subscribers == 0
    assert room.plan((DUE + A_DAY).replace(hour=20, minute=0)).subscribers == 1
    assert room.got("mira") == [[1, 2], [3]]


def test_an_earlier_hour_loses_no_date_that_is_overdue(room: PlanningRoom) -> None:
    """Due at half past seven and not yet served when the hour becomes six."""
    room.papers(1)
    room.join("mira")
    room.now = DUE + HOUR
    room.lifecycle.change(parse_address("mira@example.org"), send_at="06:00")
    assert room.plan().subscribers == 1
    assert room.person("mira").next_due_at == MORNING + A_DAY


# --- the clock


def test_a_clock_behind_stops_planning(room: PlanningRoom) -> None:
    """Until it has come so far again."""
    room.papers(1)
    room.join("mira", send_at="06:00")
    room.join("jonas")
    room.plan(DUE + A_DAY)
    room.papers(2, day=day(1))
    before = room.states()
    for wrong in (A_DAY, timedelta(minutes=2)):
        with pytest.raises(ClockBehind, match="continue"):
            room.plan(DUE + A_DAY - wrong, all_active=True)
    assert room.states() == before
    room.plan(DUE + A_DAY, all_active=True)
    assert room.got("mira") == [[1], [2]]


def test_a_clock_behind_changes_no_due_time(room: PlanningRoom) -> None:
    """Seen from last year all of them are too far away; it is the clock that is wrong."""
    room.papers(1)
    room.join("mira")
    room.plan(DUE)
    served = room.person("mira")
    with pytest.raises(ClockBehind):
        room.due_times.reschedule(DUE.replace(year=2025))
    assert room.person("mira") == served


def test_a_clock_that_time_servers_correct_is_not_behind(room: PlanningRoom) -> None:
    """Seconds are no reason."""
    room.papers(1)
    room.join("mira")
    assert room.plan(DUE).subscribers == 1
    assert room.plan(DUE - timedelta(seconds=59)).subscribers == 0


def test_a_capture_from_the_future_stops_planning(room: PlanningRoom) -> None:
    """What was captured was captured: the clock cannot be earlier."""
    room.join("mira")
    room.now = DUE + A_DAY
    room.papers(1)
    with pytest.raises(ClockBehind):
        room.plan(DUE)


def test_continuing_says_that_the_clock_is_right(room: PlanningRoom) -> None:
    """What a wrong clock recorded does not stop anything any more, nor come twice."""
    room.papers(1)
    room.join("mira")
    room.now = DUE.replace(year=2030)
    room.papers(2, day=date(2030, 11, 20))
    room.plan()
    with pytest.raises(ClockBehind):
        room.plan(DUE)
    with room.database.write() as tx:
        installation.resume(tx, DUE)
    assert room.plan(DUE).subscribers == 0
    room.papers(3)
    room.plan(DUE + A_DAY)
    assert room.got("mira") == [[2, 1], [3]]


def test_mail_planned_by_a_wrong_clock_goes_once_it_is_right(room: PlanningRoom) -> None:
    """Queued or put off in 2030, it need not wait until then."""
    room.papers(1)
    room.join("mira")
    room.join("jonas")
    wrong = DUE.replace(year=2030)
    room.plan(wrong)
    with room.database.write() as tx:
        installation.count_sendings(tx, wrong, 1)
        one, _ = outbox.waiting(tx, wrong, 9)
        assert outbox.claim(tx, [one], "sender", wrong) == ({one.id}, 0)
        later = DeliveryUpdate(one.id, DeliveryState.DEFERRED, "not now", wrong + HOUR)
        outbox.settle(tx, "sender", [later], wrong)
    with room.database.write() as tx:
        installation.resume(tx, DUE)
    with room.database.read() as tx:
        waiting = outbox.waiting(tx, DUE, 9)
        assert len(waiting) == 2
        assert all(one.first_at is None or one.first_at <= DUE for one in waiting)
        assert installation.sendings_since(tx, DUE + 2 * A_DAY) == 0


# --- held editions


def flood(room: PlanningRoom, many: int, sizes: Sequence[int] = (1, 1, 1, 1, 1)) -> PlanResult:
    """So many papers at once, for Mira, after editions of these sizes."""
    room.history(*sizes)
    room.join("mira")
    room.papers(*range(1, many + 1))
    return room.plan(DUE)


@pytest.mark.parametrize(
    ("many", "sizes", "held"),
    [
        (10, (1, 1, 1, 1, 1), False),
        (11, (1, 1, 1, 1, 1), True),
        (11, (1, 1, 1, 1), False),
        (21, (1, 2, 2, 2, 9), True),
        (21, (1, 2, 3, 3, 9), False),
    ],
)
def test_more_than_ten_times_the_usual_is_held(
    room: PlanningRoom, many: int, sizes: tuple[int, ...], *, held: bool
) -> None:
    """The median of at least five earlier editions is what is usual."""
    planned = flood(room, many, sizes)
    assert (len(planned.held), planned.subscribers) == ((1, 0) if held else (0, 1))
    if held:
        assert f"{many} papers" in (planned.held[0].reason or "")


def test_papers_that_went_out_day_by_day_are_no_flood_to_slower_people(room: PlanningRoom) -> None:
    """Twenty-one of a week, where one to three are usual; more that nobody had are one."""
    room.history(1, 1, 1, 1, 1)
    room.join("daily")
    room.join("weekly", cadence="weekly:thu")
    for number in range(7):
        room.papers(*range(3 * number + 1, 3 * number + 4), day=day(number))
        assert room.plan(DUE + number * A_DAY).held == []
    assert [len(papers) for papers in room.got("weekly")] == [21]
    room.join("new", cadence="weekly:thu")
    room.papers(*range(100, 131), day=day(7), source="other")
    assert room.plan(DUE + 13 * A_DAY).held


def test_who_comes_back_after_months_holds_nobodys_mail(room: PlanningRoom) -> None:
    """What the others were sent day by day is no flood, however long ago that began."""
    room.join("daily")
    room.join("away")
    room.papers(1)
    room.plan(DUE)
    room.lifecycle.pause(parse_address("away@example.org"))
    for number in range(1, 100):
        room.papers(number + 1, day=day(number))
        room.plan(DUE + number * A_DAY)
    room.lifecycle.resume(parse_address("away@example.org"))
    room.papers(101, day=day(100))
    assert room.plan(DUE + 100 * A_DAY).held == []
    assert len(room.got("away")[-1]) == 100
    assert len(room.got("daily")) == 101


def test_held_and_rejected_editions_say_nothing_about_the_usual(room: PlanningRoom) -> None:
    """Only what somebody was to get counts."""
    flood(room, 11, (1, 1, 1, 1))
    room.history(1)
    with room.database.read() as tx:
        assert editions.sizes(tx) == [1, 11, 1, 1, 1, 1]
    room.papers(*range(100, 200), day=day(1), source="other")
    assert room.plan(DUE + A_DAY).held
    with room.database.read() as tx:
        assert editions.sizes(tx) == [1, 11, 1, 1, 1, 1]


def test_a_hold_moves_nobody(room: PlanningRoom) -> None:
    """The date stays open, nothing is planned, and it is the same hold the next time."""
    (held,) = flood(room, 11).held
    mira = room.person("mira")
    assert (mira.cursor, mira.next_due_at, mira.last_due_on) == (0, DUE, None)
    for later in (HOUR, 3 * A_DAY):
        planned = room.plan(DUE + later)
        assert (planned.subscribers, [row.id for row in planned.held]) == (0, [held.id])
    assert room.states() == {}
    assert len(room.editions(EditionState.HELD)) == 1


def test_a_hold_covers_every_edition_with_one_of_its_papers(room: PlanningRoom) -> None:
    """Also who would get one of them only, or more besides; who gets none goes on."""
    flood(room, 11)
    room.papers(100, day=day(1), source="other")
    room.crowd(1, cursor=10)
    room.crowd(2, cursor=11)
    planned = room.plan(DUE + HOUR)
    assert (len(planned.held), planned.subscribers) == (1, 2)
    assert room.mailed() == (2, 2)


def test_a_hold_covers_the_editions_made_after_it_in_one_planning(room: PlanningRoom) -> None:
    """Somebody with ten of the eleven papers, which alone are not too many."""
    room.crowd(1, cursor=1)
    planned = flood(room, 11)
    assert (len(planned.held), planned.subscribers) == (1, 0)
    assert room.states() == {}


def test_a_released_edition_goes_as_it_was_made(room: PlanningRoom) -> None:
    """With the next planning, once, to everybody it waited for."""
    (held,) = flood(room, 11).held
    made = room.parts(held.id)
    room.review.release(held.id, DUE + HOUR)
    planned = room.plan(DUE + HOUR)
    assert (planned.subscribers, planned.editions, planned.held) == (1, [held.key], [])
    assert room.parts(held.id) == made
    assert room.plan(DUE + A_DAY).subscribers == 0
    assert [len(papers) for papers in room.got("mira")] == [11]


def test_released_papers_are_not_too_many_again(room: PlanningRoom) -> None:
    """Not for who gets them with others, or a few days later, or without some of them.

    Who waited for the edition gets it as it was let go, and what came since a day later.
    """
    (held,) = flood(room, 11).held
    room.join("weekly", cadence="weekly:mon")
    room.crowd(1, cursor=3)
    room.review.release(held.id, DUE + HOUR)
    room.papers(100, day=day(1), source="other")
    planned = room.plan(DUE + 3 * A_DAY)
    assert (planned.subscribers, planned.held) == (3, [])
    assert planned.editions[0] == held.key
    assert [len(papers) for papers in room.got("mira") + room.got("weekly")] == [11, 12]
    assert room.plan(DUE + 4 * A_DAY).held == []
    assert [len(papers) for papers in room.got("mira")] == [11, 1]


def test_a_rejected_editions_papers_wait_for_the_next_date(room: PlanningRoom) -> None:
    """Today is done with; tomorrow it is looked at again."""
    (held,) = flood(room, 11).held
    room.review.reject(held.id, DUE + HOUR)
    planned = room.plan(DUE + HOUR)
    assert (planned.subscribers, planned.held) == (0, [])
    mira = room.person("mira")
    assert (mira.cursor, mira.next_due_at, mira.last_due_on) == (0, DUE + A_DAY, DAY)
    (again,) = room.plan(DUE + A_DAY).held
    assert again.id == held.id
    room.review.release(held.id, DUE + A_DAY)
    assert room.plan(DUE + A_DAY).subscribers == 1
    assert [len(papers) for papers in room.got("mira")] == [11]


def test_a_no_said_by_a_clock_that_was_ahead_is_no_longer_one(room: PlanningRoom) -> None:
    """It was for that date, and that date is far away; the operator is asked again now."""
    (held,) = flood(room, 11).held
    room.now = DUE + 365 * A_DAY
    room.plan()
    room.review.reject(held.id, room.now)
    room.now = DUE + HOUR
    with room.database.write() as tx:
        installation.resume(tx, room.now)
    (again,) = room.plan(DUE + A_DAY).held
    assert again.id == held.id


def test_a_rejected_edition_that_is_usual_by_then_goes_out(room: PlanningRoom) -> None:
    """The next run is that of the next date. Nobody let it go, so it counts in later floods."""
    (held,) = flood(room, 11).held
    room.review.reject(held.id, DUE + HOUR)
    room.history(*[9] * 20)
    assert room.plan(DUE + A_DAY).subscribers == 1
    (row,) = [row for row in room.editions() if row.id == held.id]
    assert (row.state, row.decided_at) == (EditionState.FROZEN, None)
    with room.database.read() as tx:
        assert editions.released(tx) == set()


def test_rejecting_is_no_word_about_who_is_due_later(room: PlanningRoom) -> None:
    """Somebody whose date comes after the rejection is looked at again then."""
    room.join("jonas", send_at="12:00")
    (held,) = flood(room, 11).held
    room.review.reject(held.id, DUE + HOUR)
    planned = room.plan(DUE.replace(hour=12, minute=0))
    assert [row.id for row in planned.held] == [held.id]
    assert room.person("jonas").next_due_at == DUE.replace(hour=12, minute=0)


def test_passed_papers_are_nobodys_any_more(room: PlanningRoom) -> None:
    """Neither now nor later, nor for weekly people with another cursor; others go on."""
    room.history(1, 1, 1, 1, 1)
    room.join("mira")
    room.join("weekly", cadence="weekly:mon")
    room.papers(900)
    room.plan(DUE)
    room.papers(*range(1, 12), day=day(1), source="other")
    (held,) = room.plan(DUE + A_DAY).held
    room.review.reject(held.id, DUE + A_DAY, pass_over=True)
    room.plan(DUE + A_DAY)
    room.papers(901, day=day(2))
    for later in range(2, 5):
        room.plan(DUE + later * A_DAY)
    room.plan(all_active=True)
    assert room.got("mira") == [[900], [901]]
    assert room.got("weekly") == [[901, 900]]
    assert room.rows("SELECT count(*) FROM passed") == [(11,)]


def test_only_a_held_edition_can_be_decided(room: PlanningRoom) -> None:
    """What is planned is planned."""
    room.papers(1)
    room.join("mira")
    room.plan(DUE)
    (row,) = room.editions()
    for decide in (room.review.release, room.review.reject):
        with pytest.raises(UsageError, match="not held"):
            decide(row.id, DUE)
        with pytest.raises(UsageError, match="no edition 99"):
            decide(99, DUE)


# --- editions that fail their own check


@pytest.fixture
def theme(tmp_path: Path) -> Path:
    """The folder of an operator's own theme."""
    folder = tmp_path / "templates" / "themes" / "default"
    folder.mkdir(parents=True)
    return folder


def endless(theme: Path) -> None:
    """HTML that is too large whatever is in it."""
    bundled = (bundled_templates() / "themes" / "default" / "edition.mjml.j2").read_text()
    filler = "<mj-section><mj-column><mj-text>{}</mj-text></mj-column></mj-section></mj-body>"
    (theme / "edition.mjml.j2").write_text(
        bundled.replace("</mj-body>", filler.format("lamps " * 20_000))
    )


def mended(theme: Path) -> None:
    """The bundled theme again."""
    for file in theme.iterdir():
        file.unlink()


def test_an_edition_that_fails_its_own_check_is_held(room: PlanningRoom, theme: Path) -> None:
    """Looked at before anybody is planned; the operator may let it go as it is."""
    without_papers(theme)
    room.templates = theme.parents[1]
    room.papers(1, 2)
    room.join("mira")
    planned = room.plan(DUE)
    (held,) = planned.held
    assert planned.subscribers == 0
    assert "the text lacks" in (held.reason or "")
    assert room.person("mira").cursor == 0
    room.review.release(held.id, DUE)
    assert room.plan(DUE).subscribers == 1
    assert room.got("mira") == [[1, 2]]


def test_an_edition_that_cannot_be_made_is_held_and_not_released(
    room: PlanningRoom, theme: Path
) -> None:
    """There is nothing that could go; once the theme is mended, its papers come next."""
    endless(theme)
    room.templates = theme.parents[1]
    room.papers(1, 2)
    room.join("mira")
    (held,) = room.plan(DUE).held
    assert "does not fit" in (held.reason or "")
    assert (room.parts(held.id), held.subject) == ([], "")
    with pytest.raises(UsageError, match="could not be made"):
        room.review.release(held.id, DUE)
    mended(theme)
    assert [row.id for row in room.plan(DUE).held] == [held.id]
    room.review.reject(held.id, DUE + HOUR)
    assert room.plan(DUE + HOUR).subscribers == 0
    assert room.plan(DUE + A_DAY).subscribers == 1
    assert room.got("mira") == [[1, 2]]


def test_a_rejected_edition_of_a_mended_theme_is_another(room: PlanningRoom, theme: Path) -> None:
    """The same papers in another look are looked at anew, and go."""
    without_papers(theme)
    room.templates = theme.parents[1]
    room.papers(1)
    room.join("mira")
    (held,) = room.plan(DUE).held
    mended(theme)
    room.review.reject(held.id, DUE)
    room.plan(DUE)
    (key,) = room.plan(DUE + A_DAY).editions
    assert key != held.key


def test_a_theme_that_is_no_theme_moves_nobody(room: PlanningRoom, theme: Path) -> None:
    """It is said; mended, everything goes."""
    (theme / "edition.txt.j2").write_text("{{ nonsense")
    room.templates = theme.parents[1]
    room.papers(1)
    before = room.join("mira")
    with pytest.raises(RenderError, match="fix the template"):
        room.plan(DUE)
    assert room.person("mira") == before
    assert (room.editions(), room.states()) == ([], {})
    mended(theme)
    assert room.plan(DUE).subscribers == 1


# --- withdrawn papers


def test_a_paper_withdrawn_before_it_is_planned_is_left_out(room: PlanningRoom) -> None:
    """Who has it has it; nobody else gets it."""
    room.papers(1, 2)
    room.join("early", send_at="07:00")
    room.join("late")
    room.plan(DUE - HOUR / 2)
    room.papers(1, summary=WITHDRAWN)
    room.plan(DUE)
    assert (room.got("early"), room.got("late")) == ([[1, 2]], [[2]])


def test_nothing_but_withdrawn_papers_is_nothing_new(room: PlanningRoom) -> None:
    """No edition, and the date is used up."""
    room.papers(1)
    room.join("mira")
    room.papers(1, summary=WITHDRAWN)
    planned = room.plan(DUE)
    assert (planned.subscribers, room.editions()) == (0, [])
    mira = room.person("mira")
    assert (mira.cursor, mira.next_due_at, mira.last_due_on) == (2, DUE + A_DAY, DAY)


def test_a_paper_withdrawn_from_a_held_edition_is_left_out(room: PlanningRoom) -> None:
    """Released, the others go; they are not held again."""
    (held,) = flood(room, 12).held
    room.papers(1, summary=WITHDRAWN)
    room.review.release(held.id, DUE)
    planned = room.plan(DUE)
    assert (planned.subscribers, planned.held) == (1, [])
    assert sorted(room.got("mira")[0]) == list(range(2, 13))


# --- one edition for many


def test_people_with_one_cursor_share_an_edition_that_is_rendered_once(room: PlanningRoom) -> None:
    """Whatever their cadence, hour and zone are."""
    room.papers(1, 2)
    room.join("mira")
    room.join("jonas", cadence="weekly:fri")
    room.join("ana", time_zone="Europe/Berlin")
    room.crowd(100)
    planned = room.plan(DUE)
    assert (planned.subscribers, len(planned.editions)) == (103, 1)
    assert room.made == [(1, 2)]
    assert len(room.editions()) == 1


def test_who_is_due_later_gets_the_edition_that_is_there(room: PlanningRoom) -> None:
    """The same papers in the same look are the same edition, as it was frozen."""
    room.papers(1, 2)
    room.join("mira")
    room.join("jonas", send_at="12:00")
    room.plan(DUE)
    (row,) = room.editions()
    made = room.parts(row.id)
    room.papers(1, 2, upvotes=99)
    assert room.plan(DUE.replace(hour=12)).editions == [row.key]
    assert room.parts(row.id) == made
    assert len(room.editions()) == 1


def test_people_with_other_cursors_get_other_editions(room: PlanningRoom) -> None:
    """Each rendered once."""
    room.papers(1, 2, 3)
    for cursor in (0, 1, 1, 2, 2, 3):
        room.crowd(1, cursor)
    planned = room.plan(DUE)
    assert (planned.subscribers, len(planned.editions)) == (5, 3)
    assert sorted(room.made) == [(1, 2, 3), (2, 3), (3,)]


def test_all_parts_of_an_edition_are_planned_together(room: PlanningRoom) -> None:
    """Without a web page for the rest, everybody gets part 1 and part 2."""
    room.papers(*range(1, 421))
    room.crowd(3)
    assert room.plan(DUE).subscribers == 3
    (row,) = room.editions()
    parts = room.parts(row.id)
    assert [part.subject[-5:] for part in parts] == ["(1/2)", "(2/2)"]
    assert room.rows("SELECT part, count(*) FROM deliveries GROUP BY 1") == [(1, 3), (2, 3)]


def test_no_date_comes_twice_when_the_newsletter_moves_west(room: PlanningRoom) -> None:
    """Who is overdue there has had that date already, and waits for the next one."""
    room.join("mira")
    room.papers(1)
    room.plan(DUE)
    room.papers(2, day=day(1))
    room.rules = replace(RULES, time_zone="Pacific/Pago_Pago")  # eleven hours behind
    planned = room.plan(DUE + A_DAY)  # still the same date there
    mira = room.person("mira")
    assert (planned.subscribers, mira.last_due_on) == (0, DAY)
    assert mira.next_due_at == DUE + A_DAY + 11 * HOUR
    assert room.plan(mira.next_due_at).subscribers == 1
    assert room.person("mira").last_due_on == DAY + A_DAY
    assert [len(papers) for papers in room.got("mira")] == [1, 1]
