"""Reports on captures: one for each, with its result."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Connection

from newsletter.errors import NewsletterError, SourceError, StorageError
from newsletter.masks import masked, masked_url
from newsletter.models import Counts, Entry, SnapshotState
from newsletter.papers import reading_time
from newsletter.sources import Captured
from newsletter.storage import log
from newsletter.storage.snapshots import SnapshotRow


@dataclass(frozen=True, slots=True)
class CaptureReport:
    """The result of one capture, for display: the secrets of its URL are masked.

    Attributes:
        origin: its path or URL.
        snapshot: id of its snapshot, or `None` if nothing could be stored.
        held: why nothing was announced, if it is held for review or failed.
        new: the announced papers, in log order.
        unchanged: the source returned the same bytes before; nothing was parsed.
        unstored: the database could not store it; a retry may succeed.
        postponed: it is stored and waits for the source's next round.
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
    postponed: bool = False

    def __post_init__(self) -> None:
        """Masks secrets, so that no display of a report can leak them."""
        object.__setattr__(self, "origin", masked_url(self.origin))
        object.__setattr__(self, "held", masked(self.held) if self.held else self.held)
        object.__setattr__(self, "notes", tuple(map(masked, self.notes)))


def report(tx: Connection, row: SnapshotRow, *, after: int = 0) -> CaptureReport:
    """Returns the report of a settled snapshot, with its entries after a position of the log."""
    return CaptureReport(
        origin=row.origin,
        source=row.source,
        snapshot=row.id,
        format=row.format,
        counts=row.counts,
        held=row.reason if row.state is SnapshotState.HELD else None,
        new=tuple(log.new_entries(tx, after=after, snapshot=row.id)),
        notes=row.notes,
    )


def unchanged(same: SnapshotRow, origin: str) -> CaptureReport:
    """Returns the report of a capture whose bytes are those of an earlier snapshot."""
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
    """Returns the report of a capture that could not be fetched, stored or settled."""
    unstored = isinstance(error, StorageError) and error.may_pass
    return CaptureReport(
        origin=origin, source=source, snapshot=snapshot, held=str(error), unstored=unstored
    )


def postponed(row: SnapshotRow) -> CaptureReport:
    """Returns the report of a stored capture that the source has no time left to parse."""
    return CaptureReport(
        origin=row.origin,
        source=row.source,
        snapshot=row.id,
        held=f"not read yet: reading other captures of its source took {reading_time.SECONDS:g} s; "
        "the next `newsletter ingest` or a running service reads it",
        postponed=True,
    )


def origin(one: Captured) -> str:
    """Returns the path or URL of a capture or, after an error, the one requested."""
    return one.origin or one.where if isinstance(one, SourceError) else one.origin
