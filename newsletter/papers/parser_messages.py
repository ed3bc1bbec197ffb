"""Messages between the service and the parsing process: JSON, each preceded by its length.

They are plain data: even if a capture takes over the parsing process, no answer can run code here.
"""

from __future__ import annotations

import dataclasses
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from operator import attrgetter
from typing import Any

from newsletter.errors import SnapshotUnreadable, UsageError
from newsletter.formats import Reading
from newsletter.models import DatedBy, Paper, Snapshot

LENGTH = struct.Struct("!Q")
"""The length in bytes that precedes each message."""

_AT_ONCE = 100
"""Papers in one message: decoding one must not keep other threads waiting."""

_FIELDS = tuple(field.name for field in dataclasses.fields(Paper))
_values = attrgetter(*_FIELDS)
_DATES = [_FIELDS.index(name) for name in ("published_on", "listed_on")]
_TUPLES = [_FIELDS.index(name) for name in ("authors", "categories")]
_ERRORS = {"unreadable": SnapshotUnreadable, "usage": UsageError}


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """How to parse the bytes that follow this message; the arguments of `formats.read`."""

    day: date | None
    dated_by: DatedBy | None
    format: str | None

    def encoded(self) -> bytes:
        """Returns the message."""
        return _json([self.day, self.dated_by, self.format])

    @classmethod
    def decoded(cls, message: bytes) -> Request:
        """Returns the request in a message."""
        day, dated_by, name = json.loads(message)
        return cls(_date(day), DatedBy(dated_by) if dated_by else None, name)


def framed(message: bytes) -> bytes:
    """Returns a message with its length before it."""
    return LENGTH.pack(len(message)) + message


def result(reading: Reading) -> Iterator[bytes]:
    """Returns the messages of a result: the papers in portions, then the rest."""
    papers = reading.snapshot.papers
    for first in range(0, len(papers), _AT_ONCE):
        yield _json({"papers": [_values(paper) for paper in papers[first : first + _AT_ONCE]]})
    found = reading.snapshot
    yield _json(
        {
            "format": reading.format,
            "sign": reading.sign,
            "snapshot": [found.format, found.notes, found.doubts],
        }
    )


def refusal(error: SnapshotUnreadable | UsageError) -> bytes:
    """Returns the message that the capture cannot be parsed."""
    kind = "usage" if isinstance(error, UsageError) else "unreadable"
    return _json({"error": [kind, error.what, error.where, error.hint]})


OUT_OF_MEMORY = json.dumps({"memory": True}).encode()
"""The message that parsing needs more memory than it may use."""

GOES_ON = json.dumps({"goes_on": True}).encode()
ENDS = json.dumps({"goes_on": False}).encode()
"""The messages after each answer: whether the process takes another request."""

READY = json.dumps({"ready": True}).encode()
"""The message that the process has started."""


def papers_of(message: Mapping[str, Any]) -> Iterator[Paper]:
    """Returns the papers in one message."""
    for values in message.get("papers", ()):
        for at in _DATES:
            values[at] = _date(values[at])
        for at in _TUPLES:
            values[at] = tuple(values[at])
        yield Paper(*values)


def reading(message: Mapping[str, Any], papers: Sequence[Paper]) -> Reading:
    """Returns the result that the last message completes.

    Raises:
        SnapshotUnreadable: the message says so.
        UsageError: the message says so.
    """
    if error := message.get("error"):
        kind, what, where, hint = error
        raise _ERRORS[kind](what, where=where, hint=hint)
    name, notes, doubts = message["snapshot"]
    snapshot = Snapshot(name, tuple(papers), tuple(notes), tuple(doubts))
    return Reading(message["format"], message["sign"], snapshot)


def _json(value: object) -> bytes:
    return json.dumps(value, default=date.isoformat, separators=(",", ":")).encode()


def _date(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
