"""Folders of saved pages: what is still being written is not taken for a page."""

from __future__ import annotations

import os
from pathlib import Path

from newsletter.errors import SourceError
from newsletter.sources.files import RESTED, FolderSource

NOW = 1_800_000_000.0


class Place:
    """A folder, and a clock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = NOW
        self.waited: list[float] = []
        self.busy: list[str] = []
        """Files that go on being written while somebody waits."""

    def write(self, name: str, age: float) -> None:
        """A file that was changed so many seconds ago."""
        file = self.path / name
        file.write_text(name)
        os.utime(file, (self.now - age, self.now - age))

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.waited.append(seconds)
        self.now += seconds
        for name in self.busy:
            self.write(name, 0.5)

    def taken(self, *, waits: bool) -> list[str]:
        """What is taken in, and what is said of the others."""
        source = FolderSource(
            self.path,
            rested=RESTED,
            wait=self.wait if waits else None,
            clock=lambda: self.now,
        )
        return [
            str(one) if isinstance(one, SourceError) else one.data.decode()
            for one in source.captures()
        ]


def test_what_does_not_rest_is_left_for_the_next_time(tmp_path: Path) -> None:
    """A service looks again by itself."""
    place = Place(tmp_path)
    place.write("a", RESTED)
    place.write("b", RESTED - 0.5)
    place.write("c", -60.0)  # by a clock that was wrong
    assert place.taken(waits=False) == ["a", "c"]


def test_who_runs_once_waits_until_it_rests(tmp_path: Path) -> None:
    """Until the newest of them does, and not at all when all do."""
    place = Place(tmp_path)
    place.write("a", 1.5)
    place.write("b", 0.5)
    assert place.taken(waits=True) == ["a", "b"]
    assert place.waited == [1.5]
    assert place.taken(waits=True) == ["a", "b"]
    assert place.waited == [1.5]


def test_what_is_written_all_the_time_is_said(tmp_path: Path) -> None:
    """The others go."""
    place = Place(tmp_path)
    place.write("a", 0.0)
    place.write("b", 0.0)
    place.busy = ["b"]
    taken, said = place.taken(waits=True)
    assert taken == "a"
    assert "still being written" in said
