"""Folders of saved pages: a file that is still being written is not ingested."""

from __future__ import annotations

import os
from pathlib import Path

from newsletter.errors import SourceError
from newsletter.sources.files import RESTED, FolderSource

NOW = 1_800_000_000.0


class Place:
    """A folder with a clock of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = NOW
        self.waited: list[float] = []
        self.busy: list[str] = []
        """Files that are still being written during a wait."""

    def write(self, name: str, age: float) -> None:
        """Writes a file, last changed `age` seconds ago."""
        file = self.path / name
        file.write_text(name)
        os.utime(file, (self.now - age, self.now - age))

    def wait(self, seconds: float) -> None:
        """Lets time pass."""
        self.waited.append(seconds)
        self.now += seconds
        for name in self.busy:
            self.write(name, 0.5)

    def taken(self, *, waits: bool) -> list[str]:
        """Returns the content of the files read, and the errors of the others."""
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


def test_recently_changed_files_are_left_for_the_next_run(tmp_path: Path) -> None:
    """Without `wait`, as in a service, which checks again later."""
    place = Place(tmp_path)
    place.write("a", RESTED)
    place.write("b", RESTED - 0.5)
    place.write("c", -60.0)  # in the future, by a wrong clock
    assert place.taken(waits=False) == ["a", "c"]


def test_a_single_run_waits_for_recently_changed_files(tmp_path: Path) -> None:
    """It waits until the newest has rested, and not at all if all have."""
    place = Place(tmp_path)
    place.write("a", 1.5)
    place.write("b", 0.5)
    assert place.taken(waits=True) == ["a", "b"]
    assert place.waited == [1.5]
    assert place.taken(waits=True) == ["a", "b"]
    assert place.waited == [1.5]


def test_a_file_that_keeps_changing_is_reported(tmp_path: Path) -> None:
    """The other files are ingested."""
    place = Place(tmp_path)
    place.write("a", 0.0)
    place.write("b", 0.0)
    place.busy = ["b"]
    taken, said = place.taken(waits=True)
    assert taken == "a"
    assert "still being written" in said
