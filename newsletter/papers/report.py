"""What becomes of captures, one report for each."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Connection

from newsletter.errors import NewsletterError, SourceError, StorageError
from newsletter.models import Counts, Entry, SnapshotState
from newsletter.sources import Captured
from newsletter.storage import log
from newsletter.storage.snapshots import SnapshotRow


@dataclass(frozen=True, slots=True)
class CaptureReport:
    """What became of one capture.

    Attributes:
        origin: its path or URL.
        snapshot: its number; `None` when nothing could be kept.
        held: why nothing was announced, if it waits for the operator or failed.
        new: the announced papers, in log order.
        unchanged: the source gave the same bytes before; nothing was parsed.
        unstored: the database could not take it for the moment; it may soon.
    """

    origin: str
    source: str = ""
    snapshot: int | None = None
    format: str | None = None
    counts: Counts = field(default_factory=Counts)
    held: str | None = None
    new: tuple[Entry, ...] = ()
    notes: tuple[str, ...] = ()
    unchanged: bool = False
    unstored: bool = False


def report(tx: Connection, row: SnapshotRow) -> CaptureReport:
    """Of a snapshot that is settled."""
    return CaptureReport(
        origin=row.origin,
        source=row.source,
        snapshot=row.id,
        format=row.format,
        counts=row.counts,
        held=row.reason if row.state is SnapshotState.HELD else None,
        new=tuple(log.new_entries(tx, snapshot=row.id)),
        notes=row.notes,
    )


def unchanged(same: SnapshotRow, origin: str) -> CaptureReport:
    """Of a capture with the bytes of an earlier one."""
    return CaptureReport(
        origin=origin,
        source=same.source,
        snapshot=same.id,
        format=same.format,
        counts=Counts(papers=same.counts.papers),
        held=same.reason if same.state is SnapshotState.HELD else None,
        unchanged=True,
    )


def failed(
    source: str, origin: str, error: NewsletterError, snapshot: int | None = None
) -> CaptureReport:
    """Of a capture that could not be had, kept or settled."""
    unstored = isinstance(error, StorageError) and error.may_pass
    return CaptureReport(
        origin=origin, source=source, snapshot=snapshot, held=str(error), unstored=unstored
    )


def origin(one: Captured) -> str:
    """The path or URL it came from, or should have."""
    return one.origin or one.where if isinstance(one, SourceError) else one.origin
