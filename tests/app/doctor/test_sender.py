"""The check of the sender."""

from __future__ import annotations

from pathlib import Path

from tests.support.doctor import HOME, configure, findings


def test_sender_address_and_way_to_unsubscribe(tmp_path: Path) -> None:
    """A sender at a reserved domain, and a base URL that others cannot reach, are reported."""
    configure(
        tmp_path,
        newsletter={"sender": "a@example.org", "base_url": "http://localhost:8000"},
        delivery={"transport": "smtp"},
        transports_smtp={"host": "smtp.relay.quay"},
    )
    sender, leave = findings(tmp_path)["sender"]
    assert "no server accepts mail from example.org" in sender.what
    assert "only this machine reaches" in leave.what
    configure(tmp_path, newsletter={"base_url": ""})
    assert findings(tmp_path)["sender"][1].what == f"Unsubscribe writes to owner@{HOME}"
