"""A capture that freezes its parser, beside a running service."""

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
"""Seconds within which `/healthz` answers, whatever is parsed."""

STOP = 10.0
"""Seconds within which the service ends on SIGTERM."""

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
    """A service in a process of its own, and what it has stored.

    Args:
        folder: where its configuration and database are.
        port: of its pages.
        seconds: how long it lets a capture be parsed.
    """

    def __init__(self, folder: Path, port: int, seconds: float) -> None:
        self._folder = folder
        self._url = f"http://127.0.0.1:{port}/healthz"
        command = [sys.executable, "-c", SERVE, str(seconds)]
        self.process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)

    def answer(self) -> float:
        """Seconds that `/healthz` takes."""
        began = time.monotonic()
        with urlopen(self._url, timeout=60) as answer:
            assert answer.status == 200
        return time.monotonic() - began

    def start(self) -> None:
        """Waits until it answers."""
        while True:
            assert self.process.poll() is None
            try:
                self.answer()
            except OSError:
                time.sleep(0.05)
            else:
                return

    def stop(self) -> float:
        """Ends it as systemd does. Returns how long it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0
        return time.monotonic() - began

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """What the database says."""
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
    """A service that answers, and is gone afterwards."""
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
    """How long `/healthz` takes, over and over."""
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


def test_a_frozen_parser_freezes_nothing_else(folder: Path) -> None:
    """The pages answer, SIGTERM ends it, the next start is no different, and others go on."""
    captures = folder / "captures"
    (captures / "1.json").write_bytes(hostile_reader.SPINS)
    row = {"paper": {"id": "2611.00001", "title": "Lanterns"}}
    (captures / "2.json").write_text(json.dumps([row]))
    for capture in captures.iterdir():  # they lie there long enough to be taken in
        os.utime(capture, (1_760_000_000, 1_760_000_000))
    with serving(folder, 3600.0) as service:
        while service.rows(BEGUN) != [(1,)]:
            time.sleep(0.05)
        assert max(service.answer() for _ in range(20)) < ANSWER
        assert service.stop() < STOP
    (captures / "1.json").unlink()  # it is stored, and the folder is not what brings it back
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


@pytest.mark.soak  # a minute of waiting; `tests/papers/test_parsers.py` has the limits themselves
def test_neither_memory_nor_output_harm_it(folder: Path) -> None:
    """A parse that eats memory and one whose result has no end."""
    (folder / "captures" / "1.json").write_bytes(hostile_reader.EATS)
    (folder / "captures" / "2.json").write_bytes(hostile_reader.ENDLESS)
    with serving(folder, 60.0) as service:
        with measured(service) as taken:
            while service.rows(HELD) != [(2,)]:
                time.sleep(0.05)
        assert len(taken) > 1
        assert max(taken) < ANSWER
        assert service.stop() < STOP
