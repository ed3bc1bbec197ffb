"""A request causes the same work whatever the state of the address is.

Response times are measured by `python -m tests.benchmarks timing`; the work that they depend on is
compared here.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from newsletter.models import SubscriberState
from newsletter.storage import subscribers
from newsletter.web.background import BackgroundTasks
from tests.support.website import Site, opened

TIMEOUT = 30.0
STATES = ("new", "pending", "active", "paused", "unsubscribed", "suppressed", "forgotten")
KNOWN = {state: f"{state}@example.org" for state in STATES}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site with an address in each state; none was sent mail during the last two days."""
    with opened(tmp_path) as one:
        one.subscribe(KNOWN["pending"])
        for state in STATES[2:]:
            one.joined(KNOWN[state])
        one.post(one.settings(one.number(KNOWN["paused"])), {"do": "pause"})
        one.post(one.leaving(one.number(KNOWN["unsubscribed"])))
        with one.database.write() as tx:
            number = one.number(KNOWN["suppressed"])
            subscribers.stop(tx, number, SubscriberState.SUPPRESSED, one.now)
        one.post(one.settings(one.number(KNOWN["forgotten"])), {"do": "delete", "sure": "yes"})
        one.now += timedelta(days=2)
        one.restart()
        yield one


@contextmanager
def heard() -> Iterator[list[str]]:
    """Returns the statements and commits during the context, without the savepoint's outcome."""
    said: list[str] = []

    def note(_wire: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        said.append(re.sub(r"RELEASE|ROLLBACK TO", "END", statement))

    def commit(_wire: Any) -> None:
        said.append("COMMIT")

    event.listen(Engine, "before_cursor_execute", note)
    event.listen(Engine, "commit", commit)
    try:
        yield said
    finally:
        event.remove(Engine, "before_cursor_execute", note)
        event.remove(Engine, "commit", commit)


def worked(site: Site, ask: Callable[[], object]) -> list[str]:
    """Returns what the database was told to do while a request was handled."""
    ask()
    with heard() as said:
        site.work()
    return said


def test_a_request_takes_the_same_steps_for_every_address(site: Site) -> None:
    """This holds for the first request, which sends mail to most of them, and for a second, which
    sends none.
    """
    found = {}
    for state, address in KNOWN.items():
        for time in ("first", "again"):
            found[state, time] = worked(site, lambda address=address: site.subscribe(address))  # type: ignore[misc]
    assert {to for to, _ in site.mails() if to in KNOWN.values()} >= {KNOWN["new"]}
    expected = found["new", "first"]
    assert any("INSERT INTO notices" in one for one in expected)
    assert any("INSERT INTO subscribers" in one for one in expected)
    assert {key: said for key, said in found.items() if said != expected} == {}


def test_steps_take_effect_only_where_they_may(site: Site) -> None:
    """The same steps are rolled back for the addresses that they must not affect."""
    before = site.tables("requests", "sqlite_sequence")
    for state in ("suppressed", "forgotten"):
        site.subscribe(KNOWN[state])
    site.work()
    assert site.tables("requests", "sqlite_sequence") == before
    assert site.rows("SELECT 1 FROM requests WHERE handled_at IS NULL OR address != ''") == []
    was = len(site.mails())
    for state in ("new", "pending", "active", "paused", "unsubscribed"):
        site.subscribe(KNOWN[state])
        site.work()
        site.subscribe(KNOWN[state])
        site.work()
    mailed = site.mails()[was:]
    assert [to.partition("@")[0] for to, _ in mailed] == list(STATES[:5])
    assert ["confirm" in text for _, text in mailed] == [True, True, False, False, True]
    assert len(site.rows("SELECT 1 FROM subscribers")) == len(before["subscribers"]) + 1


def test_a_change_of_address_takes_the_same_steps_for_every_address(site: Site) -> None:
    """The work does not reveal whether the new address is subscribed."""
    settings = site.settings(site.number(KNOWN["active"]))
    found = {
        state: worked(
            site,
            lambda address=address: site.post(settings, {"do": "address", "address": address}),  # type: ignore[misc]
        )
        for state, address in KNOWN.items()
    }
    assert [to for to, _ in site.mails("change")] == [KNOWN["new"]]
    assert {state: said for state, said in found.items() if said != found["new"]} == {}
    kept = site.rows("SELECT address FROM requests WHERE kind = 'change' AND address != ''")
    assert kept == [(KNOWN["new"],)]


def test_what_arrives_during_a_pass_waits_for_the_next(site: Site) -> None:
    """Otherwise its processing would start at once."""
    arrived: list[str] = []

    def arrive(_wire: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "requests.handled_at IS NULL AND requests.id <=" in statement and not arrived:
            arrived.append("late@example.org")
            site.subscribe(arrived[0])

    site.subscribe("early@example.org")
    event.listen(Engine, "before_cursor_execute", arrive)
    try:
        site.work()
    finally:
        event.remove(Engine, "before_cursor_execute", arrive)
    assert arrived
    waiting = "SELECT address FROM requests WHERE handled_at IS NULL"
    assert site.rows(waiting) == [("late@example.org",)]
    site.work()
    assert site.rows(waiting) == []


def test_a_pass_starts_only_after_the_delay() -> None:
    """Further requests do not shorten the delay; stopping does."""
    passes, first, delays, waiting = [], threading.Event(), [], threading.Event()

    def run() -> int:
        passes.append(1)
        first.set()
        return 0

    def delay() -> float:
        delays.append(1)
        waiting.set()
        return 3_600.0

    background = BackgroundTasks(run, lambda: None, interval=3_600.0, delay=delay)
    background.start()
    assert first.wait(TIMEOUT)
    background.wake()
    assert waiting.wait(TIMEOUT)
    for _ in range(1_000):
        background.wake()
    background.stop(TIMEOUT)
    assert (len(passes), len(delays)) == (1, 1)


def test_one_pass_handles_all_requests_of_the_delay() -> None:
    """Several wake-ups within the delay cause one pass."""
    passes, after = [], threading.Event()

    def run() -> int:
        passes.append(1)
        return 0

    background = BackgroundTasks(run, lambda: None, after.set, interval=3_600.0, delay=lambda: 0.0)
    background.wake()
    background.start()
    assert after.wait(TIMEOUT)
    background.stop(TIMEOUT)
    assert passes == [1]
