"""Background loops: errors are logged and shown, and the loop continues."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog
from starlette.applications import Starlette
from starlette.testclient import TestClient

from newsletter.errors import DatabaseLocked
from newsletter.web import health
from newsletter.web.background import BackgroundTasks
from newsletter.web.health import Probe
from newsletter.web.heartbeat import STUCK, Heartbeat, is_alive

TIMEOUT = 30.0


def test_a_silent_loop_is_considered_dead() -> None:
    """Not before the longest operation could have finished."""
    now = 1_000.0
    loop = Heartbeat("planning", clock=lambda: now)
    now += STUCK
    assert loop.stuck == ""
    now += 1
    assert loop.stuck == "planning: no sign of life for 901 s"
    loop.beat()
    assert loop.stuck == ""


def test_a_thread_that_has_ended_is_dead_at_once() -> None:
    """But not before it was started."""
    thread = threading.Thread(target=lambda: None)
    loop = Heartbeat("planning", is_alive(thread))
    assert loop.stuck == ""
    thread.start()
    thread.join()
    assert loop.stuck == "planning: its thread has ended"


def test_an_unexpected_error_is_logged_and_shown_until_a_pass_succeeds() -> None:
    """The log has its traceback; visitors do not see its message."""
    loop = Heartbeat("planning")
    with structlog.testing.capture_logs() as logged, loop.in_pass():
        raise ZeroDivisionError("ada@example.org")
    assert loop.fault == "planning: unexpected ZeroDivisionError, see the log"
    assert (logged[0]["log_level"], logged[0]["exc_info"]) == ("error", True)
    with loop.in_pass():
        pass
    assert loop.fault == ""


def test_an_expected_error_is_logged_once() -> None:
    """A lasting lock is one line in the log, not one every few seconds, and has no traceback."""
    loop = Heartbeat("planning")
    with structlog.testing.capture_logs() as logged:
        for error in (DatabaseLocked("locked"), DatabaseLocked("locked"), None):
            with loop.in_pass():
                if error:
                    raise error
        with loop.in_pass():
            raise DatabaseLocked("locked")
    assert [row["reason"] for row in logged] == ["locked", "locked"]
    assert loop.fault == ""


@contextmanager
def running(background: BackgroundTasks) -> Iterator[None]:
    """Runs the background tasks during the context."""
    background.start()
    try:
        yield
    finally:
        background.stop(TIMEOUT)


def test_background_tasks_survive_an_unexpected_error() -> None:
    """Also if it is raised by the follow-up work, or from time to time."""
    done, failing = threading.Event(), [3]
    passes: list[str] = []

    def fail_first(where: str) -> None:
        passes.append(where)
        if failing[0]:
            failing[0] -= 1
            raise ZeroDivisionError

    def run() -> int:
        fail_first("run")
        return 0

    def tidy() -> None:
        fail_first("tidy")
        done.set()

    background = BackgroundTasks(
        run, tidy, lambda: fail_first("then"), interval=0.01, delay=lambda: 0.0
    )
    background.wake()
    with running(background):
        assert done.wait(TIMEOUT)
        assert background.heartbeat.stuck == ""
    assert passes[:2] == ["tidy", "run"]  # requests do not wait for failed maintenance
    assert passes.count("tidy") >= 2
    assert "then" in passes  # the failed passes did not lose the wake-up
    assert background.heartbeat.fault == ""


def test_failing_background_tasks_pause() -> None:
    """However often they are woken."""
    passes, failed = [], threading.Event()

    def run() -> int:
        passes.append(1)
        failed.set()
        raise ZeroDivisionError

    background = BackgroundTasks(run, lambda: None, interval=3_600.0)
    with running(background):
        assert failed.wait(TIMEOUT)
        for _ in range(1_000):
            background.wake()
        background.stop(TIMEOUT)
    assert len(passes) == 1


def test_a_check_that_hangs_costs_one_thread() -> None:
    """All requests are answered in time and share its result; once it returns, it is run again."""
    release, calls = threading.Event(), []

    def check() -> str:
        calls.append(1)
        release.wait(TIMEOUT)
        return "the disk is slow"

    probe = Probe(check, late="no answer", timeout=0.05)

    async def ask(many: int) -> set[str]:
        return set(await asyncio.gather(*(probe.result() for _ in range(many))))

    assert asyncio.run(ask(50)) == {"no answer"}
    assert asyncio.run(ask(50)) == {"no answer"}
    assert len(calls) == 1
    release.set()
    patient = Probe(check, late="no answer", timeout=TIMEOUT)
    assert asyncio.run(asyncio.wait_for(patient.result(), TIMEOUT)) == "the disk is slow"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DatabaseLocked("another process has it", where="papers.db"), "another process has it"),
        (ZeroDivisionError("ada@example.org"), "unexpected ZeroDivisionError, see the log"),
    ],
)
def test_the_error_of_a_check_is_shown(error: Exception, said: str) -> None:
    """With the matching status; the other page is not affected."""

    def ready() -> str:
        raise error

    probes = Probe(lambda: "", late=""), Probe(ready, late="")
    with TestClient(Starlette(routes=health.routes(lambda: "", *probes))) as client:
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert said in answer.text
        assert "ada" not in answer.text
        assert "papers.db" not in answer.text
        assert client.get("/healthz").text == "ok\n"


def test_a_stuck_loop_is_reported_while_the_disk_hangs() -> None:
    """What is known without the disk does not wait for it."""
    release = threading.Event()
    hangs = Probe(lambda: str(release.wait(TIMEOUT)), late="", timeout=TIMEOUT)
    app = Starlette(routes=health.routes(lambda: "sending: stuck", hangs, hangs))
    with TestClient(app) as client:
        answer = client.get("/healthz")
    release.set()
    assert (answer.status_code, answer.text) == (503, "sending: stuck\n")
