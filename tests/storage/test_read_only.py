"""Reading a database without changing it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from newsletter.errors import DatabaseMissing, StorageError
from newsletter.storage import sources
from newsletter.storage.database import Database
from newsletter.storage.read_only import read_only
from tests.support.databases import new_database


def names(path: Path) -> list[str]:
    """Returns the names of the sources in the database."""
    with read_only(f"sqlite:///{path}") as tx:
        return list(sources.names(tx))


def files(folder: Path) -> dict[str, bytes]:
    """Returns the content of all files in a folder, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_reading_changes_no_file(tmp_path: Path) -> None:
    """No file is changed, and none is created beside it, whatever its name."""
    path = tmp_path / "a? #%41.db"
    with new_database(path) as database, database.write() as tx:
        sources.ensure(tx, "a")
    before = files(tmp_path)
    assert names(path) == ["a"]
    assert files(tmp_path) == before


def test_reading_sees_data_in_the_write_ahead_log(database: Database) -> None:
    """Another process has the database open and has written the data."""
    with database.write() as tx:
        sources.ensure(tx, "a")
    assert names(database.file) == ["a"]


def test_a_read_only_database_cannot_be_written(database: Database) -> None:
    """Every writing statement fails."""
    with pytest.raises(StorageError), read_only(f"sqlite:///{database.file}") as tx:
        sources.ensure(tx, "a")


def test_reading_creates_no_database(tmp_path: Path) -> None:
    """If the file is missing, an error is raised."""
    with pytest.raises(DatabaseMissing):
        names(tmp_path / "a.db")
    assert files(tmp_path) == {}


@pytest.mark.parametrize("statement", ["UPDATE alembic_version SET version_num = '0'", None])
def test_reading_does_not_migrate_or_accept_other_databases(
    statement: str | None, tmp_path: Path
) -> None:
    """A database of another version or another program is refused."""
    path = tmp_path / "a.db"
    if statement:
        new_database(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(statement or "CREATE TABLE theirs (id)")
    before = files(tmp_path)
    with pytest.raises(StorageError, match="not a database of this version"):
        names(path)
    assert files(tmp_path) == before


def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    """The error is one of ours."""
    (tmp_path / "a.db").write_bytes(b"a letter" * 200)
    with pytest.raises(StorageError, match="not a database"):
        names(tmp_path / "a.db")
