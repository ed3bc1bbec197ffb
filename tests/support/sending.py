"""A newsletter with many subscribers, and senders that are killed."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from newsletter.storage import deliveries
from newsletter.storage.database import Database
from tests.support.newsroom import Newsroom, summary
from tests.support.smtp_process import MailServer
from tests.support.soak import SOAK

PEOPLE = [f"reader{n}@d{n % 9}.example" for n in range(1_500 if SOAK else 400)]

Process = subprocess.Popen[str]


def copied(template: Path, folder: Path, server: MailServer, **delivery: Any) -> Newsroom:
    """Copies a newsletter to another folder, with its database at the path `database`."""
    shutil.copytree(template, folder, dirs_exist_ok=True)
    room = Newsroom(folder, server.port, **delivery)
    if not room.database.exists():
        shutil.move(folder / "papers.db", room.database)
    return room


def states(room: Newsroom) -> Counter[str]:
    """Returns the number of mails by state, even while other processes use the database."""
    with Database(f"sqlite:///{room.database}") as database, database.read() as tx:
        return Counter({str(state): many for state, many in deliveries.counts(tx).items()})


def finish(run: Process) -> subprocess.CompletedProcess[str]:
    """Waits for a run; asserts that it did not crash."""
    out, err = run.communicate(timeout=120)
    assert "Traceback" not in err, err
    return subprocess.CompletedProcess(run.args, run.returncode, out, err)


def kill(run: Process) -> bool:
    """Kills a run. Returns whether it was still alive."""
    run.send_signal(signal.SIGKILL)
    run.communicate()
    return run.returncode == -signal.SIGKILL


def assert_served(room: Newsroom, server: MailServer, most_unknown: int) -> int:
    """Runs until nothing waits; asserts that each subscriber was served once.

    Returns the number of `unknown` deliveries.
    """
    last = summary(room.run())
    assert (last["queued"], last["stopped"]) == (0, None)
    rows = [row for row in room.deliveries() if "@d" in row["address"]]
    assert sorted(row["address"] for row in rows) == sorted(PEOPLE)
    assert {row["state"] for row in rows} <= {"sent", "unknown"}
    taken = server.taken()
    arrived = Counter(one.recipient for one in taken)
    arrived.pop("owner@papers.example", None)
    assert set(arrived.values()) == {1}
    ids = {row["address"]: row["message_id"] for row in rows}
    assert {one.recipient: one.message_id for one in taken if one.recipient in ids}.items() <= (
        ids.items()
    )
    unknown = {row["address"] for row in rows if row["state"] == "unknown"}
    assert set(PEOPLE) - arrived.keys() <= unknown
    assert len(unknown) <= most_unknown
    assert not list(room.database.parent.glob("*.sender.*"))
    with closing(sqlite3.connect(room.database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return len(unknown)


def wait_a_while(
    server: MailServer, run: Process, dice: random.Random, within: float | None = None
) -> bool:
    """Waits until more mail was sent, or `within` seconds. Returns whether the run is alive."""
    goal = server.count() + dice.randint(1, 40)
    over = time.monotonic() + (dice.uniform(0, within) if within else 1e9)
    return server.wait_until(lambda one: one.count() >= goal or time.monotonic() >= over, run)
