"""Spools parsed snapshots in memory, and on disk when there are many.

A source's first ingest may be a folder that spans years. What it announces depends on all
of it, so everything is parsed before anything is settled, and nothing is parsed twice.
"""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import IO, Self, cast

from newsletter.errors import DiskFull
from newsletter.papers.snapshot_processing import Parsed

IN_MEMORY = 32 * 2**20
"""Bytes kept in memory; beyond that, everything moves to an unnamed temporary file."""


class ParsedSpool:
    """Parsed snapshots by snapshot id.

    Args:
        in_memory: bytes kept in memory.
    """

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        file = tempfile.SpooledTemporaryFile(in_memory)  # noqa: SIM115  # closed in `__exit__`
        self._file = cast("IO[bytes]", file)
        self._offsets: dict[int, int] = {}

    def through(self, parsed: Iterable[Parsed]) -> Iterator[Parsed]:
        """Stores each parsed snapshot and yields it.

        Raises:
            DiskFull: the temporary file cannot be written.
        """
        for one in parsed:
            with _in_words():
                self._offsets[one.row.id] = self._file.seek(0, os.SEEK_END)
                pickle.dump(one, self._file, pickle.HIGHEST_PROTOCOL)
            yield one

    def get(self, snapshot: int) -> Parsed:
        """Returns the stored snapshot with this id.

        Raises:
            DiskFull: the temporary file cannot be read.
        """
        with _in_words():
            self._file.seek(self._offsets[snapshot])
            found: Parsed = pickle.load(self._file)  # noqa: S301  # only we can write that file
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise DiskFull(
            f"cannot use a temporary file ({exc.strerror})",
            where=tempfile.gettempdir(),
            hint="make room there, or set TMPDIR; then run this again",
        ) from exc
