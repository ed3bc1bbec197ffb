"""Killed processes, full disks and locked databases during ingest.

Nothing is announced twice, nothing is lost, and every error is one line.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from newsletter.app.composition import opened
from newsletter.config.file import load_config
from newsletter.models import Capture
from newsletter.service.jobs import Jobs
from newsletter.storage import log, snapshots, sources
from newsletter.storage.database import Database
from tests.support.commands import INTERRUPTIBLE, assert_one_line_each, newsletter, rows_of
from tests.support.disks import fill, make_read_only, small_disk
from tests.support.soak import SOAK

KILLS = 300 if SOAK else 20
KILLS_A_ROUND = 4

CHILD = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from newsletter.papers.ingest import Ingest
from newsletter.sources.files import FolderSource
from newsletter.storage.database import Database
print("ready", flush=True)
with Database(sys.argv[1]) as database:
    ingest = Ingest(database, lambda: datetime.now(UTC))
    captures = FolderSource(Path(sys.argv[2])).captures()
    first = sys.argv[3:] == ["first"]
    for report in ingest.captures("s", captures, announce_all=not first, whole_folder=first):
        print(report.snapshot, flush=True)
"""


def write_captures(folder: Path, days: int = 12, a_day: int = 40) -> set[str]:
    """Writes overlapping captures of the API to a folder. Returns the titles of all papers."""
    folder.mkdir(parents=True)
    titles = set()
    for day in range(days):
        rows = []
        for number in range(day * a_day // 2, day * a_day // 2 + a_day):
            title = f"Lantern number {number} seen from the harbour"
            titles.add(title)
            paper = {"id": f"2611.{number:05}", "title": title, "summary": "We look. " * 40}
            rows.append({"paper": paper, "title": title})
        (folder / f"{day:03}.json").write_text(json.dumps(rows))
    return titles


def announced(url: str) -> Counter[str]:
    """Returns the number of times that each title is announced."""
    with Database(url) as database, database.read() as tx:
        return Counter(entry.paper.title for entry in log.new_entries(tx))


def run_child(url: str, folder: Path, *how: str) -> subprocess.Popen[str]:
    """Starts an ingest in a separate process, and waits until it is ready."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, url, str(folder), *how], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def finish(child: subprocess.Popen[str]) -> int:
    """Waits for the child and closes its output."""
    child.communicate()
    return child.returncode


@pytest.mark.timeout(3600)
def test_kill_9_at_random_instants(tmp_path: Path) -> None:
    """However often it is killed, every paper is announced in the end, and exactly once."""
    folder = tmp_path / "captures"
    titles = write_captures(folder)
    begun = time.monotonic()
    assert finish(run_child(f"sqlite:///{tmp_path}/whole.db", folder)) == 0
    usual = time.monotonic() - begun
    dice = random.Random(20261121)
    died = 0
    for round_ in range(KILLS // KILLS_A_ROUND):
        url = f"sqlite:///{tmp_path}/{round_}.db"
        for _ in range(KILLS_A_ROUND):
            child = run_child(url, folder)
            time.sleep(dice.uniform(0, usual / 2))
            child.send_signal(signal.SIGKILL)
            died += finish(child) == -signal.SIGKILL
        assert finish(run_child(url, folder)) == 0
        assert announced(url) == Counter(titles)
        with sqlite3.connect(f"{tmp_path}/{round_}.db") as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
    assert died >= KILLS // 4  # most kills must hit a living process


def test_four_ingests_at_once(tmp_path: Path) -> None:
    """Processes that ingest the same captures at the same time announce each paper once."""
    folder = tmp_path / "captures"
    titles = write_captures(folder, days=6)
    url = f"sqlite:///{tmp_path}/together.db"
    children = [run_child(url, folder) for _ in range(4)]
    assert [finish(child) for child in children] == [0, 0, 0, 0]
    assert announced(url) == Counter(titles)


def _dated(folder: Path) -> set[str]:
    """Writes twelve captures with days in their names. Returns the titles of the latest day."""
    write_captures(folder)
    for number, path in enumerate(sorted(folder.iterdir()), 1):
        path.rename(folder / f"2026-06-{number:02}.json")
    return {f"Lantern number {number} seen from the harbour" for number in range(240, 260)}


def test_concurrent_first_ingests_announce_the_latest_day(tmp_path: Path) -> None:
    """Four processes ingest a new folder together, with the same result as one."""
    latest = _dated(tmp_path / "captures")
    url = f"sqlite:///{tmp_path}/together.db"
    children = [run_child(url, tmp_path / "captures", "first") for _ in range(4)]
    assert [finish(child) for child in children] == [0, 0, 0, 0]
    assert announced(url) == Counter(latest)


def test_a_first_ingest_that_is_killed_announces_the_latest_day(tmp_path: Path) -> None:
    """Killed at any time and run again, it announces the same papers, each once."""
    latest = _dated(tmp_path / "captures")
    dice = random.Random(6)
    died = 0
    for round_ in range(KILLS // KILLS_A_ROUND):
        url = f"sqlite:///{tmp_path}/{round_}.db"
        for _ in range(2):
            child = run_child(url, tmp_path / "captures", "first")
            while not Path(f"{tmp_path}/{round_}.db").exists() and child.poll() is None:
                time.sleep(0.002)
            time.sleep(dice.uniform(0, 0.3))
            child.send_signal(signal.SIGKILL)
            died += finish(child) == -signal.SIGKILL
        assert finish(run_child(url, tmp_path / "captures", "first")) == 0
        assert announced(url) == Counter(latest)
    assert died >= KILLS // KILLS_A_ROUND  # otherwise this tests nothing


def _configured(folder: Path, database: str) -> None:
    (folder / "config.toml").write_text(f'[database]\nurl = "sqlite:///{database}"\n')


def test_a_full_disk_fails_with_one_line_and_loses_nothing(tmp_path: Path) -> None:
    """The error names what did not fit; with room again, the same command announces it."""
    titles = write_captures(tmp_path / "captures", days=4)
    with small_disk(tmp_path / "disk", kilobytes=4096) as disk:
        _configured(tmp_path, "disk/papers.db")
        names = [f"captures/{n:03}.json" for n in range(4)]
        first = newsletter("ingest", names[0], "--json", cwd=tmp_path)
        assert first.returncode == 0, first.stderr
        fill(disk)
        full = newsletter("ingest", *names, "--json", cwd=tmp_path)
        assert full.returncode == 3
        assert_one_line_each(full)
        failed = [row for row in rows_of(full) if row["held"]]
        assert failed
        assert all("room" in row["held"] for row in failed)
        assert all(row["new"] == 0 for row in failed)
        (disk / "filler").unlink()
        done = newsletter("ingest", *names, "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert announced(f"sqlite:///{disk}/papers.db") == Counter(titles)


def test_a_full_temporary_folder_fails_with_one_line(tmp_path: Path) -> None:
    """A replay without room for its temporary database has a row of output and no traceback."""
    write_captures(tmp_path / "captures", days=2)
    with small_disk(tmp_path / "disk", kilobytes=160) as disk:
        done = newsletter("replay", "captures", "--json", cwd=tmp_path, TMPDIR=str(disk))
        assert done.returncode == 3
        assert_one_line_each(done)
        assert rows_of(done)
        assert all(row["held"] and row["new"] == 0 for row in rows_of(done))


def test_a_read_only_disk_fails_with_one_line(tmp_path: Path) -> None:
    """The database cannot be written, or an edition cannot be."""
    write_captures(tmp_path / "captures", days=1)
    with small_disk(tmp_path / "disk", kilobytes=4096) as disk:
        _configured(tmp_path, "disk/papers.db")
        assert newsletter("ingest", "captures/000.json", cwd=tmp_path).returncode == 0
        make_read_only(disk)
        for arguments in (
            ("ingest", "captures/000.json"),
            ("replay", "captures/000.json", "--out", "disk/out"),
        ):
            done = newsletter(*arguments, cwd=tmp_path)
            assert done.returncode == 3, done
            assert_one_line_each(done)
            assert "disk" in done.stderr


def test_a_locked_database_fails_with_one_line_after_a_while(tmp_path: Path) -> None:
    """The command waits for the lock, then reports it as the reason."""
    write_captures(tmp_path / "captures", days=1)
    url = f"sqlite:///{tmp_path}/papers.db"
    Database(url).close()
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN IMMEDIATE');"
            "print('locked', flush=True); sys.stdin.read()",
            str(tmp_path / "papers.db"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    try:
        _configured(tmp_path, "papers.db")
        done = newsletter("ingest", "captures/000.json", "--json", cwd=tmp_path)
    finally:
        holder.communicate("")
    assert done.returncode == 3
    assert_one_line_each(done)
    (row,) = rows_of(done)
    assert "locked" in row["held"]
    assert (row["format"], row["papers"], row["new"]) == (None, 0, 0)
    assert newsletter("ingest", "captures/000.json", cwd=tmp_path).returncode == 0


def _refused(tmp_path: Path, *, word: str, status: int) -> None:
    _configured(tmp_path, "other.db")
    done = newsletter("status", cwd=tmp_path)
    assert done.returncode == status, done
    assert_one_line_each(done)
    assert word in done.stderr


def test_a_foreign_database_is_refused(tmp_path: Path) -> None:
    """A database of another program is not changed."""
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE songs (title)")
    connection.close()
    before = (tmp_path / "other.db").read_bytes()
    before = (tmp_path / "other.db").read_bytes()
    _refused(tmp_path, word="another program", status=2)
    assert (tmp_path / "other.db").read_bytes() == before


def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    """A text file is not overwritten."""
    (tmp_path / "other.db").write_text("my diary, twenty pages of it\n" * 50)
    _refused(tmp_path, word="not a newsletter database", status=2)
    assert (tmp_path / "other.db").read_text().startswith("my diary")


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    """The error names its revision."""
    Database(f"sqlite:///{tmp_path}/other.db").close()
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    _refused(tmp_path, word="9999", status=2)


def test_an_interrupt_ends_with_130(tmp_path: Path) -> None:
    """Ctrl-C between captures leaves a database from which the next run continues."""
    titles = write_captures(tmp_path / "captures", days=40)
    _configured(tmp_path, "papers.db")
    child = subprocess.Popen(
        [*INTERRUPTIBLE, "ingest", *_files(tmp_path / "captures"), "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert child.stdout is not None
    child.stdout.readline()
    child.send_signal(signal.SIGINT)
    _, said = child.communicate()
    assert child.returncode == 130
    assert "Traceback" not in said
    assert newsletter("ingest", *_files(tmp_path / "captures"), cwd=tmp_path).returncode == 0
    known = announced(f"sqlite:///{tmp_path}/papers.db")
    assert set(known.values()) == {1}
    assert set(known) <= titles


@pytest.mark.parametrize("by", ["run", "serve"])
def test_captures_left_by_a_killed_ingest_are_settled_by_the_next(tmp_path: Path, by: str) -> None:
    """That ingest may have no source configured, or another one."""
    write_captures(tmp_path / "captures", days=1, a_day=3)
    text = '[newsletter]\nowner = "keeper@example.org"\n[delivery]\ntransport = "eml"\n'
    if by == "serve":
        (tmp_path / "empty").mkdir()
        text += '[[sources]]\nname = "other"\npath = "empty"\n'
    (tmp_path / "config.toml").write_text(text)
    assert newsletter("subscribers", "add", "ada@example.net", cwd=tmp_path).returncode == 0
    with Database(f"sqlite:///{tmp_path}/newsletter.db") as database, database.write() as tx:
        row = sources.ensure(tx, "manual")
        data = (tmp_path / "captures" / "000.json").read_bytes()
        at = datetime.now(UTC)
        snapshots.store(tx, row.id, Capture(data, "000.json", at, at.date()), opening=True)
    if by == "run":
        assert newsletter("run", "--due-now", cwd=tmp_path).returncode == 0
    else:
        config = load_config(str(tmp_path / "config.toml"))
        with opened(config) as app:
            for job in Jobs(app, config, lambda: at, threading.Event()).captures_due():
                job()
    assert len(announced(f"sqlite:///{tmp_path}/newsletter.db")) == 3


def _files(folder: Path) -> Sequence[str]:
    return [str(path) for path in sorted(folder.iterdir())]
