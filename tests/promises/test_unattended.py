"""The service with a jumping clock: weeks and years of minutes, in many time zones, with sleep,
deaths, changes of the clock, and two processes on one database.
"""

from __future__ import annotations

import random
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from newsletter.app.composition import App
from newsletter.config.parse import parse
from newsletter.config.schema import Config
from newsletter.papers.ingest import Ingest
from newsletter.service.jobs import Jobs
from newsletter.storage.database import Database
from newsletter.subscribers.csv_columns import SubscriberRow
from newsletter.subscribers.lifecycle import line_of
from tests.support.captures import api_json, made
from tests.support.polls import POLLS, feed, polls
from tests.support.soak import SOAK

ZONES = (
    "Europe/Berlin", "America/New_York", "America/Santiago", "Africa/Cairo", "Asia/Beirut",
    "America/Havana", "Australia/Lord_Howe", "Pacific/Apia", "America/St_Johns", "Asia/Kolkata",
    "Africa/Casablanca", "Asia/Tokyo", "Pacific/Kiritimati", "UTC",
)  # fmt: skip
HOURS = ("00:00", "00:30", "02:30", "07:30", "23:45")
DAYS = 3 * 365 if SOAK else 31
CATCH_UP = timedelta(hours=6)
START = datetime(2026, 10, 10, 3, tzinfo=UTC)  # a month in which clocks change

CONFIG = """
[newsletter]
owner = "keeper@example.org"
[[sources]]
name = "page"
url = "https://page.example"
[delivery]
transport = "eml"
"""


@dataclass
class Clock:
    """A wall clock that the test sets."""

    now: datetime

    def __call__(self) -> datetime:
        """Returns its time."""
        return self.now


@dataclass
class Machine:
    """A folder with a database, and the processes that use it."""

    folder: Path
    clock: Clock
    processes: list[Jobs] = field(default_factory=list)
    apps: list[App] = field(default_factory=list)

    @property
    def config(self) -> Config:
        """Its configuration, without sources, because the test ingests captures itself."""
        found = parse(CONFIG, {}, where="config.toml", folder=self.folder)
        return found.model_copy(update={"sources": ()})

    def start(self) -> None:
        """Starts one more process."""
        app = App(self.config, clock=self.clock)
        self.apps.append(app)
        self.processes.append(Jobs(app, self.config, self.clock, threading.Event()))

    def kill(self) -> None:
        """Ends all processes."""
        for app in self.apps:
            app.close()
        self.apps, self.processes = [], []

    def capture(self, ids: list[int]) -> None:
        """Ingests a page with these papers."""
        with Database(self.config.database.url) as database:
            source = Ingest(database, self.clock)
            one = feed(ids, self.clock())
            list(source.captures("page", [one], announce_all=True))

    def arrived(self) -> Iterator[tuple[str, Counter[str]]]:
        """Yields the recipient of each new mail, and how often it names each paper."""
        for path in sorted((self.folder / "outbox").glob("*.eml")):
            message = email_of(path)
            path.unlink()  # a mail that was sent twice would exist twice
            body = message.get_body(("plain",))
            assert body is not None
            ids = re.findall(r"arxiv\.org/abs/2511\.(\d+)", body.get_content())
            yield str(message["To"]), Counter(str(int(one)) for one in ids)


def someone(number: int) -> SubscriberRow:
    """Returns a subscriber; all time zones, send times and cadences occur."""
    cadence = ("daily", "daily", "weekdays", "weekly:mon", "monthly:31")[number % 5]
    return line_of(
        f"reader{number}@example.net",
        cadence=cadence,
        time_zone=ZONES[number % len(ZONES)],
        send_at=HOURS[number % len(HOURS)],
    )


def local_day(line: SubscriberRow, at: datetime) -> date:
    """Returns the date in this subscriber's time zone."""
    return at.astimezone(ZoneInfo(line.time_zone or "UTC")).date()


@pytest.mark.timeout(14_400)
def test_months_of_minutes(tmp_path: Path) -> None:
    """There is one edition per date and subscriber at most, and every paper is sent once."""
    dice = random.Random(14)
    clock = Clock(START)
    machine = Machine(tmp_path, clock)
    machine.start()
    readers = {line.address.spec: line for line in map(someone, range(70 if SOAK else 28))}
    for line in readers.values():
        machine.apps[0].subscribers.lifecycle.add(line)
    had: dict[str, Counter[str]] = defaultdict(Counter)
    dates: dict[str, Counter[date]] = defaultdict(Counter)
    papers, next_capture = 0, START
    while clock.now < START + timedelta(days=DAYS):
        if clock.now >= next_capture and clock.now.weekday() < 5:
            machine.capture(list(range(papers + 1, papers + 5)))
            papers, next_capture = papers + 4, clock.now + timedelta(days=1)
        for process in machine.processes:
            process.tick()
        for to, titles in machine.arrived():
            if to in readers:  # not the owner
                had[to] += titles
                dates[to][local_day(readers[to], clock.now)] += 1
        _something_happens(machine, dice)
    for process in machine.processes:
        process.tick()
    machine.kill()
    _all_caught_up(machine, had, readers)
    for to, titles in had.items():
        assert set(titles.values()) == {1}, (to, [n for n, many in titles.items() if many > 1])
        assert titles.keys() == {str(number) for number in range(1, papers + 1)}, to
        assert max(dates[to].values()) == 1, (to, dates[to].most_common(2))
    assert had.keys() == readers.keys()


