"""A capture looked into: what was recognised, by which sign. Keeps and announces nothing."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from newsletter import formats
from newsletter.errors import SourceError
from newsletter.models import Snapshot
from newsletter.sources.files import read
from newsletter.sources.stdin import STANDARD_INPUT, StdinSource


def inspect(place: str, format: str | None) -> tuple[str, str, Snapshot]:  # noqa: A002
    """The format of a file or of standard input, the sign it was recognised by, its papers.

    Raises:
        SourceError: it cannot be read.
        SnapshotUnreadable: no format knows it, or no list is found.
        UsageError: there is no such format.
    """
    if place == STANDARD_INPUT:
        source = StdinSource(sys.stdin.buffer, lambda: datetime.now(UTC))
        (found,) = source.captures()
    else:
        found = read(Path(place))
    if isinstance(found, SourceError):
        raise found
    document = formats.Document(found.data, found.day, found.dated_by)
    chosen, sign = (formats.named(format), "asked for") if format else formats.sniff(document)
    snapshot = formats.parse(found.data, day=found.day, dated_by=found.dated_by, format=chosen.name)
    return chosen.name, sign, snapshot
