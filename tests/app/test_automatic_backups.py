"""One backup a day, by `run` and by `serve`: private, verified, rotated, and never an obstacle."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from newsletter.app import automatic_backups
from newsletter.app.backup_rotation import day_of, expired, file_name, fits, is_left_over, newest
from newsletter.config.schema import Config
from newsletter.errors import StorageError
from newsletter.storage import backups
from newsletter.storage.database import Database
from tests.support.commands import rows_of
from tests.support.disks import fill, small_disk
from tests.support.newsroom import Newsroom, summary
from tests.support.smtp_process import MailServer
from tests.support.web_room import Postbox, WebRoom

TODAY = date(2026, 11, 29)
FEW = [f"reader{number}@harbour.example" for number in range(3)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailServer]:
    """A server that accepts everything, and counts it."""
    with MailServer(tmp_path / "server") as one:
        yield one


@pytest.fixture
def room(tmp_path: Path, server: MailServer) -> Newsroom:
    """A newsletter whose subscribers have mail queued."""
    made = Newsroom(tmp_path / "room", server.port)
    made.subscribe(FEW)
    made.add_papers()
    return made


def folder(room: Newsroom) -> Path:
    """Returns the folder of the backups."""
    return room.database.parent / "backups"


def names(room: Newsroom) -> list[str]:
    """Returns the names of everything in it, including hidden files."""
    found = folder(room).iterdir() if folder(room).exists() else []
    return sorted(one.name for one in found)


def todays() -> str:
    """Returns the name of today's backup."""
    return f"papers-{datetime.now(UTC).date()}.db"


def keep(room: Newsroom, many: int) -> None:
    """Sets the number of backups to keep."""
    config = room.folder / "config.toml"
    config.write_text(config.read_text().replace("[database]", f"[database]\nbackups = {many}"))


# --- decisions


@pytest.mark.parametrize("database", ["newsletter.db", "a-2026-01-01.db", "papers", "x.y.sqlite"])
def test_the_day_in_a_name(database: str) -> None:
    """No other file is taken for a backup, because it might be deleted."""
    name = file_name(database, TODAY)
    assert day_of(database, name) == TODAY
    for other in (f"{name}.gz", f"my-{name}", database, name.replace("11-29", "13-29"), "", "a"):
        assert day_of(database, other) is None
    assert is_left_over(database, f".{name}.4711.part")
    assert is_left_over(database, f".{name}.4711.part-journal")
    assert not is_left_over(database, f".{database}.4711.part")
    assert not is_left_over(database, name)


@pytest.mark.parametrize(
    ("days", "keeps", "goes"),
    [
        ([0, 1, 2], 3, []),
        ([0, 1, 2, 9], 3, [9]),
        ([2, 0, 1], 1, [1, 2]),
        ([0, 5, 1000], 2, [1000]),
        ([-400, 0, 1], 2, [-400]),  # made while the clock was wrong
        ([-400, -1, 0], 1, [-400, -1]),
    ],
)
def test_the_newest_are_kept(days: list[int], keeps: int, goes: list[int]) -> None:
    """By the day in their names: today's always, and those from the future last."""

    def name(ago: int) -> str:
        return file_name("p.db", TODAY - timedelta(days=ago))

    others = ["p.db", "notes.txt", "p-2026-11-01-before-the-update.db"]
    found = expired("p.db", [*map(name, days), *others], TODAY, keeps)
    assert sorted(found) == sorted(map(name, goes))
    assert newest("p.db", map(name, days)) == TODAY - timedelta(days=min(days))
    assert newest("p.db", others) is None


def test_a_backup_leaves_room_for_sending() -> None:
    """More than its own size must be free."""
    assert fits(50_000_000, 60_000_000)
    assert not fits(50_000_000, 52_000_000)
    assert not fits(0, 1_000)


# --- run


