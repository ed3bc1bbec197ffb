"""What tests share: the real captures beside the checkout, and a database on a real file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from newsletter.storage.database import Database

SOAK = bool(os.environ.get("SOAK"))
"""The long size of every check: `make soak`."""

SNAPSHOTS = Path(__file__).parents[2] / "shared" / "snapshots"

# Fixed seeds here, free ones in the soak: a red test must be red again.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, database=None)
hypothesis.settings.register_profile(
    "soak", derandomize=False, deadline=None, database=None, max_examples=5_000
)
hypothesis.settings.load_profile("soak" if SOAK else "ci")


def real_captures(folder: str) -> Path:
    """The folder of real captures; without it, a failure in CI and a skip elsewhere."""
    path = SNAPSHOTS / folder
    if not path.exists():
        if os.environ.get("CI"):
            pytest.fail(f"the real captures are missing: {path}")
        pytest.skip(f"no real captures here ({folder}): they are not part of the repository")
    return path


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty database on a real file."""
    with Database(f"sqlite:///{tmp_path}/test.db") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the machine's own configuration, and a folder of its own to stand in."""
    for name in list(os.environ):
        if name.startswith("NEWSLETTER"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
