"""Fixtures shared by the tests of the promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.newsroom import Newsroom
from tests.support.sending import PEOPLE


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A newsletter with subscribers and papers that has never run."""
    room = Newsroom(tmp_path_factory.mktemp("template") / "room", 1)
    room.subscribe(PEOPLE)
    for _ in range(3):
        room.add_papers(40)
    return room.folder
