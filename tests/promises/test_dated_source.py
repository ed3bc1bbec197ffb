"""A source with a list for each day, and a machine that is off, offline or killed meanwhile."""

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
"""A server in trouble, for longer than anybody waits."""
NONE = reply(b"[]")
GONE = reply(status=404)

Lists = Mapping[date | int, Answer | list[Answer]]
"""What is answered for a day, of November if it is a number: always, or to each request."""


def november(day: date | int) -> date:
    """A day, of November if it is a number."""
    return day if isinstance(day, date) else date(2026, 11, day)


def of(day: int, *more: int, etag: str = "") -> bytes:
    """The list of a day of November: the paper with the day's number, and more."""
    fields = {"ETag": etag} if etag else {}
    return reply(capture((day, *more), november(day)), 200, **fields)


class Machine:
    """A machine with one dated source, on when a test says so."""

    def __init__(self, folder: Path, lists: Lists) -> None:
        days = {november(day): answers for day, answers in lists.items()}
        self.server = Server({f"/papers?date={day}": answers for day, answers in days.items()})
        self.url = self.server.url("/papers?date={date}")
        self.now = datetime(2026, 11, 19, 7, tzinfo=UTC)
        self.file = folder / "papers.db"
        self.database = Database(f"sqlite:///{self.file}")
        self.app = self.with_sources(f'[[sources]]\nname = "daily"\nurl = "{self.url}"\n')

    def with_sources(self, sources: str) -> App:
        """The program with these sources."""
        text = f'{sources}allow_private = true\n[newsletter]\ntime_zone = "UTC"\n'
        config = parse(text, {}, where="config.toml", folder=Path())
        return App(config, self.database, lambda: self.now)

    def on(self, day: int, month: int = 11) -> list[CaptureReport]:
        """What an ingest on the morning of that day brings."""
        self.now = datetime(2026, month, day, 7, tzinfo=UTC)
        return list(self.app.sources.ingest_configured())

    def asked(self) -> list[int]:
        """The days that were asked for since this was asked."""
        days = [int(request.path[-2:]) for request in self.server.requests]
        self.server.requests.clear()
        return days

    def failing(self) -> bool:
        """Whether the operator is told that the source fails."""
        return self.app.status.read().idle_reason.startswith("source failing: daily")

    def announced(self) -> list[str]:
        """The ids of all announced papers, in log order."""
        with self.database.read() as tx:
            return [f"{entry.paper.arxiv_id}"[-2:] for entry in log.new_entries(tx)]

    def close(self) -> None:
        """Ends everything."""
        self.database.close()
        self.server.close()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Callable[[Lists], Machine]]:
    """Makes a machine whose source answers so."""
    made: list[Machine] = []

    def make(lists: Lists) -> Machine:
        made.append(Machine(tmp_path, lists))
        return made[-1]

    yield make
    for one in made:
        one.close()


Make = Callable[[Lists], Machine]


def test_a_machine_that_was_off_for_days_misses_no_paper(machine: Make) -> None:
    """From Thursday's morning to Monday's: Thursday's later papers and the days between come."""
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


def test_an_address_that_fails_is_asked_for_until_it_answers(machine: Make) -> None:
    """While those of other days do; and then no more."""
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


def test_a_server_that_was_down_for_days_loses_none(machine: Make) -> None:
    """Each of the days that failed is asked for when it is well."""
    lists: Lists = {19: [of(19), DOWN, DOWN, of(19)], 20: [DOWN, DOWN, of(20)], 21: [DOWN, of(21)]}
    down = machine({18: of(18), **lists, 22: of(22)})
    for day in range(19, 23):
        down.on(day)
    assert down.announced() == ["19", "20", "21", "22"]
    assert not down.failing()


def test_a_server_that_is_down_is_not_asked_for_every_day(machine: Make) -> None:
    """After three days in vain only yesterday and today are tried; the others wait."""
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


def test_a_list_that_stays_the_same_counts_as_got(machine: Make) -> None:
    """By its bytes, or because its server says so: the next day asks for two."""
    same = reply(status=304, ETag='"19"')
    quiet = machine({18: of(18), 19: [of(19, etag='"19"'), same], 20: of(20), 21: of(21)})
    for day, expected in ((19, [18, 19]), (20, [19, 20]), (21, [20, 21]), (22, [21, 22])):
        quiet.on(day)
        assert quiet.asked() == expected


def test_empty_lists_count_as_got(machine: Make) -> None:
    """A weekend without papers owes nothing."""
    weekend = machine({19: of(19), 20: of(20), 21: NONE, 22: NONE, 23: of(23)})
    for day in (20, 21, 22, 23):
        weekend.asked()
        assert [report.held for report in weekend.on(day)] == [None, None]
        assert weekend.asked() == [day - 1, day]


def test_a_day_without_a_page_is_not_owed_when_a_later_one_has_come(machine: Make) -> None:
    """A server that has no list for weekends fails until Monday's, and is well after it."""
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


def test_pages_that_were_all_gone_are_asked_for_when_they_are_back(machine: Make) -> None:
    """A site that lost its pages for three days: nothing came after them, so they are owed."""
    lost = machine(
        {19: [of(19), GONE, GONE, of(19)], 20: [GONE, GONE, of(20)], 21: [GONE, of(21)], 22: of(22)}
    )
    for day in range(19, 23):
        lost.on(day)
    assert lost.announced() == ["19", "20", "21", "22"]


def test_a_run_that_dies_between_two_days_leaves_the_others_owed(machine: Make) -> None:
    """The next one asks for those that this one had not got to."""
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


def test_days_that_are_too_far_back_are_said_to_be_given_up(machine: Make) -> None:
    """In the report of that run, and in the status until the next, which is well."""
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


def test_an_address_named_by_hand_is_asked_for_yesterday_and_today(machine: Make) -> None:
    """Nothing is owed by what is not watched."""
    hand = machine({day: of(day) for day in range(18, 24)})
    app = hand.with_sources('[[sources]]\nname = "other"\nurl = "http://127.0.0.1/"\n')
    for day in (19, 23):
        hand.now = datetime(2026, 11, day, 7, tzinfo=UTC)
        named = [report.origin[-2:] for report in app.sources.ingest_named([hand.url])]
        assert named == [f"{day - 1}", f"{day}"]


def test_another_address_under_the_same_name_owes_nothing(machine: Make) -> None:
    """What counts is the address: of a new one nothing was ever got."""
    moved = machine({day: of(day) for day in range(18, 24)})
    moved.on(19)
    moved.app = moved.with_sources(
        f'[[sources]]\nname = "daily"\nurl = "{moved.server.url("/list/{date}")}"\n'
    )
    moved.asked()
    assert len(moved.on(23)) == 2


def test_a_restore_asks_for_the_days_since_the_backup(machine: Make) -> None:
    """Whole, for nobody knows what was announced of them: they are held."""
    old = machine({day: of(day, etag=f'"{day}"') for day in range(18, 24)})
    old.on(19)
    backups.doubt_what_waits(
        old.file, old.file.with_name("nothing.db"), old.now, tokens.suppression_hash
    )
    old.server.requests.clear()
    assert [bool(report.held) for report in old.on(23)] == [False, True, True, True, True]
    assert not [one for one in old.server.requests if "if-none-match" in one.headers]
    assert old.asked() == [19, 20, 21, 22, 23]
