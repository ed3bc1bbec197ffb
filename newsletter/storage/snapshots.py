"""Snapshots, their bytes and their states: SQL over `snapshots` and `blobs`."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select, update
from sqlalchemy.dialects.sqlite import insert

from newsletter.errors import UsageError
from newsletter.masks import masked
from newsletter.models import Capture, Counts, DatedBy, Snapshot, SnapshotState
from newsletter.storage.schema import blobs, snapshots, sources

HISTORY = 100
"""How many earlier snapshots determine a source's usual size."""


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """A snapshot as stored, without its bytes."""

    id: int
    source: str
    source_id: int
    origin: str
    captured_at: datetime
    day: date | None
    dated_by: DatedBy | None
    asked_format: str | None
    size: int
    state: SnapshotState
    reason: str | None
    format: str | None
    counts: Counts
    notes: tuple[str, ...]
    opening: bool
    attempts: int = 0


ATTEMPTS = 2
"""A snapshot is not parsed again by itself after this many attempts that never ended."""


def packed(capture: Capture) -> bytes:
    """Returns the capture's bytes as stored. Call it before the database is locked."""
    return zlib.compress(capture.data, 6)


def store(
    tx: Connection,
    source: int,
    capture: Capture,
    data: bytes | None = None,
    *,
    opening: bool,
    asked_format: str | None = None,
) -> int:
    """Stores a capture as a snapshot that is not processed yet. Returns its id.

    Args:
        tx: the transaction.
        source: the source's id.
        capture: the capture.
        data: its bytes, if already `packed`.
        opening: whether it is part of the source's first ingest.
        asked_format: the format to read it as; `None` to detect it.
    """
    digest = hashlib.sha256(capture.data).digest()
    content = insert(blobs).values(sha256=digest, data=data or packed(capture))
    tx.execute(content.on_conflict_do_nothing())
    added = tx.execute(
        insert(snapshots)
        .values(
            source_id=source,
            sha256=digest,
            size=len(capture.data),
            origin=capture.origin,
            captured_at=capture.captured_at,
            day=capture.day,
            dated_by=capture.dated_by,
            state=SnapshotState.CAPTURED,
            opening=opening,
            asked_format=asked_format,
        )
        .returning(snapshots.c.id)
    )
    return int(added.scalar_one())


def same_as(tx: Connection, source: int, capture: Capture, *, ever: bool) -> SnapshotRow | None:
    """Returns the source's newest snapshot if it has exactly these bytes; any one if `ever`.

    For a URL, the newest snapshot of that URL is compared too: a dated source has several URLs.
    """
    digest = hashlib.sha256(capture.data).digest()
    mine = _rows().where(snapshots.c.source_id == source).order_by(None)
    newest = mine.order_by(snapshots.c.id.desc()).limit(1)
    candidates = [newest.where(snapshots.c.sha256 == digest) if ever else newest]
    if "://" in capture.origin:
        candidates.append(newest.where(snapshots.c.origin == capture.origin))
    for query in candidates:
        found = tx.execute(query).one_or_none()
        if found and found.sha256 == digest:
            return _snapshot(found)
    return None


def newest_of(tx: Connection, source: int, origin: str) -> SnapshotRow | None:
    """Returns the newest snapshot from this path or URL, or `None`."""
    mine = _rows().where(snapshots.c.source_id == source, snapshots.c.origin == origin)
    newest = mine.order_by(None).order_by(snapshots.c.id.desc()).limit(1)
    found = tx.execute(newest).one_or_none()
    return _snapshot(found) if found else None


def unfinished(tx: Connection, source: int) -> list[SnapshotRow]:
    """Returns the source's snapshots that are stored but whose papers are not in the log yet."""
    waiting = snapshots.c.state == SnapshotState.CAPTURED
    rows = tx.execute(_rows().where(snapshots.c.source_id == source, waiting))
    return [_snapshot(row) for row in rows]


