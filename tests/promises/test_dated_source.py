"""A source with a list for each day, on a machine that is at times off, offline or killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path

import pytest

from newsletter.app.composition import App
from newsletter.config.parse import parse
from newsletter.messages import tokens
from newsletter.papers.report import CaptureReport
from newsletter.storage import backups, log
from newsletter.storage.database import Database
from tests.support.http_server import Answer, Server, reply
from tests.support.planning_room import capture

DOWN = reply(status=503, Retry_After="3600")
"""The reply of an overloaded server that asks to wait for longer than an ingest does."""
NONE = reply(b"[]")
GONE = reply(status=404)

Lists = Mapping[date | int, Answer | list[Answer]]
"""The answer for each day (of November if it is a number): always the same, or one by one."""


def november(day: date | int) -> date:
    """Returns the date, for a number the day of November 2026."""
    return day if isinstance(day, date) else date(2026, 11, day)


def of(day: int, *more: int, etag: str = "") -> bytes:
    """Returns the list of a day of November, with the paper of the same number and these others."""
    fields = {"ETag": etag} if etag else {}
    return reply(capture((day, *more), november(day)), 200, **fields)


class Machine:
    """A machine with one dated source, which runs only when a test says so."""

    def __init__(self, folder: Path, lists: Lists) -> None:
        days = {november(day): answers for day, answers in lists.items()}
        self.server = Server({f"/papers?date={day}": answers for day, answers in days.items()})
        self.url = self.server.url("/papers?date={date}")
        self.now = datetime(2026, 11, 19, 7, tzinfo=UTC)
        self.file = folder / "papers.db"
        self.database = Database(f"sqlite:///{self.file}")
        self.app = self.with_sources(f'[[sources]]\nname = "daily"\nurl = "{self.url}"\n')

    def with_sources(self, sources: str) -> App:
        """Returns the application with these sources configured."""
        text = f'{sources}allow_private = true\n[newsletter]\ntime_zone = "UTC"\n'
        config = parse(text, {}, where="config.toml", folder=Path())
        return App(config, self.database, lambda: self.now)

    def on(self, day: int, month: int = 11) -> list[CaptureReport]:
        """Ingests on the morning of this day. Returns the reports."""
        self.now = datetime(2026, month, day, 7, tzinfo=UTC)
        return list(self.app.sources.ingest_configured())

    def asked(self) -> list[int]:
        """Returns the days requested since the last call."""
        days = [int(request.path[-2:]) for request in self.server.requests]
        self.server.requests.clear()
        return days

    def failing(self) -> bool:
        """Returns whether the source is reported as failing."""
        return self.app.status.read().idle_reason.startswith("source failing: daily")

    def announced(self) -> list[str]:
        """Returns the ids of all announced papers, in log order."""
        with self.database.read() as tx:
            return [f"{entry.paper.arxiv_id}"[-2:] for entry in log.new_entries(tx)]

    def close(self) -> None:
        """Closes the application and the server."""
        self.database.close()
        self.server.close()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Callable[[Lists], Machine]]:
    """Makes a machine whose source gives these answers."""
    made: list[Machine] = []

    def make(lists: Lists) -> Machine:
        made.append(Machine(tmp_path, lists))
        return made[-1]

    yield make
    for one in made:
        one.close()


Make = Callable[[Lists], Machine]


def test_a_machine_that_was_off_for_days_loses_no_paper(machine: Make) -> None:
    """Thursday morning to Monday: Thursday's later papers and the days between are fetched."""
    lists: Lists = {day: of(day) for day in range(18, 25)}
    off = machine({**lists, 19: [of(19), of(19, 29)]})
    off.on(19)
    assert off.asked() == [18, 19]
    reports = off.on(23)
    assert off.asked() == [19, 20, 21, 22, 23]
    assert [report.counts.new for report in reports] == [1, 1, 1, 1, 1]
    assert off.announced() == ["19", "29", "20", "21", "22", "23"]
    off.on(24)
    assert off.asked() == [23, 24]


def test_a_failing_day_is_requested_until_it_answers(machine: Make) -> None:
    """It is requested again although other days work, and no longer once it has answered."""
    lists: Lists = {day: of(day) for day in range(18, 25)}
    failing = machine({**lists, 20: [DOWN, DOWN, DOWN, of(20)]})
    failing.on(19)
    failing.asked()
    failing.on(20)
    assert failing.failing()
    failing.on(21)
    assert failing.asked() == [19, 20, 20, 21]
    failing.on(22)
    assert failing.asked() == [20, 21, 22]
    assert failing.failing()
    assert failing.announced() == ["19", "21", "22"]
    failing.on(24)
    assert failing.asked() == [20, 22, 23, 24]
    assert not failing.failing()
    assert failing.announced() == ["19", "21", "22", "20", "23", "24"]
    failing.on(24)
    assert failing.asked() == [23, 24]


def test_a_server_that_was_down_for_days_loses_no_paper(machine: Make) -> None:
    """Each day that failed is requested once the server works again."""
    lists: Lists = {19: [of(19), DOWN, DOWN, of(19)], 20: [DOWN, DOWN, of(20)], 21: [DOWN, of(21)]}
    down = machine({18: of(18), **lists, 22: of(22)})
    for day in range(19, 23):
        down.on(day)
    assert down.announced() == ["19", "20", "21", "22"]
    assert not down.failing()


