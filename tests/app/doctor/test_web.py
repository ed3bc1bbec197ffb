"""The check of the web pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from newsletter.app.doctor.findings import Level
from tests.support.doctor import configure, findings


@pytest.mark.parametrize(
    ("base_url", "web", "level", "says"),
    [
        ("", {}, Level.OK, "to this machine only"),
        ("https://papers.example.org", {"trusted_hops": 0}, Level.WARNING, "only visitor"),
        ("https://papers.example.org", {}, Level.OK, "answers for"),
        (
            "https://papers.example.org",
            {"host": "192.0.2.1", "trusted_hops": 0},
            Level.OK,
            "192.0.2.1:8000",
        ),
        ("http://localhost:8000", {}, Level.OK, "answers for"),
    ],
)
def test_the_pages(
    tmp_path: Path, base_url: str, web: dict[str, object], level: Level, says: str
) -> None:
    """A web server in front of the pages needs `trusted_hops`."""
    configure(tmp_path, newsletter={"base_url": base_url}, web=web)
    (found,) = findings(tmp_path)["web"]
    assert (found.level, says in found.what) == (level, True)
