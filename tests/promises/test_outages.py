"""A service meets a locked database or a full disk, and continues without help afterwards.

The lock is held by another process, the disk is a real small file system, and mail is sent to a
real server. In the soak each outage lasts a minute, here a few seconds.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from newsletter.app.clock import now
from newsletter.app.composition import App
from newsletter.config.parse import parse
from newsletter.editions.notice_kinds import SETTINGS
from newsletter.models import SubscriberState
from newsletter.service.jobs import Jobs
from newsletter.storage import log, notices
from newsletter.storage.database import Database
from tests.support.captures import api_json, made
from tests.support.disks import fill, small_disk
from tests.support.smtp_planned import Fault
from tests.support.soak import SOAK
from tests.support.web_room import Command, Postbox, WebRoom

MAILS = 2_000 if SOAK else 250
POSTS = 200 if SOAK else 25
SECONDS = 60.0 if SOAK else 6.0
AT_ONCE = 20
"""One-click posts that are sent together."""
SETTLED = 300.0
"""Seconds by which everything must have continued."""


@dataclass
class Answers:
    """The service's answers during an outage.

    Attributes:
        ready: the statuses of `/readyz`, in order.
        reasons: the text of these answers.
        alive: the number of answers of `/healthz` by status.
        slowest: the longest time that either took, in seconds.
        posts: the status of each one-click post, by the subscriber's id.
    """

    ready: list[int] = field(default_factory=list)
    reasons: set[str] = field(default_factory=set)
    alive: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0
    posts: dict[int, int] = field(default_factory=dict)


@contextmanager
def locked(room: WebRoom) -> Iterator[None]:
    """Another process holds a write transaction during the context."""
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=60, "
            "isolation_level=None); c.execute('BEGIN EXCLUSIVE'); "
            "print('locked', flush=True); sys.stdin.read(); c.execute('ROLLBACK')",
            str(room.database),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout
    assert holder.stdout.readline() == "locked\n"
    try:
        yield
    finally:
        holder.communicate("")


@contextmanager
def full(room: WebRoom) -> Iterator[None]:
    """The file system of the database is full during the context."""
    fill(room.database.parent)
    try:
        yield
    finally:
        (room.database.parent / "filler").unlink()


Outage = Callable[[WebRoom], AbstractContextManager[None]]
OUTAGES: Mapping[str, tuple[Outage, str]] = {
    "locked": (locked, "locked"),
    "full": (full, "no room left"),
}
"""The outages, and the word that the operator must find in `/readyz` for each."""


def address(number: int) -> str:
    """Returns the address of a subscriber."""
    return f"reader{number}@d{number % 9}.example"


@pytest.fixture
def room(tmp_path: Path) -> Iterator[tuple[WebRoom, Postbox]]:
    """A newsletter on a small disk, and its mail server."""
    with ExitStack() as stack:
        box = stack.enter_context(Postbox(tmp_path))
        stack.enter_context(small_disk(tmp_path / "disk", 48_000 if SOAK else 16_000))
        room = WebRoom(tmp_path, box.port)
        room.database = tmp_path / "disk" / "papers.db"
        room.configure(box.port)
        room.add_papers()
        room.subscribe(address(number) for number in range(MAILS))
        yield room, box


def queue_mail(room: WebRoom, command: Command) -> None:
    """Queues a mail for each subscriber: an edition, or a notice for `web`."""
    with room.opened() as app:
        assert all(report.held is None for report in app.sources.ingest_configured())
        if command == "serve":
            app.planner.plan(due_now=True)
            return
    by_address = {one.address: one.id for one in room.subscribers().values()}
    with Database(f"sqlite:///{room.database}") as database, database.write() as tx:
        for to, number in by_address.items():
            notices.add(
                tx, SETTINGS, to, to, "Your settings", "A link.\n", now(), subscriber=number
            )


def ask(room: WebRoom, path: str, form: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Returns the status and the text of a page, which is posted if there is a form."""
    data = urllib.parse.urlencode(form).encode() if form is not None else None
    request = urllib.request.Request(f"{room.base}{path}", data)
    try:
        with urllib.request.urlopen(request, timeout=90) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def watch(room: WebRoom, answers: Answers, seconds: float) -> None:
    """Asks all the time whether the service is ready and alive."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        began = time.monotonic()
        status, text = ask(room, "/readyz")
        answers.ready.append(status)
        answers.reasons.add(text)
        answers.alive[ask(room, "/healthz")[0]] += 1
        answers.slowest = max(answers.slowest, time.monotonic() - began)
        time.sleep(0.2)


def run_outage(room: WebRoom, outage: Outage, tokens: Mapping[int, str]) -> Answers:
    """Runs an outage during which one-click posts arrive. Returns the answers."""
    answers = Answers()

    def post(number: int) -> None:
        form = {"List-Unsubscribe": "One-Click"}
        answers.posts[number] = ask(room, f"/unsubscribe/{tokens[number]}", form)[0]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        with outage(room):
            done = [pool.submit(post, number) for number in tokens]
            watch(room, answers, SECONDS)
        for one in done:
            one.result()
    return answers


def states(room: WebRoom) -> Counter[str]:
    """Counts all mails by state, including notices."""
    with Database(f"sqlite:///{room.database}") as database, database.read() as tx:
        rows = tx.exec_driver_sql("SELECT state, count(*) FROM deliveries GROUP BY state")
        return Counter({str(row[0]): int(row[1]) for row in rows})


def wait_until(room: WebRoom, is_so: Callable[[], object]) -> None:
    """Waits until the condition holds; fails if it never does."""
    ends = time.monotonic() + SETTLED
    while not is_so():
        assert time.monotonic() < ends, f"{states(room)}\n{room.log}"
        time.sleep(0.2)


def assert_signup_works(room: WebRoom) -> None:
    """A visitor subscribes, gets the confirmation mail and confirms."""
    assert ask(room, "/subscribe", {"address": "new@visitor.example"})[0] == 200
    link = room.link(room.mail_to("new@visitor.example"), "confirm")
    assert ask(room, link.removeprefix(room.base), {})[0] == 200
    assert "new@visitor.example" in room.people("active")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("what", OUTAGES)
@pytest.mark.parametrize("command", ["serve", "web"])
def test_it_goes_on_by_itself(room: tuple[WebRoom, Postbox], command: Command, what: str) -> None:
    """No subscriber is missed or mailed twice, no unsubscription is lost, and sign-ups work."""
    (place, box), (outage, word) = room, OUTAGES[what]
    queue_mail(place, command)
    with place.opened() as app:
        leaving = [one.id for one in app.subscribers.lifecycle.listed()][:: MAILS // POSTS][:POSTS]
        tokens = {number: app.subscribers.links.unsubscribe_token(number) for number in leaving}
    box.plan(Fault("dot", stall=0.03))  # so that work is left when the outage ends
    with place.running(command):
        wait_until(place, lambda: box.count() >= 40)
        answers = run_outage(place, outage, tokens)
        during = box.count()
        assert during < MAILS, "everything was sent before the outage ended"
        sys.stderr.write(f"{command}, {what}: {during} of {MAILS} mails by its end; {answers}\n")

        assert answers.alive.keys() == {200}
        assert set(answers.ready[answers.ready.index(503) :]) == {503}
        assert any(word in text for text in answers.reasons), answers.reasons
        assert set(answers.posts.values()) <= {200, 503}
        wait_until(place, lambda: ask(place, "/readyz")[0] == 200)
        for number, status in answers.posts.items():
            again = {"List-Unsubscribe": "One-Click"}
            assert status == 200 or ask(place, f"/unsubscribe/{tokens[number]}", again)[0] == 200
        wait_until(place, lambda: not {"queued", "sending", "deferred"} & states(place).keys())
        assert_served(place, box, set(_addresses(place, leaving)))
        box.plan()
        assert_signup_works(place)


def _addresses(room: WebRoom, numbers: list[int]) -> Iterator[str]:
    by_number = {one.id: one.address for one in room.subscribers().values()}
    yield from (by_number[number] for number in numbers)


def assert_served(room: WebRoom, box: Postbox, left: set[str]) -> None:
    """Each subscriber got one mail, except those who left in time, and all of those have left."""
    assert not {"unknown", "expired", "refused"} & states(room).keys(), states(room)
    all_active = {address(number) for number in range(MAILS)}
    had = {to: many for to, many in box.recipients().items() if to in all_active}
    assert set(had.values()) == {1}
    assert all_active - had.keys() <= left
    found = room.subscribers()
    assert {found[one].state for one in left} == {SubscriberState.UNSUBSCRIBED}
    with room.opened() as app:
        assert not app.status.read().idle_reason.startswith("held"), app.status.read().idle_reason
    assert states(room)["sent"] == len(had)


@pytest.mark.parametrize("command", ["serve", "web"])
def test_it_can_be_stopped_meanwhile(room: tuple[WebRoom, Postbox], command: Command) -> None:
    """A signal ends the wait with status 0; the next start continues with the rest."""
    place, box = room
    queue_mail(place, command)
    box.plan(Fault("dot", stall=0.03))
    with place.running(command):
        wait_until(place, lambda: box.count() >= 40)
        with locked(place):
            wait_until(place, lambda: ask(place, "/readyz")[0] == 503)
            place.stop()
    box.plan()
    with place.running(command):
        wait_until(place, lambda: not {"queued", "sending", "deferred"} & states(place).keys())
    subscribers = {address(number) for number in range(MAILS)}  # the owner gets a report besides
    rows = [row for row in place.deliveries() if row["address"] in subscribers]
    found = Counter(row["state"] for row in rows)
    assert found["sent"] + found["unknown"] == MAILS
    assert found["unknown"] <= 4  # one for each session
    assert set(box.recipients().values()) == {1}


# Captures, in this process


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[tuple[Jobs, Database]]:
    """The jobs of a service with one folder of captures, and its database."""
    file = tmp_path / "saved" / "2026-11-19.json"
    file.parent.mkdir()
    file.write_bytes(api_json(made("Lamps")))
    os.utime(file, (0, 0))  # not being written
    config = parse('[[sources]]\nname = "saved"\npath = "saved"', {}, where="test", folder=tmp_path)
    with Database(f"sqlite:///{tmp_path}/newsletter.db", busy_seconds=0.2) as database:
        app = App(config, database)
        yield Jobs(app, config, now, threading.Event()), database


def titles(database: Database) -> list[str]:
    """Returns the titles of the announced papers."""
    with database.read() as tx:
        return [entry.paper.title for entry in log.new_entries(tx, after=0)]


def run_captures(jobs: Jobs) -> int:
    """Runs the jobs that are due. Returns their number."""
    due = jobs.captures_due()
    for job in due:
        job()
    return len(due)


def test_nothing_is_captured_while_it_could_not_be_stored(jobs: tuple[Jobs, Database]) -> None:
    """No source is captured while the database is locked, and all are afterwards."""
    service, database = jobs
    with closing(sqlite3.connect(database.file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert run_captures(service) == 0
        other.execute("ROLLBACK")
    assert service.capturing.fault == ""
    assert run_captures(service) == 2  # the folder, and what earlier processes left
    assert titles(database) == ["Lamps"]
    assert run_captures(service) == 0


def test_a_capture_that_met_a_lock_is_tried_again(jobs: tuple[Jobs, Database]) -> None:
    """The folder has not changed since then, and was read a moment ago."""
    service, database = jobs
    due = service.captures_due()
    with closing(sqlite3.connect(database.file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for job in due:
            job()
        other.execute("ROLLBACK")
    assert titles(database) == []
    assert run_captures(service) == 2
    assert titles(database) == ["Lamps"]
