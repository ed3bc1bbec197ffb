"""The checks of the transports that need no mail server."""

from __future__ import annotations

from pathlib import Path

from newsletter.app.doctor.findings import Level
from tests.support.doctor import configure, findings


def test_folders_for_mail(tmp_path: Path) -> None:
    """A folder yet to be created, a file in its place, and none; the check creates nothing."""
    configure(tmp_path)
    assert findings(tmp_path)["eml"][0].level is Level.OK
    assert not (tmp_path / "outbox").exists()
    (tmp_path / "outbox").write_text("no folder")
    assert findings(tmp_path)["eml"][0].level is Level.FAILURE
    configure(tmp_path, delivery={"transport": "null"})
    assert findings(tmp_path)["null"][0].level is Level.WARNING
