"""Opening the database: created once, private, migrated under a lock, with the declared tables."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError, StatementError

import newsletter.storage.migrations as migrations
from newsletter.errors import (
    DatabaseLocked,
    DatabaseOutdated,
    DatabaseReplaced,
    DiskFull,
    StorageError,
)
from newsletter.models import Rendered
from newsletter.storage import editions, installation, locks, sources
from newsletter.storage.columns import metadata
from newsletter.storage.database import Database
from tests.support.disks import fill, small_disk


def test_the_migrations_make_exactly_the_declared_tables(database: Database) -> None:
    """The migrations create the tables that the code declares, besides the search index."""

    def declared(name: str | None, _kind: str, _parents: Mapping[str, str | None]) -> bool:
        return not (name or "").startswith("paper_search")  # the tables of SQLite's full-text index

    with database.read() as tx:
        context = MigrationContext.configure(
            tx, opts={"compare_type": True, "include_name": declared}
        )
        assert compare_metadata(context, metadata) == []


def test_revisions_match_the_migration_files() -> None:
    """A new migration has to be added to the list that an ordinary run compares with."""
    script = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert [step.revision for step in script.walk_revisions()][::-1] == list(migrations.REVISIONS)


def test_a_database_from_before_the_first_release_is_refused(tmp_path: Path) -> None:
    """The error says what to do, instead of a statement that fails."""
    url = f"sqlite:///{tmp_path}/old.db"
    Database(url).close()
    with closing(sqlite3.connect(tmp_path / "old.db")) as old:
        old.execute("UPDATE alembic_version SET version_num = '0003'")
        old.commit()
    with pytest.raises(DatabaseOutdated, match=r"before the first release.*move it away"):
        Database(url)


def test_an_ordinary_run_does_not_import_alembic(tmp_path: Path) -> None:
    """Only a migration needs it."""
    url = f"sqlite:///{tmp_path}/a.db"
    Database(url).close()
    code = (
        "import sys; from newsletter.storage.database import Database\n"
        "Database(sys.argv[1]).close(); print('alembic' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, url], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_a_new_database_is_created_once_by_many_processes(tmp_path: Path) -> None:
    """Processes that open an empty file at the same time migrate it without an error."""
    code = "import sys; from newsletter.storage.database import Database; Database(sys.argv[1])"
    url = f"sqlite:///{tmp_path}/together.db"
    for round_ in range(3):
        command = [sys.executable, "-c", code, f"{url}{round_}"]
        children = [subprocess.Popen(command) for _ in range(6)]
        assert [child.wait() for child in children] == [0] * 6


def test_a_write_that_raises_an_error_changes_nothing(database: Database) -> None:
    """The whole transaction is rolled back."""
    with pytest.raises(KeyError), database.write() as tx:
        sources.ensure(tx, "s")
        raise KeyError
    with database.read() as tx:
        assert sources.all_status(tx) == []


def test_the_error_names_a_missing_folder(tmp_path: Path) -> None:
    """The message has the path and says what to do."""
    with pytest.raises(StorageError, match=r"nowhere.*check that its folder exists"):
        Database(f"sqlite:///{tmp_path}/nowhere/a.db")


def test_a_pool_whose_connections_all_wait_is_reported_as_a_lock(tmp_path: Path) -> None:
    """The pool's own time-out is not a `DBAPIError`, and not a bug either."""
    with (
        Database(f"sqlite:///{tmp_path}/test.db", busy_seconds=0.1) as database,
        ExitStack() as held,
    ):
        with pytest.raises(DatabaseLocked, match="all connections"):
            for _ in range(100):
                held.enter_context(database.read())
        held.close()
        with database.write() as tx:
            sources.ensure(tx, "saved")


