"""Loops in the background: what fails is logged and shown, and the loop goes on."""

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


def test_a_loop_without_a_sign_of_life_is_taken_for_dead() -> None:
    """Not before it had time for what takes long."""
    now = 1_000.0
    loop = Heartbeat("planning", clock=lambda: now)
    now += STUCK
    assert loop.stuck == ""
    now += 1
    assert loop.stuck == "planning: no sign of life for 901 s"
    loop.beat()
    assert loop.stuck == ""


def test_a_thread_that_has_ended_is_dead_at_once() -> None:
    """Not before it was started."""
    thread = threading.Thread(target=lambda: None)
    loop = Heartbeat("planning", is_alive(thread))
    assert loop.stuck == ""
    thread.start()
    thread.join()
    assert loop.stuck == "planning: its thread has ended"


def test_an_unexpected_error_is_logged_and_shown_until_a_pass_succeeds() -> None:
    """With its traceback in the log, and without its words where visitors can read them."""
    loop = Heartbeat("planning")
    with structlog.testing.capture_logs() as logged, loop.in_pass():
        raise ZeroDivisionError("ada@example.org")
    assert loop.fault == "planning: unexpected ZeroDivisionError, see the log"
    assert (logged[0]["log_level"], logged[0]["exc_info"]) == ("error", True)
    with loop.in_pass():
        pass
    assert loop.fault == ""


def test_an_error_of_ours_is_logged_once() -> None:
    """A lock that stays is a line in the log, not one every few seconds; and no fault."""
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
    """They run."""
    background.start()
    try:
        yield
    finally:
        background.stop(TIMEOUT)


def test_errands_go_on_after_an_unexpected_error() -> None:
    """Also when the error comes from what is done afterwards, or now and then."""
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
    assert passes[:2] == ["tidy", "run"]  # that tidying failed keeps no request waiting
    assert passes.count("tidy") >= 2
    assert "then" in passes  # the wake-up was not lost with the passes that failed
    assert background.heartbeat.fault == ""


def test_failing_errands_are_not_run_with_every_request() -> None:
    """However often they are woken, there is a pause."""
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
    """All who ask are answered in time, and share it; once it comes back, it is asked anew."""
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
def test_what_a_check_raises_is_said(error: Exception, said: str) -> None:
    """With the status for it; the other page is not touched."""

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


def test_a_stuck_loop_is_said_although_the_disk_hangs() -> None:
    """What is known without the disk does not wait for it."""
    release = threading.Event()
    hangs = Probe(lambda: str(release.wait(TIMEOUT)), late="", timeout=TIMEOUT)
    app = Starlette(routes=health.routes(lambda: "sending: stuck", hangs, hangs))
    with TestClient(app) as client:
        answer = client.get("/healthz")
    release.set()
    assert (answer.status_code, answer.text) == (503, "sending: stuck\n")
