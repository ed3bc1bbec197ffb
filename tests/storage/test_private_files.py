"""Files with addresses or keys are never written through planted files, and are erased."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

import newsletter
from newsletter.app import maintenance
from newsletter.config.schema import Config
from newsletter.errors import DatabaseForeign, OutputError, StorageError
from newsletter.storage import backups, generations, locks
from newsletter.storage.database import Database
from newsletter.text import files, private_files

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


def plant(path: Path, how: str, victim: Path | None = None) -> None:
    """Creates what another account may have put there."""
    victim = victim or path.parent.parent / "victim"
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


@pytest.mark.parametrize("what", ["file", "folder"])
@pytest.mark.parametrize("how", ["link", "hard link", "file"])
def test_a_copy_that_is_swapped_is_refused(folder: Path, how: str, what: str) -> None:
    """In a folder in which others may rename things: nothing is written to what they put there."""
    database = Database(f"sqlite:///{folder.parent}/papers.db")
    before = set(folder.iterdir())

    def swap() -> None:
        (new,) = set(folder.iterdir()) - before
        if new.name.startswith("."):  # else it is done
            swapped.append(new)
            part = new / "backup.db" if new.is_dir() else new
            if what == "folder" and new.is_dir():
                new.rename(folder / "moved")
                new.mkdir()
            else:
                part.unlink()
            for name in ("", "-journal", "-wal"):
                plant(part.with_name(part.name + name), how, folder.parent / "victim")

    swapped: list[Path] = []
    with database, pytest.raises(StorageError, match="replaced the copy"):
        backups.copy(database.file, folder / "backup.db", lambda: None if swapped else swap())
    assert swapped
    assert untouched(folder)
    assert not (folder / "backup.db").exists()


def test_what_a_killed_restore_left_is_removed(tmp_path: Path) -> None:
    """A copy of the database, in its private folder."""
    config = Config.model_validate({"database": {"url": f"sqlite:///{tmp_path}/papers.db"}})
    Database(config.database.url).close()
    maintenance.backup(config, tmp_path / "backup.db")
    left = tmp_path / "..papers.db.restoring.0123456789abcdef.part"
    left.mkdir(0o700)
    (left / "papers.db").touch()
    maintenance.restore(config, tmp_path / "backup.db", NOW)
    assert not left.exists()


def test_a_restore_removes_nothing_of_a_database_with_a_similar_name(tmp_path: Path) -> None:
    """Whose own restore may be in progress."""
    config = Config.model_validate({"database": {"url": f"sqlite:///{tmp_path}/papers.db"}})
    Database(config.database.url).close()
    maintenance.backup(config, tmp_path / "backup.db")
    other = tmp_path / ".more.papers.db.restoring"
    other.touch()
    maintenance.restore(config, tmp_path / "backup.db", NOW)
    assert other.exists()


@pytest.mark.parametrize("name", ["papers[1].db", "pap?rs*.db"])
def test_senders_of_a_database_with_an_unusual_name(tmp_path: Path, name: str) -> None:
    """Characters of file patterns stand for themselves."""
    with locks.sender(tmp_path / name, "ab12"):
        assert locks.senders(tmp_path / name) == {"ab12"}


def test_an_interrupted_backup_leaves_nothing(tmp_path: Path) -> None:
    """A copy that nothing would remove, with all addresses."""
    (tmp_path / "config.toml").write_text("")
    with Database(f"sqlite:///{tmp_path}/newsletter.db") as database, database.write() as tx:
        tx.exec_driver_sql("CREATE TABLE large AS SELECT zeroblob(60000000) AS content")
    folder = tmp_path / "copies"
    folder.mkdir()
    command = [sys.executable, "-m", "newsletter", "backup", "copies/copy.db"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    while process.poll() is None and not list(folder.iterdir()):
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)
    status = process.wait(30)
    assert (status, list(folder.iterdir())) in [(143, []), (0, [folder / "copy.db"])]


def test_a_copy_is_not_written_to_another_file(folder: Path, tmp_path: Path) -> None:
    """It was swapped before SQLite opened it: the planted database stays as it was."""
    planted = tmp_path / "planted.db"
    with closing(sqlite3.connect(planted)) as other, other:
        other.execute("CREATE TABLE mark (value)")
    content = planted.read_bytes()
    with (
        private_files.private(folder / "backup.db") as part,
        Database(f"sqlite:///{tmp_path}/p.db") as own,
    ):
        part.path.unlink()
        part.path.symlink_to(planted)
        with pytest.raises(StorageError, match="replaced the copy"):
            backups.fill(part, own.file)
    assert planted.read_bytes() == content
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("how", ["link", "hard link", "file"])
def test_the_sending_counter_is_a_new_file(folder: Path, how: str) -> None:
    """The planted temporary file is not used."""
    plant(folder / ".papers.db.generation.part", how)
    with Database(f"sqlite:///{folder}/papers.db") as database:
        generations.rewrite(database.file, 5)
        assert generations.recorded(database.file) == 5
    assert untouched(folder)


@pytest.mark.parametrize("suffix", ["-wal", "-journal", "-shm"])
@pytest.mark.parametrize("how", ["link", "FIFO", "another account's"])
def test_what_sqlite_did_not_create_is_refused(folder: Path, how: str, suffix: str) -> None:
    """Beside the database: SQLite would follow a link, and apply what others have written."""
    Database(f"sqlite:///{folder}/papers.db").close()
    beside = folder / f"papers.db{suffix}"
    if how == "FIFO":
        os.mkfifo(beside)
    else:
        plant(beside, "link" if how == "link" else "file")
    if how == "another account's":
        if os.geteuid():
            pytest.skip("only root can give files away")
        os.chown(beside, 12_345, 12_345)
    with pytest.raises(DatabaseForeign, match=r"SQLite created|another account"):
        Database(f"sqlite:///{folder}/papers.db")
    assert untouched(folder)


@pytest.mark.parametrize(("mode", "kept"), [(0o644, 0o640), (0o660, 0o660), (0o600, 0o600)])
def test_a_group_keeps_what_it_may_do(tmp_path: Path, mode: int, kept: int) -> None:
    """With the database, and with the files that SQLite creates beside it; others lose it."""
    file = tmp_path / "papers.db"
    Database(f"sqlite:///{file}").close()
    file.chmod(mode)
    with Database(f"sqlite:///{file}") as database, database.write() as tx:
        tx.exec_driver_sql("UPDATE installation SET latest_at = latest_at")
        modes = {path.stat().st_mode & 0o777 for path in (file, tmp_path / "papers.db-wal")}
    assert modes == {kept}


def test_an_account_of_the_group_may_write_beside(tmp_path: Path) -> None:
    """If the operator shared the database with the group."""
    if os.geteuid():
        pytest.skip("only root can give files away")
    file, beside = tmp_path / "papers.db", tmp_path / "papers.db-wal"
    Database(f"sqlite:///{file}").close()
    file.chmod(0o660)
    beside.touch()
    os.chown(beside, 12_345, file.stat().st_gid)
    Database(f"sqlite:///{file}").close()


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
    with pytest.raises(OutputError, match="exists already"):
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
    assert creating == {"text/files.py", "text/private_files.py", "storage/locks.py"}
    assert not [name for name, text in modules.items() if ".write_text(" in text]
    assert not [name for name, text in modules.items() if ".write_bytes(" in text]