def test_a_lock_while_connecting_is_reported(tmp_path: Path) -> None:
    """The first statements of a connection also fail with one of our errors."""
    database = Database(f"sqlite:///{tmp_path}/test.db", busy_seconds=0.1)
    database.close()  # so that the pool has no connection
    with closing(sqlite3.connect(database.file, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        for use in (database.read, database.write):
            with pytest.raises(DatabaseLocked), use():
                pass
        with pytest.raises(DatabaseLocked):
            Database(f"sqlite:///{tmp_path}/test.db", busy_seconds=0.1)


@pytest.mark.parametrize(
    "sql", ["SELECT", "SELECT x FROM nowhere", "INSERT INTO installation VALUES"]
)
def test_a_bug_keeps_its_traceback(database: Database, sql: str) -> None:
    """It is not reported as a fault of the disk."""
    with pytest.raises(DBAPIError), database.write() as tx:
        tx.exec_driver_sql(sql)


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    """Code that opens other files beside the database reports it too."""
    folder = tmp_path / "here"
    folder.mkdir()
    with Database(f"sqlite:///{folder}/test.db") as database:
        moved = folder.rename(tmp_path / "moved")
        with pytest.raises(StorageError), database.alone("saved"):
            pass
        with pytest.raises(DatabaseReplaced, match="moved away or deleted"):
            database.check_writable(0.1)
        moved.rename(folder)
        database.check_writable(0.1)


def test_check_writable_accepts_a_writable_database(database: Database) -> None:
    """The check is a separate transaction that changes nothing."""
    with database.read() as tx:
        before = installation.get(tx)
    database.check_writable(0.1)
    with database.read() as tx:
        assert installation.get(tx) == before
        database.check_writable(0.1)  # also while another connection reads
    with database.write(), pytest.raises(DatabaseLocked):
        database.check_writable(0.1)


def test_check_writable_reports_a_full_disk(tmp_path: Path) -> None:
    """The check works even if the write-ahead log has room for a small transaction."""
    with (
        small_disk(tmp_path / "disk", kilobytes=4_096) as disk,
        Database(f"sqlite:///{disk}/test.db") as database,
    ):
        database.check_writable(0.1)
        fill(disk)
        with pytest.raises(DiskFull, match="no room left"):
            database.check_writable(0.1)
        (disk / "filler").unlink()
        database.check_writable(0.1)


def test_replacing_an_open_database_is_reported(tmp_path: Path) -> None:
    """Otherwise data would be written to a file that no path leads to, and be lost."""
    with Database(f"sqlite:///{tmp_path}/test.db") as database:
        database.check_file()
        database.file.rename(tmp_path / "away.db")
        with pytest.raises(DatabaseReplaced, match="moved away or deleted"):
            database.check_file()
        with Database(f"sqlite:///{tmp_path}/test.db"):
            with pytest.raises(DatabaseReplaced, match="another file is in its place"):
                database.check_file()
            with pytest.raises(DatabaseReplaced):
                database.check_writable(0.1)


def test_a_time_without_time_zone_is_rejected(database: Database) -> None:
    """Times are timezone-aware, and are read back in UTC."""
    with pytest.raises(StatementError), database.write() as tx:
        source = sources.ensure(tx, "s")
        sources.note_failure(tx, source.id, datetime(2026, 1, 1), "no")  # noqa: DTZ001
    east = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    with database.write() as tx:
        sources.note_failure(tx, sources.ensure(tx, "s").id, east, "no")
        (fares,) = sources.all_status(tx)
    assert fares.failing_since == datetime(2026, 1, 1, 7, tzinfo=UTC)


def test_an_edition_is_frozen_once(database: Database) -> None:
    """Freezing the same key again keeps the first content."""
    first, second = Rendered("s", "<p>1</p>", "1"), Rendered("s", "<p>2</p>", "2")
    key = editions.key_of([1, 2], "en", "default", "look")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    frozen = []
    for rendered in (first, second):
        with database.write() as tx:
            frozen.append(editions.freeze(tx, key, [1, 2], "en", "default", [rendered], at))
    assert frozen[0].id == frozen[1].id
    with database.read() as tx:
        assert editions.content(tx, frozen[0].id).parts == (first,)


def test_the_key_of_an_edition_depends_on_all_its_inputs() -> None:
    """Other papers, order, language, theme or appearance make another edition."""
    keys = {
        editions.key_of([1, 2], "en", "default", "look"),
        editions.key_of([2, 1], "en", "default", "look"),
        editions.key_of([1], "en", "default", "look"),
        editions.key_of([1, 2], "de", "default", "look"),
        editions.key_of([1, 2], "en", "plain", "look"),
        editions.key_of([1, 2], "en", "default", "other"),
    }
    assert len(keys) == 6


def test_opening_during_a_restore_opens_the_restored_database(tmp_path: Path) -> None:
    """It waits for the restore, and then uses the new file."""
    path, fresh = tmp_path / "papers.db", tmp_path / "fresh.db"
    for one in (path, fresh):
        Database(f"sqlite:///{one}").close()
    opened: list[Database] = []
    with locks.exclusive_use(path):
        thread = threading.Thread(target=lambda: opened.append(Database(f"sqlite:///{path}")))
        thread.start()
        while not _is_waited_for(path.with_name("papers.db.use.lock")):
            time.sleep(0.01)
        fresh.replace(path)
    thread.join(60)
    with opened[0] as database:
        database.check_file()
        database.check_writable(1.0)


def _is_waited_for(lock: Path) -> bool:
    """Whether a thread or process is waiting for the lock on this file."""
    inode = f":{lock.stat().st_ino} "
    lines = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and inode in line for line in lines)
