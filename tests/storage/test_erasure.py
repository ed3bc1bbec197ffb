"""What is erased leaves the files of the database too, and it is said when that has to wait."""

from __future__ import annotations

import sqlite3
import struct
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import delete, update

from newsletter.app.composition import App
from newsletter.config.schema import Config
from newsletter.models import Circuit
from newsletter.storage import breakers, erasure, health, installation, subscribers
from newsletter.storage.database import Database
from newsletter.storage.free_space import Layout, layout, pages_to_overwrite, unused
from newsletter.storage.subscriber_tables import subscribers as table
from newsletter.storage.subscribers import Newcomer, Preferences
from newsletter.storage.write_ahead_log import WriteAheadLog
from newsletter.subscribers.address import parse_address
from newsletter.subscribers.lifecycle import line_of
from newsletter.web.background import run_background_tasks
from tests.support.commands import Here, rows_of
from tests.support.doctor import configure, findings

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRET = "zephyrine@quillwharf.example"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """A process that has the database open, with a subscriber."""
    with Database(f"sqlite:///{tmp_path}/papers.db") as database:
        app = App(Config(), database, lambda: NOW)
        app.subscribers.lifecycle.add(line_of(SECRET))
        yield app


def found_in(folder: Path) -> list[str]:
    """The files that contain any part of the address."""
    words = [SECRET.encode(), *(part.encode() for part in SECRET.split("@"))]
    return [
        path.name
        for path in folder.iterdir()
        if path.is_file() and any(word in path.read_bytes() for word in words)
    ]


@pytest.mark.parametrize("forget", [True, False])
def test_an_erased_address_leaves_the_files(app: App, tmp_path: Path, *, forget: bool) -> None:
    """While the database stays open, as a service has it: with the next pass of its loop."""
    assert found_in(tmp_path)
    app.subscribers.lifecycle.remove(parse_address(SECRET), forget=forget)
    assert "papers.db-wal" in found_in(tmp_path)  # which is why the loop has to empty it
    run_background_tasks(app, threading.Event(), lambda *_: None)
    assert found_in(tmp_path) == []


def test_a_reader_delays_it(app: App, tmp_path: Path) -> None:
    """Nothing fails, nothing waits, it is recorded, and the next attempt succeeds."""
    erasures = app.database.erasures
    with app.database.read() as tx:
        tx.exec_driver_sql("SELECT count(*) FROM subscribers").scalar_one()
        app.subscribers.lifecycle.remove(parse_address(SECRET), forget=True)
        assert not erasures.finish()
    assert app.status.read().is_erasing
    assert erasures.finish()
    assert found_in(tmp_path) == []
    assert not app.status.read().is_erasing


def test_replies_are_kept_without_addresses(app: App, tmp_path: Path) -> None:
    """Where nothing tells which subscriber they are about."""
    reply = f"550 5.1.1 <{SECRET}>: no such user"
    with app.database.write() as tx:
        installation.note_stopped(tx, reply, NOW)
        breakers.save(tx, Circuit("example.net", reply, NOW, NOW))
    app.subscribers.lifecycle.remove(parse_address(SECRET), forget=True)
    assert app.database.erasures.finish()
    assert found_in(tmp_path) == []
    with app.database.read() as tx:
        assert installation.get(tx).stopped == "550 5.1.1 <***>: no such user"


