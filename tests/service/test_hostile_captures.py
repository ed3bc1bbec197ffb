"""A running service with captures that block their parser or exceed its limits."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from newsletter.storage.database import Database
from tests.support import hostile_reader
from tests.support.ports import free_port

ANSWER = 1.0
"""Maximum seconds for a response of `/healthz` during parsing."""

STOP = 10.0
"""Maximum seconds for the service to stop on SIGTERM."""

SERVE = """
import sys
from newsletter.cli.signals import Signals
from newsletter.config.file import load_config
from newsletter.papers.parser_process import Limits
from newsletter.papers.parsers import Parsers
from newsletter.service.run import serve
from tests.support.hostile_reader import FUNCTION
with Signals() as signals:
    limits = Limits(seconds=float(sys.argv[1]), memory=2**29, output=2**22)
    serve(load_config("config.toml"), signals.stop, Parsers(limits, FUNCTION))
"""


class Service:
    """A service in a process of its own, and its database.

    Args:
        folder: contains its configuration and database.
        port: port of its pages.
        seconds: time limit for parsing a capture.
    """

    def __init__(self, folder: Path, port: int, seconds: float) -> None:
        self._folder = folder
        self._url = f"http://127.0.0.1:{port}/healthz"
        command = [sys.executable, "-c", SERVE, str(seconds)]
        self.process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)

    def answer(self) -> float:
        """Returns the seconds that a response of `/healthz` takes."""
        began = time.monotonic()
        with urlopen(self._url, timeout=60) as answer:
            assert answer.status == 200
        return time.monotonic() - began

    def start(self) -> None:
        """Waits until it responds."""
        while True:
            assert self.process.poll() is None
            try:
                self.answer()
            except OSError:
                time.sleep(0.05)
            else:
                return

    def stop(self) -> float:
        """Stops it as systemd does. Returns the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0
        return time.monotonic() - began

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Returns the rows of a query."""
        with closing(sqlite3.connect(self._folder / "newsletter.db")) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration with one watched folder, and its database."""
    (tmp_path / "captures").mkdir()
    Database(f"sqlite:///{tmp_path}/newsletter.db").close()
    return tmp_path


@contextmanager
def serving(folder: Path, seconds: float) -> Iterator[Service]:
    """A service that is ready; killed afterwards."""
    port = free_port()
    (folder / "config.toml").write_text(
        '[newsletter]\nowner = "keeper@example.org"\n[delivery]\ntransport = "eml"\n'
        f'[web]\nport = {port}\n[[sources]]\nname = "s"\npath = "captures"\n'
    )
    service = Service(folder, port, seconds)
    try:
        service.start()
        yield service
    finally:
        service.process.kill()
        service.process.wait()


@contextmanager
def measured(service: Service) -> Iterator[list[float]]:
    """Calls `/healthz` repeatedly, and collects the seconds each response takes."""
    taken: list[float] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            taken.append(service.answer())

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield taken
    finally:
        over.set()
        asking.join()


HELD = "SELECT count(*) FROM snapshots WHERE state = 'held'"
BEGUN = "SELECT count(*) FROM snapshots WHERE attempts > 0 AND state = 'captured'"


def test_a_blocked_parser_blocks_nothing_else(folder: Path) -> None:
    """Pages and SIGTERM work, also after a restart, and other captures are ingested."""
    captures = folder / "captures"
    (captures / "1.json").write_bytes(hostile_reader.SPINS)
    row = {"paper": {"id": "2611.00001", "title": "Lanterns"}}
    (captures / "2.json").write_text(json.dumps([row]))
    for capture in captures.iterdir():  # old enough to be ingested
        os.utime(capture, (1_760_000_000, 1_760_000_000))
    with serving(folder, 3600.0) as service:
        while service.rows(BEGUN) != [(1,)]:
            time.sleep(0.05)
        assert max(service.answer() for _ in range(20)) < ANSWER
        assert service.stop() < STOP
    (captures / "1.json").unlink()  # it is stored: the restart parses the stored bytes
    with serving(folder, 2.0) as service:
        with measured(service) as taken:
            while service.rows("SELECT count(*) FROM entries") != [(1,)]:
                time.sleep(0.05)
        assert service.rows(HELD) == [(1,)]
        ((reason,),) = service.rows("SELECT reason FROM snapshots WHERE state = 'held'")
        assert "reading it took longer than 2 s" in str(reason)
        assert len(taken) > 1
        assert max(taken) < ANSWER
        assert service.stop() < STOP


@pytest.mark.soak  # takes a minute; `tests/papers/test_parsers.py` tests the limits
def test_excessive_memory_and_output_do_not_harm_the_service(folder: Path) -> None:
    """One capture uses up the memory, another has an endless result."""
    (folder / "captures" / "1.json").write_bytes(hostile_reader.EATS)
    (folder / "captures" / "2.json").write_bytes(hostile_reader.ENDLESS)
    with serving(folder, 60.0) as service:
        with measured(service) as taken:
            while service.rows(HELD) != [(2,)]:
                time.sleep(0.05)
        assert len(taken) > 1
        assert max(taken) < ANSWER
        assert service.stop() < STOP
