"""Parses captures like the program, except those whose bytes request hostile behaviour.

It replaces `formats.read` in the process that parses: `Parsers(function=FUNCTION)`.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from datetime import date

from newsletter import formats
from newsletter.formats import Reading
from newsletter.models import DatedBy, Paper, Snapshot

FUNCTION = f"{__name__}:read"

SPINS = b"[spins"
"""Holds the interpreter's lock forever, as a bad regular expression does."""

EATS = b"[eats"
"""Uses more and more memory."""

ENDLESS = b"[endless"
"""Returns an endless sequence of papers."""

PRINTS = b"[prints"
"""Writes to the terminal forever."""

DIES = b"[dies"
"""Ends the process."""


class Endless(tuple[Paper, ...]):
    """An endless sequence of papers."""

    __slots__ = ()

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, at: object) -> tuple[Paper, ...]:  # type: ignore[override]
        return (Paper("Lanterns without end", abstract="We look. " * 100),) * 100

    def __iter__(self) -> Iterator[Paper]:
        while True:
            yield Paper("Lanterns without end")


def read(data: bytes, *, day: date | None, dated_by: DatedBy | None, format: str | None) -> Reading:
    """Behaves as the bytes request, or else like `formats.read`."""
    if data.startswith(SPINS):
        re.match(r"(a|a)*$", "a" * 100 + "b")
    if data.startswith(EATS):
        held = []
        while True:
            held.append(bytearray(2**24))
    while data.startswith(PRINTS):
        os.write(1, b"Lanterns! ")
        os.write(2, b"Lanterns! ")
    if data.startswith(DIES):
        os.kill(os.getpid(), signal.SIGKILL)
    if data.startswith(ENDLESS):
        return Reading("feed", "endless", Snapshot("feed", Endless()))
    return formats.read(data, day=day, dated_by=dated_by, format=format)