def test_a_run_makes_one_a_day(room: Newsroom) -> None:
    """Private, complete, shown by `status`, and usable with `restore`."""
    assert room.command("status", "--json").returncode == 0
    assert rows_of(room.command("status", "--json"))[-1]["backup"] is None
    assert room.run().returncode == 0
    (made,) = folder(room).iterdir()
    assert made.name == todays()
    assert made.stat().st_mode & 0o777 == 0o600
    assert folder(room).stat().st_mode & 0o777 == 0o700
    first = made.stat().st_mtime_ns
    assert room.run().returncode == 0
    assert (names(room), made.stat().st_mtime_ns) == ([todays()], first)
    row = rows_of(room.command("status", "--json"))[-1]
    assert row["backup"] == str(datetime.now(UTC).date())
    assert "newest automatic backup: " in room.command("status").stdout
    with closing(sqlite3.connect(made)) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        sent = copy.execute("SELECT count(*) FROM deliveries WHERE state = 'sent'").fetchone()
        assert sent == (len(FEW),), "made after sending"
    done = room.command("restore", str(made), "--json")
    assert rows_of(done)[0]["merged"] is True


def test_none_are_made_when_turned_off(room: Newsroom) -> None:
    """Not even if they would be deleted at once."""
    keep(room, 0)
    assert room.run().returncode == 0
    for command in (("demo",), ("replay", "captures")):
        assert room.command(*command).returncode == 0
    assert names(room) == []
    assert "backup" not in room.command("status").stdout


def test_old_ones_are_deleted(room: Newsroom) -> None:
    """Once today's exists; other files in the folder stay."""
    keep(room, 2)
    folder(room).mkdir()
    for name in ("papers-2026-01-01.db", "papers-2026-01-02.db", "other-2026-01-01.db", "mine.db"):
        (folder(room) / name).touch()
    assert room.run().returncode == 0
    kept = [todays(), "papers-2026-01-02.db", "other-2026-01-01.db", "mine.db"]
    assert names(room) == sorted(kept)


BACKUP = """
import os, signal, sys
from datetime import UTC, datetime
from newsletter.app import automatic_backups
from newsletter.config.schema import Config
from newsletter.storage.database import Database

def progress():
    if sys.argv[2] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    print("copying", flush=True)
    sys.stdin.readline()

database = Database(f"sqlite:///{sys.argv[1]}")
automatic_backups.make_if_due(Config(), database, datetime.now(UTC), progress)
"""


def test_left_overs_of_a_killed_process_are_removed(room: Newsroom) -> None:
    """By the next run, which makes the backup."""
    command = [sys.executable, "-c", BACKUP, str(room.database), "die"]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    (left,) = (one for one in folder(room).iterdir() if one.name.endswith(".part"))
    assert left.stat().st_mode & 0o777 == 0o700
    (folder(room) / f".{todays()}.4711.part").touch()  # a file, as earlier versions left
    assert todays() not in names(room)
    assert room.run().returncode == 0
    assert names(room) == [todays()]


