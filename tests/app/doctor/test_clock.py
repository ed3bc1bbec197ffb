"""The check of the clock, the time zone and the schedule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from newsletter.app.composition import App
from newsletter.app.doctor import clock as clock_check
from newsletter.app.doctor.findings import Level
from newsletter.config.file import load_config
from tests.support.doctor import NOW, configure, findings, ingest_sample


def test_the_clock_and_the_next_due_time(tmp_path: Path) -> None:
    """In the newsletter's zone; a clock that went back or was never set is an error."""
    configure(tmp_path, newsletter={"time_zone": "Asia/Tokyo"})
    ingest_sample(tmp_path, at=NOW)
    says, due = findings(tmp_path)["clock"]
    assert "2026-11-20 12:00 UTC, 21:00 in Asia/Tokyo" in says.what
    assert due.what == "the next is due on Saturday 2026-11-21 07:30 in Asia/Tokyo"
    late = findings(tmp_path, at=NOW + timedelta(days=2))["clock"][1]
    assert late.level is Level.WARNING
    assert "newsletter serve" in late.hint
    back = findings(tmp_path, at=NOW - timedelta(days=2))["clock"][1]
    assert back.level is Level.FAILURE
    assert "newsletter continue" in back.hint
    assert (
        findings(tmp_path, at=datetime(1970, 1, 1, tzinfo=UTC))["clock"][0].level is Level.FAILURE
    )


def test_paused_sending(tmp_path: Path) -> None:
    """The command that resumes it is named, and no subscriber is called overdue."""
    configure(tmp_path)
    ingest_sample(tmp_path, at=NOW)
    app = App(load_config(None), clock=lambda: NOW)
    app.sending.pause()
    app.close()
    found = findings(tmp_path, at=NOW + timedelta(days=2))["clock"]
    assert [one.level for one in found] == [Level.OK, Level.WARNING, Level.OK]
    assert "newsletter continue" in found[1].hint


def test_a_zone_that_cannot_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package to install is named."""
    configure(tmp_path)

    def gone(key: str) -> None:
        raise KeyError(key)

    monkeypatch.setattr(clock_check, "ZoneInfo", gone)
    (found,) = findings(tmp_path)["clock"]
    assert found.level is Level.FAILURE
    assert "tzdata" in found.hint
