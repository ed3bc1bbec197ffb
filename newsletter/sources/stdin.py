"""A capture read from standard input."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import BinaryIO

from newsletter.errors import SourceError, SourceUnreadable
from newsletter.models import Capture
from newsletter.sources.files import MAX_BYTES

NAME = "standard input"

STANDARD_INPUT = "-"
"""The name of standard input on the command line."""


class StdinSource:
    """A capture from a stream.

    Args:
        stream: the stream; `None` if standard input is closed.
        clock: returns the current instant, aware.
    """

    def __init__(self, stream: BinaryIO | None, clock: Callable[[], datetime]) -> None:
        self._stream = stream
        self._clock = clock

    def captures(self) -> Iterator[Capture | SourceError]:
        """Yields the whole stream as one capture, or the error."""
        if self._stream is None:
            yield SourceUnreadable("it is closed", where=NAME, hint="pipe a capture in")
            return
        data = self._stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            yield SourceUnreadable(
                f"more than {MAX_BYTES:,} bytes", where=NAME, hint="it is not a capture of a page"
            )
        else:
            yield Capture(data, NAME, self._clock())


def standard_input() -> BinaryIO | None:
    """Returns standard input as bytes, or `None` if it is closed."""
    return sys.stdin.buffer if sys.stdin else None
