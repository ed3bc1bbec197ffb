"""The checks of the sources and the subscribers."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import timedelta
from pathlib import Path

from newsletter.app.doctor.findings import Level
from newsletter.storage.database import Database
from tests.support.doctor import NOW, configure, findings, ingest_sample


def test_sources(tmp_path: Path) -> None:
    """Never captured, no longer configured, failing, and not captured for days."""
    file = configure(tmp_path)
    url = "http://127.0.0.1:9/papers"
    file.write_text(file.read_text() + f'[[sources]]\nname = "far"\nurl = "{url}"\n')
    ingest_sample(tmp_path, at=NOW)
    saved, far = findings(tmp_path, at=NOW + timedelta(minutes=5))["sources"]
    assert saved.what == "saved: last captured 5 min ago"
    assert far.level is Level.WARNING
    assert "far fails since 2026-11-20 12:00 UTC" in far.what
    later = findings(tmp_path, at=NOW + timedelta(days=3))["sources"][1]
    assert later.level is Level.FAILURE
    with sqlite3.connect(tmp_path / "newsletter.db") as connection:
        connection.execute("UPDATE sources SET failing_since = NULL, captured_at = '2026-11-10'")
    connection.close()
    shutil.rmtree(tmp_path / "captures")
    gone, stale = findings(tmp_path)["sources"]
    assert gone.level is Level.FAILURE
    assert stale.level is Level.WARNING
    assert "last captured 10 days ago" in stale.what


def test_without_sources_and_subscribers(tmp_path: Path) -> None:
    """Nothing would ever be sent."""
    file = configure(tmp_path)
    file.write_text("[newsletter]" + file.read_text().partition("[newsletter]")[2])
    Database(f"sqlite:///{tmp_path}/newsletter.db").close()
    found = findings(tmp_path)
    assert "[[sources]]" in found["sources"][0].hint
    assert "newsletter subscribers add" in found["subscribers"][0].hint
