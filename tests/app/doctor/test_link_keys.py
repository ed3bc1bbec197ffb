"""The check of the keys that links are signed with."""

from __future__ import annotations

from pathlib import Path

from newsletter.app.doctor.findings import Level
from tests.support.doctor import configure, findings


def test_a_short_key(tmp_path: Path) -> None:
    """It is not displayed."""
    configure(tmp_path, web={"secret_keys": ["x" * 32, "lantern"]})
    (found,) = findings(tmp_path)["secrets"]
    assert found.level is Level.WARNING
    assert "lantern" not in found.what + found.hint
    configure(tmp_path, web={"secret_keys": ["x" * 32]})
    assert findings(tmp_path)["secrets"][0].level is Level.OK
