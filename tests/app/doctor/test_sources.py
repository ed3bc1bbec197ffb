"""The checks of the sources and the subscribers."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from newsletter.app.doctor.findings import Level
from newsletter.app.source_places import unusable_places
from newsletter.config.schema import SourceSection
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
    file.write_text(file.read_text() + "allow_private = true\n")
    shutil.rmtree(tmp_path / "captures")
    gone, stale = findings(tmp_path)["sources"]
    assert gone.level is Level.WARNING
    assert gone.what == f"saved: {tmp_path}/captures does not exist"
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


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("http://localhost:8080/papers?date={date}", "a loopback address"),
        ("http://feeds.localhost./", "a loopback address"),
        ("http://[::1]/papers", "a loopback address"),
        ("http://127.1/papers", "a loopback address"),
        ("https://192.168.1.20/papers", "a private address"),
        ("https://[fd00::1]/papers", "a private address"),
        ("https://169.254.1.1/", "a link-local address"),
        ("https://papers.example.org/", ""),
        ("https://1.1.1.1/", ""),
    ],
)
def test_a_url_that_leads_to_a_private_address(url: str, kind: str) -> None:
    """It is noticed before the first request, unless private addresses are allowed."""
    found = unusable_places([SourceSection(name="near", url=url)])
    assert [one.what for one in found] == (
        [f"its URL leads to {kind}, to which no request is made"] if kind else []
    )
    assert all("allow_private = true" in one.hint for one in found)
    assert unusable_places([SourceSection(name="near", url=url, allow_private=True)]) == []


def test_a_private_url_is_a_warning(tmp_path: Path) -> None:
    """Before the source was ever asked."""
    file = configure(tmp_path)
    file.write_text(
        file.read_text() + '[[sources]]\nname = "near"\nurl = "http://10.0.0.7/papers"\n'
    )
    (found,) = [one for one in findings(tmp_path)["sources"] if "near" in one.what]
    assert found.level is Level.WARNING
    assert found.what == "near: its URL leads to a private address, to which no request is made"
