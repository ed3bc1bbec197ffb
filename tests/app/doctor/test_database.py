"""The check of the database."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from newsletter.app.doctor import database as database_check
from newsletter.app.doctor.findings import Level
from tests.support.doctor import configure, findings, ingest_sample


def test_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be opened, is verified unless it is too large, and is private."""
    configure(tmp_path)
    ingest_sample(tmp_path)
    (found,) = findings(tmp_path)["database"]
    assert found.what.endswith("undamaged")
    monkeypatch.setattr(database_check, "_MAX_INTEGRITY_CHECK", 10)
    (tmp_path / "newsletter.db").chmod(0o644)
    opened, large = findings(tmp_path)["database"]
    assert "others could read" in opened.what
    assert "too large to be looked through" in large.what
    monkeypatch.setattr(database_check, "_MIN_FREE_SPACE", 10**18)
    tmp_path.chmod(0o777)
    folder, room, _ = findings(tmp_path)["database"]
    assert "may replace" in folder.what
    assert room.hint == "make room"


def test_a_damaged_database(tmp_path: Path) -> None:
    """Damage is found early, and the other checks still run."""
    configure(tmp_path)
    ingest_sample(tmp_path)
    file = tmp_path / "newsletter.db"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'blobs'"
        ).fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.close()
    content = bytearray(file.read_bytes())
    content[(page - 1) * size : (page - 1) * size + 200] = b"\xff" * 200
    file.write_bytes(content)
    found = findings(tmp_path)
    assert found["database"][-1].level is Level.FAILURE
    assert "damaged" in found["database"][-1].what
    assert "restore a backup" in found["database"][-1].hint
    assert found["clock"][0].level is Level.OK


def test_an_older_copy(tmp_path: Path) -> None:
    """The message says that nothing is sent from it, and what to do."""
    configure(tmp_path)
    ingest_sample(tmp_path)
    (tmp_path / "newsletter.db.generation").write_text(f"{7:020}\n")
    found = findings(tmp_path)["database"][-1]
    assert found.level is Level.FAILURE
    assert "this database is older" in found.what
    assert "newsletter restored" in found.hint


def test_a_database_that_is_not_ours(tmp_path: Path) -> None:
    """Nor is a database of an unsupported kind."""
    configure(tmp_path)
    (tmp_path / "newsletter.db").write_text("Dear diary, " * 20)
    (found,) = findings(tmp_path)["database"]
    assert found.level is Level.FAILURE
    url = "postgresql+psycopg://papers:moonlight@db.quay/papers"
    configure(tmp_path, database={"url": url})
    (found,) = findings(tmp_path)["database"]
    assert found.level is Level.FAILURE
    assert "moonlight" not in found.what