def _something_happens(machine: Machine, dice: random.Random) -> None:
    """Lets time pass, as it does on a laptop."""
    clock = machine.clock
    fate = dice.random()
    if fate < 0.01:
        machine.kill()
        for _ in range(dice.choice((1, 2))):
            machine.start()
    elif fate < 0.02:
        clock.now += timedelta(hours=dice.randint(1, 60))  # the machine slept
    elif fate < 0.025:
        # Set ahead by mistake, one tick, set right; the operator reports it.
        right = clock.now
        clock.now = right + timedelta(hours=dice.randint(1, 20))
        clock.now = right
        machine.apps[0].sending.resume()
    elif fate < 0.03:
        clock.now -= timedelta(minutes=dice.randint(2, 120))  # set back
    if not machine.processes:
        machine.start()
    due = machine.processes[0].next_due()
    step = timedelta(minutes=dice.choice((1, 1, 5, 30, 60)))
    soon = due is not None and clock.now < due < clock.now + step
    clock.now = due if soon and due is not None else clock.now + step


def _all_caught_up(
    machine: Machine, had: dict[str, Counter[str]], readers: dict[str, SubscriberRow]
) -> None:
    """Checks that every subscriber gets the papers they have not had."""
    machine.start()
    machine.apps[0].sending.resume()
    app = machine.apps[0]
    result = app.sending.send(
        app.planner.plan(due_now=True), threading.Event(), lambda _summary, _total: None
    )
    assert not result.stopped
    for to, titles in machine.arrived():
        if to in readers:
            had[to] += titles
    machine.kill()


def test_daily_captures_of_a_page_through_the_service(tmp_path: Path) -> None:
    """Days that only repeat send nothing, and nearly empty ones cause no flood."""
    clock = Clock(datetime(2025, 5, 30, 0, 2, tzinfo=UTC))
    machine = Machine(tmp_path, clock)
    machine.start()
    machine.apps[0].subscribers.lifecycle.add(line_of("ada@example.net"))
    had: Counter[str] = Counter()
    expected: set[str] = set()
    for ids, at in polls():
        clock.now = at
        machine.capture(ids)
        fresh = {str(number) for number in ids} - expected
        expected |= fresh
        clock.now = at.replace(hour=7, minute=30)
        machine.processes[0].tick()
        mails = [titles for to, titles in machine.arrived() if to == "ada@example.net"]
        assert [set(titles) for titles in mails] == ([fresh] if fresh else []), at
        for titles in mails:
            had += titles
        if not fresh:
            assert machine.apps[0].status.read().idle_reason.startswith("nothing new")
    assert had == Counter(expected)
    assert POLLS >= 60
    machine.kill()


def test_a_source_that_fails_half_the_time_is_one_notice(tmp_path: Path) -> None:
    """During a day the owner gets one mail, nothing is lost, and the edition is sent once."""
    dice = random.Random(24)
    clock = Clock(datetime(2026, 11, 19, 0, 5, tzinfo=UTC))
    page = tmp_path / "page.json"
    text = CONFIG.replace('url = "https://page.example"', 'path = "page.json"\nevery = "30m"')
    config = parse(text, {}, where="config.toml", folder=tmp_path)
    app = App(config, clock=clock)
    jobs = Jobs(app, config, clock, threading.Event())
    app.subscribers.lifecycle.add(line_of("ada@example.net"))
    failed = 0
    while clock.now < datetime(2026, 11, 20, 0, 5, tzinfo=UTC):
        papers = made(*(f"Lamp of Hour {hour}" for hour in range(clock.now.hour + 1)))
        page.write_bytes(api_json(papers)) if dice.random() < 0.5 else page.unlink(missing_ok=True)
        for capture in jobs.captures_due():
            failed += not page.exists()
            capture()
        jobs.tick()
        clock.now += timedelta(minutes=10)
    app.close()
    assert failed > 10
    mails = [email_of(path) for path in sorted((tmp_path / "outbox").glob("*.eml"))]
    assert Counter(str(mail["To"]) for mail in mails) == {
        "keeper@example.org": 1,
        "ada@example.net": 1,
    }


def email_of(path: Path) -> EmailMessage:
    """Reads a mail from its file in the folder."""
    found = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found
