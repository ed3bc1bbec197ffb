"""Sending with every outcome recorded on disk, against `smtplib` without records.

Both send the same mail of 60 to 70 KB to Postfix's smtp-sink on this machine: ours with 16
sessions and the outbox, `smtplib` with 16 threads, each with one connection and prepared
bytes.
"""

from __future__ import annotations

import os
import shutil
import smtplib
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.headerregistry import Address
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue

from newsletter.delivery.personalise import Origin, Personaliser
from newsletter.delivery.recorder import Limits
from newsletter.delivery.run import DeliveryRun
from newsletter.messages.mime import Sender
from newsletter.models import DeliveryState, Rendered
from newsletter.storage import due, editions, outbox, subscribers
from newsletter.storage.database import Database
from newsletter.storage.due import Group, NextState
from newsletter.storage.subscribers import Newcomer, Preferences
from newsletter.subscribers.address import parse_address
from newsletter.transports.base import Settings
from newsletter.transports.table import TRANSPORTS
from newsletter.transports.wire import SmtpSettings
from tests.benchmarks.invented import papers
from tests.benchmarks.measure import Job, Row, compare

GOAL = 1.0
SESSIONS = 16
MAILS = 4_000
ROUNDS = 5
NOW = datetime(2026, 11, 20, 7, 30, tzinfo=UTC)
LAST = 2**63 - 1

_SINK = shutil.which("smtp-sink", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def run() -> Iterator[Row]:
    """Mails per second, ours against `smtplib`."""
    if _SINK is None:
        yield Row("smtp-sink is missing (Debian: postfix); nothing measured", "", 0)
        return
    with tempfile.TemporaryDirectory() as name, _sink(_SINK) as port:
        folder = Path(name)
        original = _planned(folder / "original.db")
        ready = partial(_ours, original, folder, port)
        found = compare(ready, partial(_theirs, original, port), ROUNDS)
        size = sum(map(len, _personaliser(original)[0]))
        yield found.row(f"{MAILS} mails of {size // 1000} KB, outbox recorded", GOAL)
        yield found.rate("the same, mails per second", "mails", MAILS)


def _ours(original: Path, folder: Path, port: int, number: int) -> Job:
    path = folder / f"round{number}.db"
    shutil.copyfile(original, path)
    database = Database(f"sqlite:///{path}")

    def send() -> None:
        smtp = SmtpSettings("127.0.0.1", port, security="none", local_hostname="bench")
        transport = TRANSPORTS["smtp"](Settings(smtp=smtp))
        personaliser = Personaliser(database, _origin(), transport.encoded)
        limits = Limits(sessions=SESSIONS)
        delivery = DeliveryRun(
            database, transport, personaliser, limits, lambda: datetime.now(UTC), threading.Event()
        )
        summary = delivery.run()
        if summary[DeliveryState.SENT] != MAILS:
            raise RuntimeError(f"{summary}")

    return send


def _theirs(original: Path, port: int, _number: int) -> Job:
    data = b"".join(_personaliser(original)[0])

    def send() -> None:
        left: SimpleQueue[int] = SimpleQueue()
        for number in range(MAILS):
            left.put(number)
        threads = [threading.Thread(target=_work, args=(left, data, port)) for _ in range(SESSIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return send


def _work(left: SimpleQueue[int], data: bytes, port: int) -> None:
    with smtplib.SMTP("127.0.0.1", port, "bench") as smtp:
        while True:
            try:
                number = left.get_nowait()
            except Empty:
                return
            smtp.sendmail("papers@example.org", f"reader{number}@example.net", data)


def _planned(path: Path) -> Path:
    """Creates a database in which an edition is queued for all subscribers."""
    with Database(f"sqlite:///{path}") as database, database.write() as tx:
        subscribers.add(tx, [_reader(number) for number in range(MAILS)], 0, NOW)
        edition = editions.freeze(
            tx, "0123456789abcdef" * 2, [], "en", "default", [_edition()], NOW
        )
        due.plan(tx, Group(0), (0, LAST), NextState(1), NOW, edition=edition.id, parts=1)
    return path


def _reader(number: int) -> Newcomer:
    address = f"reader{number}@example.net"
    return Newcomer(address, address, "example.net", Preferences(), NOW)


def _edition() -> Rendered:
    """Returns an edition just small enough not to be shortened, in HTML and text."""
    abstracts = [paper.abstract for paper in papers(0, 34)]
    html = "".join(f"<p>{abstract}</p>\n" for abstract in abstracts)
    return Rendered("A long edition", html, "\n\n".join(abstracts)[: len(html) // 2])


def _personaliser(original: Path) -> list[Sequence[bytes]]:
    """Returns the message as a transport receives it."""
    with Database(f"sqlite:///{original}") as database, database.read() as tx:
        first = outbox.waiting(tx, NOW, 1)
        personaliser = Personaliser(database, _origin(), lambda data: data)
        return [personaliser.message(one, parse_address(one.address), NOW).pieces for one in first]


def _origin() -> Origin:
    sender = Sender("Bench", Address("Bench", "papers", "example.org"), owner="o@example.org")
    return Origin(sender, base_url="https://papers.example.org")


@contextmanager
def _sink(program: str) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    sink = subprocess.Popen([program, *user, f"127.0.0.1:{port}", "200"])
    try:
        _await(port)
        yield port
    finally:
        sink.terminate()
        sink.wait()


def _await(port: int) -> None:
    ends = time.monotonic() + 10
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.05)
