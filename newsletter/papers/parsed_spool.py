"""Spools parsed snapshots in memory, and on disk when there are many.

A source's first ingest may be a folder that spans years. What it announces depends on all
of it, so everything is parsed before anything is settled. Nothing is parsed twice, unless there
is no room to keep it: a full disk must not prevent an ingest.
"""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import IO, Self, cast

from newsletter.papers.snapshot_processing import Parsed

IN_MEMORY = 32 * 2**20
"""Bytes kept in memory; beyond that, everything moves to an unnamed temporary file."""


class ParsedSpool:
    """Parsed snapshots by snapshot id.

    Args:
        in_memory: bytes kept in memory.
    """

    def __init__(self, in_memory: int | None = None) -> None:
        file = tempfile.SpooledTemporaryFile(in_memory or IN_MEMORY)  # noqa: SIM115  # closed in `__exit__`
        self._file = cast("IO[bytes]", file)
        self._offsets: dict[int, int] = {}
        self._is_full = False

    def through(self, parsed: Iterable[Parsed]) -> Iterator[Parsed]:
        """Stores each parsed snapshot, while there is room for it, and yields it."""
        for one in parsed:
            self._store(one)
            yield one

    def get(self, snapshot: int) -> Parsed | None:
        """Returns the stored snapshot with this id; `None` if there was no room for it."""
        try:
            self._file.seek(self._offsets[snapshot])
            found: Parsed = pickle.load(self._file)  # noqa: S301  # only we can write that file
        except (KeyError, OSError, EOFError, pickle.UnpicklingError):
            return None
        return found

    def _store(self, one: Parsed) -> None:
        if self._is_full:
            return
        try:
            offset = self._file.seek(0, os.SEEK_END)
            pickle.dump(one, self._file, pickle.HIGHEST_PROTOCOL)
            self._file.flush()
        except OSError:  # no room, or no temporary folder
            self._is_full = True
        else:
            self._offsets[one.row.id] = offset

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # closing tries to write the rest once more
            self._file.close()
