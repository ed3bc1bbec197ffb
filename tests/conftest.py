"""Fixtures for all tests, and the profiles of hypothesis."""

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

# Fixed seeds, so that a failure can be reproduced; random seeds only in the soak.
hypothesis.settings.register_profile(
    "ci", derandomize=True, deadline=None, database=None, max_examples=60
)
hypothesis.settings.register_profile(
    "soak", derandomize=False, deadline=None, database=None, max_examples=5_000
)
hypothesis.settings.load_profile("soak" if SOAK else "ci")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects the tests marked `soak`, except in `make soak`."""
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
    """A real browser, one per module because its event loop affects other tests."""
    with chromium() as opened:
        yield opened


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Removes the machine's own configuration, and changes to a temporary folder."""
    for name in list(os.environ):
        if name.startswith("NEWSLETTER"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