def test_forget_says_when_it_is_not_finished(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to do; `status` and `doctor` say so until it is."""
    monkeypatch.chdir(tmp_path)
    configure(tmp_path)
    newsletter = Here(capfd, monkeypatch)
    assert newsletter("subscribers", "add", SECRET).returncode == 0
    assert newsletter("subscribers", "add", "ada@example.org").returncode == 0
    with closing(sqlite3.connect(tmp_path / "newsletter.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM subscribers").fetchone()
        forgotten = newsletter("subscribers", "forget", SECRET, "--json")
        assert rows_of(forgotten)[0]["erased"] is False
        assert "`newsletter serve` or the next `newsletter run` removes it" in forgotten.stderr
        assert rows_of(newsletter("status", "--json"))[-1]["erasing"] is True
        assert found_in(tmp_path)
    assert "erased addresses are still" in newsletter("status").stdout
    assert "erased are still" in findings(tmp_path)["database"][-1].what
    removed = newsletter("subscribers", "remove", "ada@example.org", "--json")
    assert rows_of(removed)[0]["erased"] is True
    assert found_in(tmp_path) == []
    assert rows_of(newsletter("status", "--json"))[-1]["erasing"] is False


def anywhere(file: Path, addresses: Collection[str]) -> set[str]:
    """The addresses that are in the bytes of a file."""
    content = file.read_bytes()
    return {one for one in addresses if one.encode() in content}


def test_copies_in_unused_bytes_are_erased(app: App, tmp_path: Path) -> None:
    """SQLite leaves some behind when it moves rows to other pages. All else stays as it is."""
    random = Random(7)
    names = [f"{random.randrange(36**9):x}@b{random.randrange(36**5)}.net" for _ in range(3_000)]
    gone = names[::3]
    with app.database.write() as tx:
        newcomers = [Newcomer(one, one, "", Preferences(), NOW) for one in names]
        subscribers.add(tx, newcomers, 0, NOW)
    with app.database.write() as tx:  # rows become longer and move, as with a confirmation
        tx.execute(update(table).where(table.c.id % 2 == 0).values(consent_text="first version"))
    with app.database.write() as tx:
        tx.execute(delete(table).where(table.c.normal.in_(gone)))
        erasure.note(tx)
    file = tmp_path / "papers.db"
    assert WriteAheadLog(file).empty()
    assert anywhere(file, gone), "else this shows nothing"
    with app.database.read() as tx:
        before = list(subscribers.listed(tx))
    assert app.database.erasures.finish()
    assert anywhere(file, gone) == set()
    assert found_in(tmp_path) == ["papers.db"]
    with app.database.read() as tx:
        assert list(subscribers.listed(tx)) == before
        assert health.damages(tx) == []
        assert not erasure.noted(tx)
    content = file.read_bytes()  # also parts of addresses are gone, whatever they begin with
    pages = layout(content[:100])
    assert pages
    assert list(pages_to_overwrite(content[pages.page :], pages)) == []


def test_a_later_erasure_is_not_taken_for_an_earlier_one(app: App) -> None:
    """An attempt that began before it must not report it as completed."""
    numbers = set()
    for _ in range(3):
        with app.database.write() as tx:
            erasure.note(tx)
            numbers.add(erasure.noted(tx))
        assert app.database.erasures.finish()
    assert len(numbers) == 3


def test_every_attempt_makes_others_read_again(app: App) -> None:
    """They may have pages in memory from before an attempt that never committed."""
    assert app.database.erasures.finish()
    with app.database.write() as tx:
        erasure.note(tx)
    with closing(sqlite3.connect(app.database.file)) as other:
        before = other.execute("PRAGMA data_version").fetchone()
        other.execute("SELECT count(*) FROM subscribers").fetchone()
        assert app.database.erasures.finish()
        assert other.execute("PRAGMA data_version").fetchone() > before


def test_closing_keeps_the_locks_of_transactions_in_progress(app: App) -> None:
    """Another process would take itself for the last one, and delete what they write."""
    with app.database.write() as tx:
        erasure.note(tx)
    assert app.database.erasures.finish()
    look = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT 1 FROM {}')"
    command = [sys.executable, "-c", look.format("subscribers"), str(app.database.file)]
    with app.database.write() as tx:
        tx.exec_driver_sql("UPDATE subscribers SET cadence = 'weekdays'")
        app.database.close()
        subprocess.run([*command], check=True)
    app.database.close()
    with closing(sqlite3.connect(app.database.file)) as after:
        assert after.execute("SELECT DISTINCT cadence FROM subscribers").fetchall() == [
            ("weekdays",)
        ]


def test_a_database_that_was_replaced_is_not_written_to(app: App, tmp_path: Path) -> None:
    """Only the file at the path is completed, by a later attempt."""
    file, erasures = app.database.file, app.database.erasures
    with app.database.write() as tx:
        erasure.note(tx)
    assert erasures.finish()
    with app.database.write() as tx:
        erasure.note(tx)
    assert WriteAheadLog(file).empty()
    app.database.close()
    (tmp_path / "copy.db").write_bytes(file.read_bytes())
    file.rename(tmp_path / "old.db")
    (tmp_path / "copy.db").rename(file)
    old = (tmp_path / "old.db").read_bytes()
    assert not erasures.finish()
    assert erasures.finish()
    assert (tmp_path / "old.db").read_bytes() == old


PAGES = Layout(512, 512)


def leaf(cells: int, content: int, *blocks: tuple[int, int, int]) -> bytes:
    """A page of a table: where its rows begin, and its free blocks (offset, next, size)."""
    page = bytearray(b"\x77" * 512)
    page[:8] = struct.pack(">BHHHB", 13, blocks[0][0] if blocks else 0, cells, content, 0)
    for at, following, size in blocks:
        page[at : at + 4] = struct.pack(">HH", following, size)
    return bytes(page)


def test_the_unused_bytes_of_a_page() -> None:
    """Between the list of its rows and the first row, and those of rows that were deleted."""
    assert unused(leaf(3, 400), PAGES) == [(14, 400)]
    page = leaf(3, 400, (420, 450, 10), (450, 0, 4))
    assert unused(page, PAGES) == [(14, 400), (424, 430), (454, 454)]
    interior = bytes([5]) + leaf(3, 400)[1:]
    assert unused(interior, PAGES) == [(18, 400)]


@pytest.mark.parametrize(
    "page",
    [
        leaf(3, 10),
        leaf(3, 513),
        leaf(3, 400, (399, 0, 10)),
        leaf(3, 400, (420, 0, 3)),
        leaf(3, 400, (420, 0, 93)),
        leaf(3, 400, (420, 425, 10), (425, 0, 10)),
        leaf(3, 400, (450, 420, 10), (420, 0, 10)),
        leaf(3, 400, (510, 0, 4)),
        bytes(512),
        leaf(3, 400)[:511],
    ],
)
def test_a_page_that_is_not_understood_is_left_alone(page: bytes) -> None:
    """One that is damaged or belongs to no table, or the rest of a file."""
    assert unused(page, PAGES) == []


def test_a_file_with_other_pages_is_left_alone() -> None:
    """With auto-vacuum, pages that map others cannot be told from those of tables."""
    header = bytearray(100)
    header[16:18], header[20] = b"\x10\x00", 8
    assert layout(bytes(header)) == Layout(4096, 4088)
    header[16:18] = b"\x00\x01"
    assert layout(bytes(header)) == Layout(65_536, 65_528)
    header[55] = 1
    assert layout(bytes(header)) is None
