"""`newsletter serve` in a process of its own: responses, work, and shutdown."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from newsletter.app.composition import App
from newsletter.config.schema import Config
from newsletter.models import Capture
from newsletter.papers.ingest import Ingest
from newsletter.papers.report import CaptureReport
from newsletter.service.jobs import Jobs
from newsletter.service.scheduler import Scheduler
from newsletter.storage.database import Database
from newsletter.web.server import listening
from tests.support.captures import api_json, made
from tests.support.commands import newsletter, rows_of
from tests.support.ports import free_port

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)

CONFIG = """
[newsletter]
owner = "keeper@example.org"
[[sources]]
name = "saved"
path = "saved"
[delivery]
transport = "eml"
[web]
port = {port}
metrics_token = "a-token-of-some-length"
"""
TIMEOUT = 60.0


class Service:
    """A running `newsletter serve`."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Returns status and text of a page."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=named)
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def answers(self, status: int, path: str = "/readyz") -> bool:
        """Returns whether it is running and responds with this status."""
        try:
            return self.get(path)[0] == status
        except OSError:
            return False

    def figure(self, name: str) -> float | None:
        """Returns a value of `/metrics`; the name includes labels."""
        _, text = self.get("/metrics")
        found = [line for line in text.splitlines() if line.startswith(f"{name} ")]
        return float(found[0].rpartition(" ")[2]) if found else None

    def ended(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float, list[str]]:
        """Sends a signal, and returns its exit status, the seconds it took, and its log lines."""
        began = time.monotonic()
        self.process.send_signal(number)
        _, logged = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, time.monotonic() - began, logged.splitlines()


def until(is_so: Callable[[], object]) -> None:
    """Waits until the condition is true; fails after a timeout."""
    ends = time.monotonic() + TIMEOUT
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.05)


def prepared(place: Path) -> int:
    """Creates a configuration and a folder with one day's papers. Returns the port."""
    port = free_port()
    (place / "config.toml").write_text(CONFIG.format(port=port))
    (place / "saved").mkdir(exist_ok=True)
    publish(place, "2026-11-19", "Lamps of the First Morning")
    return port


def publish(place: Path, day: str, title: str) -> None:
    """Writes a day's list, last changed long ago."""
    file = place / "saved" / f"{day}.json"
    file.write_bytes(api_json(made(title)))
    os.utime(file, (1_700_000_000, 1_700_000_000))


@contextmanager
def serving(place: Path, port: int, **environment: str) -> Iterator[Service]:
    """A service that is ready."""
    with started(place, port, environment) as service:
        until(lambda: service.process.poll() is not None or service.answers(200))
        yield service


@contextmanager
def started(place: Path, port: int, environment: Mapping[str, str]) -> Iterator[Service]:
    """A service that has just been started."""
    process = subprocess.Popen(
        [sys.executable, "-m", "newsletter", "serve", "--log", "json"],
        cwd=place,
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    service = Service(process, port)
    try:
        yield service
    finally:
        if process.stderr and not process.stderr.closed:
            process.kill()
            process.communicate()


def test_the_service_responds_ingests_and_stops(tmp_path: Path) -> None:
    """It ingests the folder, has metrics, and exits with status 0 in time."""
    port = prepared(tmp_path)
    newsletter("subscribers", "add", "ada@example.net", cwd=tmp_path)
    with serving(tmp_path, port) as service:
        assert service.get("/healthz") == (200, "ok\n")
        until(lambda: "Lamps of the First Morning" in service.get("/feed.xml")[1])
        assert service.figure('newsletter_source_age_seconds{source="saved"}') is not None
        assert service.figure('newsletter_subscribers{state="active"}') == 1
        assert service.figure("newsletter_mails_waiting") == 0
        status, seconds, logged = service.ended()
    assert status == 0
    assert seconds < 10
    events = [json.loads(line) for line in logged]
    captured = next(row for row in events if row["event"] == "captured")
    assert (captured["source"], captured["new"]) == ("saved", 1)
    assert not any("Traceback" in line for line in logged)
    row = rows_of(newsletter("status", "--json", cwd=tmp_path))[-1]
    assert row["silence"].startswith("nobody due")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 200),
        ({"X_Forwarded_For": "203.0.113.7"}, 403),
        ({"X_Real_IP": "203.0.113.7"}, 403),
        ({"Via": "1.1 proxy"}, 403),
        ({"X_Forwarded_For": "203.0.113.7", "Authorization": "Bearer a-token-of-some-length"}, 200),
        ({"X_Forwarded_For": "203.0.113.7", "Authorization": "Bearer another"}, 403),
    ],
)
def test_metrics_require_loopback_or_the_token(
    tmp_path: Path, headers: dict[str, str], expected: int
) -> None:
    """A proxied request is not loopback; and no metric contains an address."""
    port = prepared(tmp_path)
    newsletter("subscribers", "add", "ada@example.net", cwd=tmp_path)
    with serving(tmp_path, port) as service:
        status, text = service.get("/metrics", **headers)
        assert status == expected
        assert "ada" not in text