def test_a_server_that_is_down_is_not_asked_for_every_missed_day(machine: Make) -> None:
    """After three failed days only yesterday and today are tried; the others wait."""
    lists: Lists = {day: of(day) for day in range(18, 29)}
    down = machine({**lists, **{day: [DOWN, of(day)] for day in (20, 21, 22, 27, 28)}})
    down.on(18)
    down.on(19)
    down.asked()
    down.on(28)
    assert down.asked() == [19, 20, 21, 22, 27, 28]
    down.on(28)
    assert down.asked() == [*range(20, 29)]
    assert not down.failing()


def test_an_unchanged_list_counts_as_fetched(machine: Make) -> None:
    """Its bytes or its server show that it is unchanged; the next day requests two lists."""
    same = reply(status=304, ETag='"19"')
    quiet = machine({18: of(18), 19: [of(19, etag='"19"'), same], 20: of(20), 21: of(21)})
    for day, expected in ((19, [18, 19]), (20, [19, 20]), (21, [20, 21]), (22, [21, 22])):
        quiet.on(day)
        assert quiet.asked() == expected


def test_empty_lists_count_as_fetched(machine: Make) -> None:
    """A weekend without papers is not requested again."""
    weekend = machine({19: of(19), 20: of(20), 21: NONE, 22: NONE, 23: of(23)})
    for day in (20, 21, 22, 23):
        weekend.asked()
        assert [report.held for report in weekend.on(day)] == [None, None]
        assert weekend.asked() == [day - 1, day]


def test_a_missing_day_is_not_requested_again_after_a_later_one_worked(machine: Make) -> None:
    """A server without lists for weekends fails until Monday's list, and works after it."""
    weekend = machine({19: of(19), 20: of(20), 21: GONE, 22: GONE, 23: of(23), 24: of(24)})
    for day in (20, 21):
        weekend.on(day)
    assert weekend.failing()
    weekend.asked()
    weekend.on(22)
    assert weekend.asked() == [21, 22]
    weekend.on(23)
    assert weekend.asked() == [21, 22, 23]
    weekend.on(24)
    assert weekend.asked() == [23, 24]
    assert not weekend.failing()


def test_pages_that_were_all_missing_are_requested_again(machine: Make) -> None:
    """A site lost its pages for three days, and no later page worked, so they are still missed."""
    lost = machine(
        {19: [of(19), GONE, GONE, of(19)], 20: [GONE, GONE, of(20)], 21: [GONE, of(21)], 22: of(22)}
    )
    for day in range(19, 23):
        lost.on(day)
    assert lost.announced() == ["19", "20", "21", "22"]


def test_after_a_death_between_two_days_the_rest_is_requested(machine: Make) -> None:
    """The next run requests the days that this one did not reach."""
    killed = machine({day: of(day) for day in range(18, 24)})
    killed.on(19)
    killed.now = datetime(2026, 11, 23, 7, tzinfo=UTC)
    done = islice(killed.app.sources.ingest_configured(), 2)
    assert [report.origin[-2:] for report in done] == ["19", "20"]
    del done
    killed.asked()
    killed.on(23)
    assert killed.asked() == [21, 22, 23]
    assert killed.announced() == ["19", "20", "21", "22", "23"]


def test_days_too_far_back_are_reported_as_given_up(machine: Make) -> None:
    """They are in the report of that run, and in the status until the next one succeeds."""
    others = [date(2026, 10, 9), date(2026, 10, 10), *(date(2026, 12, day) for day in (1, 2, 3))]
    lost = machine(dict.fromkeys([*others, *range(1, 31)], NONE))
    lost.on(10, month=10)
    lost.asked()
    first, *came = lost.on(2, month=12)
    assert "so 2026-10-10 to 2026-10-31 will not be requested" in (first.held or "")
    assert lost.asked() == [*range(1, 31), 1, 2]
    assert [report.held for report in came] == [None] * 32
    assert lost.failing()
    assert "2026-10-10 to 2026-10-31" in lost.app.status.read().idle_reason
    assert [report.held for report in lost.on(3, month=12)] == [None, None]
    assert not lost.failing()


def test_a_url_on_the_command_line_is_requested_for_yesterday_and_today(machine: Make) -> None:
    """Missed days are fetched only for configured sources."""
    hand = machine({day: of(day) for day in range(18, 24)})
    app = hand.with_sources('[[sources]]\nname = "other"\nurl = "http://127.0.0.1/"\n')
    for day in (19, 23):
        hand.now = datetime(2026, 11, day, 7, tzinfo=UTC)
        named = [report.origin[-2:] for report in app.sources.ingest_named([hand.url])]
        assert named == [f"{day - 1}", f"{day}"]


def test_a_new_url_under_the_same_name_has_no_missed_days(machine: Make) -> None:
    """Missed days belong to the URL, and nothing was ever fetched from a new one."""
    moved = machine({day: of(day) for day in range(18, 24)})
    moved.on(19)
    moved.app = moved.with_sources(
        f'[[sources]]\nname = "daily"\nurl = "{moved.server.url("/list/{date}")}"\n'
    )
    moved.asked()
    assert len(moved.on(23)) == 2


def test_after_a_restore_the_days_since_the_backup_are_requested(machine: Make) -> None:
    """They are held, because it is not known which of their papers were announced."""
    old = machine({day: of(day, etag=f'"{day}"') for day in range(18, 24)})
    old.on(19)
    backups.doubt_what_waits(
        old.file, old.file.with_name("nothing.db"), old.now, tokens.suppression_hash
    )
    old.server.requests.clear()
    assert [bool(report.held) for report in old.on(23)] == [False, True, True, True, True]
    assert not [one for one in old.server.requests if "if-none-match" in one.headers]
    assert old.asked() == [19, 20, 21, 22, 23]
