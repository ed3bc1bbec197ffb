"""Cuts a message at the values that differ between recipients, and fills them in. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_BREAK = "(?:=\r?\n)?"  # an optional soft line break of quoted-printable


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of a recipient's value: which field, and which part of it."""

    field: str
    first: int = 0
    last: int | None = None


Parts = Sequence[bytes | Slot]
"""A message, cut at the values that differ between recipients."""


def cut(data: bytes, values: Mapping[str, str]) -> list[bytes | Slot]:
    """Cuts the data at these values, each of which may contain one soft line break.

    Args:
        values: the value of each field in this data; empty ones are not looked for.
    """
    patterns = (
        f"(?P<{field}>{_BREAK.join(map(re.escape, value))})"
        for field, value in values.items()
        if value
    )
    finder = re.compile("|".join(patterns).encode())
    parts: list[bytes | Slot] = []
    end = 0
    for match in finder.finditer(data):
        parts.append(data[end : match.start()])
        parts += _slots(str(match.lastgroup), match[0])
        end = match.end()
    parts.append(data[end:])
    return parts


def fill(parts: Parts, values: Mapping[str, bytes]) -> list[bytes]:
    """Returns the pieces with a recipient's values; uncut pieces are always the same objects."""
    return [
        part if isinstance(part, bytes) else values[part.field][part.first : part.last]
        for part in parts
    ]


def _slots(field: str, found: bytes) -> Iterable[bytes | Slot]:
    """Yields the slots of a value found in the message: one, or two around a soft line break."""
    halves = re.split(rb"(=\r?\n)", found)
    first = 0
    for half in halves:
        if half.startswith(b"="):
            yield half
        else:
            yield Slot(field, first, first + len(half) if len(halves) > 1 else None)
            first += len(half)