def test_two_at_once(room: Newsroom) -> None:
    """The second process does not wait for the first, nor touch its files."""
    command = [sys.executable, "-c", BACKUP, str(room.database), "wait"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout
        assert first.stdout.readline() == "copying\n"
        done = room.run()
        assert (done.returncode, summary(done)["sent"]) == (0, len(FEW))
        assert [name for name in names(room) if not name.startswith(".")] == []
        assert len(names(room)) >= 1
        first.communicate("\n" * 1_000)
    assert first.returncode == 0
    assert names(room) == [todays()]


def test_no_room_for_one(tmp_path: Path, server: MailServer) -> None:
    """Mail is sent, the run reports the problem, and the next run makes it once there is room."""
    (tmp_path / "room").mkdir()
    with small_disk(tmp_path / "room" / "disk", kilobytes=4_096) as disk:
        room = Newsroom(tmp_path / "room", server.port, database="disk/papers.db")
        room.subscribe(FEW)
        room.add_papers()
        (disk / "ballast").write_bytes(bytes(shutil.disk_usage(disk).free - 1_000_000))
        done = room.run()
        assert (done.returncode, summary(done)["sent"], server.count()) == (3, 3, 3)
        assert f"{disk}/backups: no room for a backup of 0." in done.stderr
        assert names(room) == []
        (disk / "ballast").unlink()
        assert room.run().returncode == 0
        assert names(room) == [todays()]


def test_a_damaged_database_displaces_no_backup(room: Newsroom) -> None:
    """The copy is not kept, and the old backups stay."""
    keep(room, 1)
    assert room.run().returncode == 0
    older = folder(room) / "papers-2026-01-01.db"
    (folder(room) / todays()).rename(older)
    with Database(f"sqlite:///{room.database}") as database:
        with closing(sqlite3.connect(room.database, isolation_level=None)) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            (root,) = other.execute(
                "SELECT rootpage FROM sqlite_master WHERE name = 'papers'"
            ).fetchone()
        with room.database.open("r+b") as file:
            file.seek((root - 1) * 4096)
            file.write(b"\xa5" * 4096)
        with pytest.raises(StorageError, match=r"damaged|malformed"):
            automatic_backups.make_if_due(Config(), database, datetime.now(UTC))
    assert names(room) == [older.name]


def test_an_older_copy_displaces_no_backup(room: Newsroom) -> None:
    """The backups belong to the newer database that it replaced."""
    assert room.run().returncode == 0
    (folder(room) / todays()).rename(folder(room) / "papers-2026-01-01.db")
    beside = room.database.with_name("papers.db.generation")
    beside.write_text(f"{10**6:020}\n")
    assert room.run().returncode == 3
    assert names(room) == ["papers-2026-01-01.db"]


def test_a_copy_ends_while_another_process_writes(tmp_path: Path, database: Database) -> None:
    """It does not start over with each write, and contains one consistent state."""
    with database.write() as tx:
        tx.exec_driver_sql("CREATE TABLE ballast (what)")
        for _ in range(40):
            tx.exec_driver_sql("INSERT INTO ballast VALUES (randomblob(1000000))")
        tx.exec_driver_sql("CREATE TABLE steps (what)")
    calls = 0

    def write() -> None:
        nonlocal calls
        calls += 1
        assert calls < 1_000, "it begins anew"
        with database.write() as tx:
            tx.exec_driver_sql("INSERT INTO steps VALUES (1)")

    backups.copy(database.file, tmp_path / "copy.db", write)
    assert calls >= 5
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT count(*) FROM steps").fetchone() == (0,)


# --- serve


def test_the_service_makes_one(tmp_path: Path) -> None:
    """In the background, soon after it starts."""
    with Postbox(tmp_path) as box:
        room = WebRoom(tmp_path, box.port)
        room.subscribe(FEW)
        with room.running("serve"):
            room.until(lambda: todays() in names(room))
        (event,) = [row for row in map(json.loads, room.log.splitlines()) if "bytes" in row]
        assert event["event"] == "backup made"


def test_the_service_goes_on_where_none_can_be_made(tmp_path: Path) -> None:
    """The reason is logged, mail is sent, and the service is ready."""
    with Postbox(tmp_path) as box:
        room = WebRoom(tmp_path, box.port)
        room.subscribe(FEW)
        folder(room).write_text("no folder")
        room.add_papers()
        with room.opened() as app:
            list(app.sources.ingest_configured())
            app.planner.plan(due_now=True)
        with room.running("serve"):
            room.until(lambda: room.mails_to(FEW[0]))
            room.until(lambda: '"loop": "backups"' in room.log)
        assert "the backups cannot be written" in room.log


def test_a_copy_that_fails_leaves_nothing_behind(tmp_path: Path, server: MailServer) -> None:
    """The space that it used is free again."""
    (tmp_path / "room").mkdir()
    with small_disk(tmp_path / "room" / "disk", kilobytes=4_096) as disk:
        room = Newsroom(tmp_path / "room", server.port, database="disk/papers.db")
        room.subscribe(FEW)
        fill(disk)
        with pytest.raises(StorageError):
            backups.copy(room.database, disk / "copy.db")
        assert not [one for one in disk.iterdir() if "copy" in one.name]