def get(tx: Connection, snapshot: int) -> SnapshotRow:
    """Returns the snapshot with this id.

    Raises:
        UsageError: there is none.
    """
    row = tx.execute(_rows().where(snapshots.c.id == snapshot)).one_or_none()
    if row is None:
        raise UsageError(
            f"there is no snapshot {snapshot}", hint="`newsletter snapshots list` shows them"
        )
    return _snapshot(row)


def listed(tx: Connection, state: SnapshotState | None = None) -> list[SnapshotRow]:
    """Returns all snapshots, oldest first; only those in `state` if given."""
    query = _rows()
    rows = tx.execute(query.where(snapshots.c.state == state) if state else query)
    return [_snapshot(row) for row in rows]


def data_of(tx: Connection, snapshot: int) -> bytes:
    """Returns the bytes of a snapshot, as captured.

    Raises:
        UsageError: they were pruned.
    """
    found = tx.execute(
        select(blobs.c.data)
        .join_from(blobs, snapshots, snapshots.c.sha256 == blobs.c.sha256)
        .where(snapshots.c.id == snapshot)
    ).scalar()
    if found is None:
        raise UsageError(
            f"the bytes of snapshot {snapshot} were pruned",
            hint="what is in the log stays there; capture its page again",
        )
    return zlib.decompress(found)


def begin_attempt(tx: Connection, snapshot: int) -> SnapshotRow:
    """Counts an attempt to parse the snapshot, if any is left. Returns it as it was before.

    Raises:
        UsageError: there is no such snapshot.
    """
    row = get(tx, snapshot)
    if row.attempts < ATTEMPTS:
        _set_attempts(tx, snapshot, row.attempts + 1)
    return row


def end_attempt(tx: Connection, snapshot: int) -> None:
    """Records that an attempt ended, which resets the count."""
    _set_attempts(tx, snapshot, 0)


def _set_attempts(tx: Connection, snapshot: int, attempts: int) -> None:
    tx.execute(update(snapshots).where(snapshots.c.id == snapshot).values(attempts=attempts))


def sizes_before(tx: Connection, source: int) -> Sequence[int]:
    """Returns the numbers of papers of the source's accepted snapshots, newest first."""
    return (
        tx.execute(
            select(snapshots.c.papers)
            .where(snapshots.c.source_id == source, snapshots.c.state == SnapshotState.ACCEPTED)
            .order_by(snapshots.c.id.desc())
            .limit(HISTORY)
        )
        .scalars()
        .all()
    )


def accepted_before(tx: Connection, source: int) -> Sequence[tuple[str, str, int]]:
    """Returns format, origin and size of the source's accepted snapshots, newest first."""
    rows = tx.execute(
        select(snapshots.c.format, snapshots.c.origin, snapshots.c.papers)
        .where(snapshots.c.source_id == source, snapshots.c.state == SnapshotState.ACCEPTED)
        .order_by(snapshots.c.id.desc())
        .limit(HISTORY)
    )
    return [(row.format or "", row.origin, row.papers) for row in rows]


def was_accepted(tx: Connection, source: int, snapshot: int) -> bool:
    """Whether the same bytes were accepted before: then they need no review."""
    same = snapshots.alias()
    return (
        tx.execute(
            select(same.c.id)
            .join(snapshots, snapshots.c.sha256 == same.c.sha256)
            .where(
                snapshots.c.id == snapshot,
                same.c.source_id == source,
                same.c.state == SnapshotState.ACCEPTED,
            )
            .limit(1)
        ).scalar()
        is not None
    )


def hold(
    tx: Connection,
    snapshot: SnapshotRow,
    reason: str,
    notes: Sequence[str],
    parsed: Snapshot | None,
    *,
    again: bool = True,
) -> SnapshotRow:
    """Holds the snapshot for review by the operator. Returns the updated row.

    Args:
        tx: the transaction.
        snapshot: the snapshot.
        reason: why it is held.
        notes: further information for the operator.
        parsed: its content, if it could be parsed.
        again: whether it may be parsed again without the operator's request.
    """
    name, papers = (parsed.format, len(parsed.papers)) if parsed else (None, 0)
    tx.execute(
        update(snapshots)
        .where(snapshots.c.id == snapshot.id)
        .values(
            state=SnapshotState.HELD,
            reason=reason,
            notes=list(notes),
            format=name,
            papers=papers,
            attempts=0 if again else ATTEMPTS,
        )
    )
    return replace(
        snapshot,
        state=SnapshotState.HELD,
        reason=reason,
        notes=tuple(notes),
        format=name,
        counts=replace(snapshot.counts, papers=papers),
    )


