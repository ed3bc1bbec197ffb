"""The check that sends a test message."""

from __future__ import annotations

from pathlib import Path

from newsletter.app.doctor.context import Options
from newsletter.app.doctor.findings import Level
from newsletter.subscribers.address import parse_address
from tests.support.doctor import configure, findings


def test_a_test_mail_needs_a_database(tmp_path: Path) -> None:
    """Deliveries are counted there."""
    configure(tmp_path, newsletter={"sender": "a@lab.test"})
    (found,) = findings(tmp_path, Options(test_recipient=parse_address("mira@inbox.quay")))["test"]
    assert found.level is Level.FAILURE
