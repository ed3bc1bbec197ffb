"""Reading a database without touching it."""

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
    """The sources in the database."""
    with read_only(f"sqlite:///{path}") as tx:
        return list(sources.names(tx))


def files(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_it_leaves_everything_as_it_is(tmp_path: Path) -> None:
    """No file is changed, and none is made beside it; whatever its name."""
    path = tmp_path / "a? #%41.db"
    with new_database(path) as database, database.write() as tx:
        sources.ensure(tx, "a")
    before = files(tmp_path)
    assert names(path) == ["a"]
    assert files(tmp_path) == before


def test_it_sees_what_a_process_that_has_it_open_has_written(database: Database) -> None:
    """What is in the write-ahead log counts."""
    with database.write() as tx:
        sources.ensure(tx, "a")
    assert names(database.file) == ["a"]


def test_it_cannot_write(database: Database) -> None:
    """Whatever is asked of it."""
    with pytest.raises(StorageError), read_only(f"sqlite:///{database.file}") as tx:
        sources.ensure(tx, "a")


def test_it_makes_no_database(tmp_path: Path) -> None:
    """Where there is none."""
    with pytest.raises(DatabaseMissing):
        names(tmp_path / "a.db")
    assert files(tmp_path) == {}


@pytest.mark.parametrize("statement", ["UPDATE alembic_version SET version_num = '0'", None])
def test_it_migrates_no_database(statement: str | None, tmp_path: Path) -> None:
    """Of another version, or of another program."""
    path = tmp_path / "a.db"
    if statement:
        new_database(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(statement or "CREATE TABLE theirs (id)")
    before = files(tmp_path)
    with pytest.raises(StorageError, match="not a database of this version"):
        names(path)
    assert files(tmp_path) == before


def test_what_is_no_database_is_said(tmp_path: Path) -> None:
    """As an error of ours."""
    (tmp_path / "a.db").write_bytes(b"a letter" * 200)
    with pytest.raises(StorageError, match="no database"):
        names(tmp_path / "a.db")