def ask(tx: Connection, row: SnapshotRow, asked_format: str | None) -> SnapshotRow | None:
    """Sets the format that a snapshot is to be read as, unless `asked_format` is `None`.

    Returns the snapshot with the format it is read as now and the source it belongs to now, or
    `None`, and changes nothing, if its papers are already in the log.
    """
    changed = tx.execute(
        update(snapshots)
        .where(snapshots.c.id == row.id, snapshots.c.state != SnapshotState.ACCEPTED)
        .values(asked_format=func.coalesce(asked_format, snapshots.c.asked_format))
        .returning(snapshots.c.asked_format, snapshots.c.source_id, snapshots.c.opening)
    ).one_or_none()
    if changed is None:
        return None
    return replace(
        row,
        asked_format=changed.asked_format,
        source_id=changed.source_id,
        opening=changed.opening,
    )


def take_up(tx: Connection, snapshot: int, asked_format: str | None) -> None:
    """Marks the snapshot to be processed again, as `asked_format` if one is given."""
    values: dict[str, Any] = {"state": SnapshotState.CAPTURED, "reason": None, "attempts": 0}
    if asked_format:
        values["asked_format"] = asked_format
    tx.execute(update(snapshots).where(snapshots.c.id == snapshot).values(**values))


def sources_left(tx: Connection) -> Sequence[str]:
    """Returns the sources that have snapshots whose papers are not in the log yet."""
    return (
        tx.execute(
            select(sources.c.name)
            .join_from(snapshots, sources)
            .where(snapshots.c.state == SnapshotState.CAPTURED)
            .distinct()
        )
        .scalars()
        .all()
    )


def reject(tx: Connection, snapshot: int) -> None:
    """Marks the snapshot as rejected by the operator; its bytes stay."""
    tx.execute(
        update(snapshots).where(snapshots.c.id == snapshot).values(state=SnapshotState.REJECTED)
    )


def accept(
    tx: Connection, snapshot: SnapshotRow, parsed: Snapshot, notes: Sequence[str], counts: Counts
) -> SnapshotRow:
    """Marks the snapshot as accepted: its papers are in the log. Returns the updated row."""
    tx.execute(
        update(snapshots)
        .where(snapshots.c.id == snapshot.id)
        .values(
            state=SnapshotState.ACCEPTED,
            reason=None,
            format=parsed.format,
            notes=list(notes),
            attempts=0,
            **asdict(counts),
        )
    )
    return replace(
        snapshot,
        state=SnapshotState.ACCEPTED,
        reason=None,
        format=parsed.format,
        notes=tuple(notes),
        counts=counts,
    )


def _rows() -> Select[tuple[object, ...]]:
    return select(snapshots, sources.c.name).join_from(snapshots, sources).order_by(snapshots.c.id)


def _snapshot(row: Row[tuple[object, ...]]) -> SnapshotRow:
    return SnapshotRow(
        id=row.id,
        source=row.name,
        source_id=row.source_id,
        origin=row.origin,
        captured_at=row.captured_at,
        day=row.day,
        dated_by=DatedBy(row.dated_by) if row.dated_by else None,
        asked_format=row.asked_format,
        size=row.size,
        state=SnapshotState(row.state),
        reason=masked(row.reason) if row.reason else None,
        format=row.format,
        counts=Counts(row.papers, row.new, row.learnt, row.updated, row.relisted, row.withdrawn),
        notes=tuple(map(masked, row.notes or ())),
        opening=row.opening,
        attempts=row.attempts,
    )
