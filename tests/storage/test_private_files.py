"""Files with addresses or keys are never written through planted files, and are erased."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

import newsletter
from newsletter.app.composition import App
from newsletter.config.schema import Config
from newsletter.errors import OutputError, StorageError
from newsletter.storage import backups, generations, locks
from newsletter.storage.database import Database
from newsletter.subscribers.address import parse_address
from newsletter.subscribers.lifecycle import line_of
from newsletter.text import files
from newsletter.web.background import run_background_tasks

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRET = "zephyrine@quillwharf.example"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which other accounts may write; a file of the operator lies outside it."""
    (tmp_path / "victim").write_text("untouched")
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o777)
    return shared


def untouched(folder: Path) -> bool:
    """Whether the file outside is unchanged."""
    return (folder.parent / "victim").read_text() == "untouched"


def plant(path: Path, how: str) -> None:
    """Creates what another account may have put there."""
    victim = path.parent.parent / "victim"
    if how == "link":
        path.symlink_to(victim)
    elif how == "hard link":
        os.link(victim, path)
    else:
        path.write_text("planted")
        path.chmod(0o666)


@pytest.mark.parametrize("how", ["link", "hard link", "file"])
def test_a_backup_is_a_new_file(folder: Path, how: str) -> None:
    """It replaces anything at its name, and at the name that its temporary file used to have."""
    target = folder / "backup.db"
    plant(target, how)
    plant(folder / f".backup.db.{os.getpid()}.part", how)
    with Database(f"sqlite:///{folder.parent}/papers.db") as database:
        backups.copy(database.file, target)
    assert untouched(folder)
    assert not target.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o600
    assert target.stat().st_nlink == 1
    with closing(sqlite3.connect(target)) as copy:
        assert copy.execute("PRAGMA quick_check").fetchone() == ("ok",)


@pytest.mark.parametrize("how", ["link", "hard link", "file"])
def test_the_sending_counter_is_a_new_file(folder: Path, how: str) -> None:
    """The planted temporary file is not used."""
    plant(folder / ".papers.db.generation.part", how)
    with Database(f"sqlite:///{folder}/papers.db") as database:
        generations.rewrite(database.file, 5)
        assert generations.recorded(database.file) == 5
    assert untouched(folder)


@pytest.mark.parametrize("how", ["link", "FIFO"])
def test_a_planted_lock_file_is_refused(folder: Path, how: str) -> None:
    """Nothing is created or locked at the other end, and opening never blocks."""
    lock = folder / "papers.db.use.lock"
    lock.symlink_to(folder.parent / "elsewhere") if how == "link" else os.mkfifo(lock)
    with pytest.raises(StorageError, match="cannot open"):
        Database(f"sqlite:///{folder}/papers.db")
    assert not (folder.parent / "elsewhere").exists()


@pytest.mark.parametrize("how", ["link", "FIFO"])
def test_a_planted_sender_lock_is_never_followed(folder: Path, how: str) -> None:
    """A sender that cannot be proved dead counts as alive."""
    lock = folder / "papers.db.sender.one.lock"
    lock.symlink_to(folder.parent / "victim") if how == "link" else os.mkfifo(lock)
    assert locks.is_sender_alive(folder / "papers.db", "one")


@pytest.mark.parametrize("how", ["link", "FIFO"])
def test_a_planted_sending_counter_is_refused(folder: Path, how: str) -> None:
    """It is neither read nor written, and opening never blocks."""
    database = folder / "papers.db"
    counter = folder / "papers.db.generation"
    counter.symlink_to(folder.parent / "victim") if how == "link" else os.mkfifo(counter)
    for attempt in (generations.recorded, lambda path: generations.note(path, 5)):
        with pytest.raises(StorageError, match="sending counter"):
            attempt(database)
    assert untouched(folder)


@pytest.mark.parametrize("how", ["link", "hard link", "file"])
def test_a_written_file_replaces_an_existing_one(folder: Path, how: str) -> None:
    """A file that must be new is refused instead."""
    plant(folder / "edition.html", how)
    with pytest.raises(OutputError, match="there already"):
        files.create(folder / "edition.html", b"new", 0o600)
    files.write(folder / "edition.html", b"new")
    assert (folder / "edition.html").read_bytes() == b"new"
    assert untouched(folder)


def test_files_are_created_in_one_place() -> None:
    """Everything else writes through `text.files`; lock files are opened again and again."""
    package = Path(newsletter.__file__).parent
    modules = {
        path.relative_to(package).as_posix(): path.read_text() for path in package.rglob("*.py")
    }
    creating = {name for name, text in modules.items() if "O_CREAT" in text}
    assert creating == {"text/files.py", "storage/locks.py"}
    assert not [name for name, text in modules.items() if ".write_text(" in text]
    assert not [name for name, text in modules.items() if ".write_bytes(" in text]


# --- erasure


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """A process that has the database open, with one subscriber."""
    with Database(f"sqlite:///{tmp_path}/papers.db") as database:
        app = App(Config(), database, lambda: NOW)
        app.subscribers.lifecycle.add(line_of(SECRET))
        yield app


def found_in(folder: Path) -> list[str]:
    """Returns the names of the files that contain any part of the address."""
    words = [SECRET.encode(), *(part.encode() for part in SECRET.split("@"))]
    return [
        path.name
        for path in folder.iterdir()
        if path.is_file() and any(word in path.read_bytes() for word in words)
    ]


@pytest.mark.parametrize("forget", [True, False])
def test_an_erased_address_is_gone_from_all_files(
    app: App, tmp_path: Path, *, forget: bool
) -> None:
    """The next pass of the service's loop erases it, although the database stays open."""
    assert found_in(tmp_path)
    app.subscribers.lifecycle.remove(parse_address(SECRET), forget=forget)
    assert "papers.db-wal" in found_in(tmp_path)  # which is why the loop has to empty it
    run_background_tasks(app, threading.Event(), lambda *_: None)
    assert found_in(tmp_path) == []


def test_an_open_read_transaction_delays_the_erasure(app: App, tmp_path: Path) -> None:
    """No error is raised, nothing blocks, and the next attempt succeeds."""
    log = app.database.write_ahead_log
    with app.database.read() as tx:
        tx.exec_driver_sql("SELECT count(*) FROM subscribers").scalar_one()
        app.subscribers.lifecycle.remove(parse_address(SECRET), forget=True)
        assert not log.empty()
    assert log.empty()
    assert found_in(tmp_path) == []
