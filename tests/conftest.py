"""Fixtures for all tests, and how much hypothesis tries."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from playwright.sync_api import Browser

from newsletter.storage.database import Database
from tests.support.browser import chromium
from tests.support.databases import new_database
from tests.support.soak import SOAK

# Fixed seeds here, free ones in the soak: a red test must be red again.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, database=None)
hypothesis.settings.register_profile(
    "soak", derandomize=False, deadline=None, database=None, max_examples=5_000
)
hypothesis.settings.load_profile("soak" if SOAK else "ci")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What only the long run has is left out of the others."""
    if SOAK:
        return
    left_out = [item for item in items if item.get_closest_marker("soak")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("soak")]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty database on a real file."""
    with new_database(tmp_path / "test.db") as opened:
        yield opened


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser; for one module, as its event loop is in the way of others."""
    with chromium() as opened:
        yield opened


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the machine's own configuration, and a folder of its own to stand in."""
    for name in list(os.environ):
        if name.startswith("NEWSLETTER"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