def test_metrics_of_public_pages_require_the_token(tmp_path: Path) -> None:
    """A proxy without forwarding headers is indistinguishable from a local program."""
    port = prepared(tmp_path)
    config = tmp_path / "config.toml"
    public = '[newsletter]\nbase_url = "https://papers.example.org"'
    config.write_text(config.read_text().replace("[newsletter]", public))
    newsletter("ingest", cwd=tmp_path)
    with serving(tmp_path, port) as service:
        assert service.get("/metrics")[0] == 403
        assert service.get("/metrics", Authorization="Bearer a-token-of-some-length")[0] == 200


def test_the_service_stops_at_once_during_a_slow_fetch(tmp_path: Path) -> None:
    """It does not wait for a source that hangs."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = prepared(tmp_path)
        newsletter("ingest", cwd=tmp_path)
        config = (tmp_path / "config.toml").read_text()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        hanging = f'[[sources]]\nname = "hangs"\nurl = "{url}"\nallow_private = true\n'
        (tmp_path / "config.toml").write_text(config + hanging)
        with serving(tmp_path, port) as service:
            silent.settimeout(TIMEOUT)
            wire, _ = silent.accept()
            status, seconds, _ = service.ended()
            wire.close()
    assert (status, seconds < 10) == (0, True)


def test_a_port_in_use_is_an_error(tmp_path: Path) -> None:
    """It is reported before anything else is done."""
    port = prepared(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        done = newsletter("serve", cwd=tmp_path)
    assert done.returncode == 3
    assert f"127.0.0.1:{port}: cannot listen there" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "newsletter.db").exists()


def test_systemd_is_notified(tmp_path: Path) -> None:
    """The service sends ready, alive and stopping to systemd's socket."""
    port = prepared(tmp_path)
    newsletter("ingest", cwd=tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(TIMEOUT)
        with serving(
            tmp_path, port, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="200000"
        ) as service:
            assert listening.recv(100) == b"READY=1"
            assert listening.recv(100) == b"WATCHDOG=1"
            service.ended()
        words = {b"WATCHDOG=1"}
        while b"STOPPING=1" not in words:
            words.add(listening.recv(100))


def test_two_services_send_each_mail_once(tmp_path: Path) -> None:
    """Both see the due subscribers; one is killed while the other continues."""
    port, other = prepared(tmp_path), free_port()
    newsletter("ingest", cwd=tmp_path)
    for number in range(3):
        newsletter("subscribers", "add", f"ada{number}@example.net", cwd=tmp_path)
    since = _make_due(tmp_path)
    outbox = tmp_path / "outbox"
    with (
        serving(tmp_path, port, **since) as first,
        serving(tmp_path, other, NEWSLETTER__WEB__PORT=str(other), **since) as second,
    ):
        until(lambda: len(list(outbox.glob("*.eml"))) == 3)
        first.process.kill()
        assert second.ended()[0] == 0
    rows = rows_of(newsletter("deliveries", "--json", cwd=tmp_path))
    assert len(rows) == 3
    assert len(list(outbox.glob("*.eml"))) == 3


@pytest.mark.parametrize("replace", [False, True], ids=["moved away", "replaced"])
def test_a_database_moved_from_its_path_makes_the_service_unhealthy(
    tmp_path: Path, replace: bool
) -> None:
    """Its changes would be lost, so a supervisor has to restart the service."""
    port = prepared(tmp_path)
    newsletter("subscribers", "add", "ada@example.net", cwd=tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(TIMEOUT)
        with serving(
            tmp_path, port, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="200000"
        ) as service:
            (tmp_path / "newsletter.db").rename(tmp_path / "away.db")
            if replace:
                (tmp_path / "newsletter.db").write_bytes((tmp_path / "away.db").read_bytes())
            until(lambda: service.answers(503, "/healthz"))
            assert "the open database was moved away" in service.get("/healthz")[1]
            until(lambda: service.answers(503))
            _drain(systemd)
            systemd.settimeout(1)  # five times as long as systemd waits
            with pytest.raises(TimeoutError):
                systemd.recv(100)
            assert service.ended()[0] == 0


def _drain(wire: socket.socket) -> None:
    """Discards all pending notifications."""
    wire.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            wire.recv(100)


@pytest.mark.parametrize(
    ("table", "loop"),
    [("requests", "sign-ups"), ("editions", "sending")],
    ids=["background", "tick"],
)
def test_a_loop_that_fails_unexpectedly_continues(tmp_path: Path, table: str, loop: str) -> None:
    """The traceback is logged, `/readyz` names the loop, and it recovers by itself."""
    port = prepared(tmp_path)
    newsletter("subscribers", "add", "ada@example.net", cwd=tmp_path)
    newsletter("ingest", cwd=tmp_path)
    since = _make_due(tmp_path)
    database = tmp_path / "newsletter.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute(f"ALTER TABLE {table} RENAME TO elsewhere")
        with started(tmp_path, port, since) as service:
            until(lambda: service.answers(503))
            reason = f"{loop}: unexpected OperationalError, see the log\n"
            assert service.get("/readyz")[1] == reason
            assert service.get("/healthz") == (200, "ok\n")
            other.execute(f"ALTER TABLE elsewhere RENAME TO {table}")
            until(lambda: service.get("/readyz")[0] == 200)
            until(lambda: list((tmp_path / "outbox").glob("*.eml")))
            status, _, logged = service.ended()
    assert status == 0
    failures = [row for row in map(json.loads, logged) if "exception" in row]
    assert {row["loop"] for row in failures} == {loop}
    assert all(table in row["exception"] for row in failures)


def _make_due(place: Path) -> dict[str, str]:
    """Makes all subscribers due a moment ago. Returns the environment with that send time."""
    at = (datetime.now(UTC) - timedelta(minutes=2)).replace(second=0, microsecond=0)
    with closing(sqlite3.connect(place / "newsletter.db", isolation_level=None)) as database:
        due = f"{at:%Y-%m-%d %H:%M:%S.%f}"
        database.execute("UPDATE subscribers SET next_due_at = ?", (due,))
    return {"NEWSLETTER__NEWSLETTER__SEND_AT": f"{at:%H:%M}"}


def test_small_responses_are_sent_at_once() -> None:
    """asyncio sets TCP_NODELAY only on sockets with an explicit protocol."""
    with listening("127.0.0.1", 0) as wire:
        assert wire.proto == socket.IPPROTO_TCP


def test_connections_are_accepted_before_the_server_has_started() -> None:
    """Readiness is reported early, so no connection may be refused before its thread runs."""
    with (
        listening("127.0.0.1", 0) as wire,
        socket.create_connection(wire.getsockname(), timeout=10) as visitor,
    ):
        assert visitor.getpeername() == wire.getsockname()


def test_the_scheduler_can_be_stopped_while_it_starts_one_time_jobs() -> None:
    """APScheduler raises if it is shut down at that moment; the service exits with status 0."""
    scheduler = Scheduler(lambda: None, lambda: [scheduler.stop] * 40, lambda: None)
    scheduler.run()


def test_a_stop_before_the_scheduler_has_started_is_not_lost() -> None:
    """A signal may arrive while the service is starting."""
    scheduler = Scheduler(lambda: None, list, lambda: None)
    scheduler.stop()
    running = threading.Thread(target=scheduler.run, daemon=True)
    running.start()
    running.join(60)
    assert not running.is_alive()


def test_the_scheduler_can_be_stopped_while_it_starts() -> None:
    """Several delays between start and stop are tried."""
    for delay in (0.0, 0.001, 0.01, 0.05):
        scheduler = Scheduler(lambda: None, list, lambda: None)
        running = threading.Thread(target=scheduler.run, daemon=True)
        running.start()
        time.sleep(delay)
        scheduler.stop()
        running.join(60)
        assert not running.is_alive()


def _ingesting(database: Database, captured: list[Capture]) -> Generator[CaptureReport, None, None]:
    yield from Ingest(database, lambda: NOON).captures("s", captured, whole_folder=True)


def test_shutdown_waits_for_the_ingestion_of_leftovers(tmp_path: Path) -> None:
    """The database is not closed while captures are being ingested."""
    url = f"sqlite:///{tmp_path}/papers.db"
    with Database(url) as database, Database(url) as other:
        captured = [Capture(api_json(made(f"Lamp {n}")), f"{n}.json", NOON) for n in range(2)]
        with closing(_ingesting(database, captured)) as begun:
            next(begun)  # the other capture is stored but not ingested
        jobs = Jobs(App(Config(), database), Config(), lambda: NOON, threading.Event())
        settle = next(job for job in jobs.captures_due())
        with other.alone("s"):
            working = threading.Thread(target=settle, daemon=True)
            working.start()
            while not jobs._leftovers_lock.locked():
                time.sleep(0.01)
            assert not jobs.settled(0.05)
        assert jobs.settled(60)
        working.join(60)
