"""The operator's decisions about snapshots held for review: release or reject."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from newsletter import formats
from newsletter.errors import StorageError, UsageError
from newsletter.models import SnapshotState
from newsletter.papers import changes, report
from newsletter.papers.report import CaptureReport
from newsletter.papers.snapshot_processing import Parse, SnapshotProcessor, opening_rule
from newsletter.storage import snapshots, sources
from newsletter.storage.database import Database
from newsletter.storage.snapshots import SnapshotRow


class SnapshotReview:
    """Carries out the operator's decisions about snapshots.

    Args:
        database: the newsletter's database.
        clock: returns the current time, timezone-aware.
        parse: parses captured bytes.
    """

    def __init__(
        self, database: Database, clock: Callable[[], datetime], parse: Parse = formats.parse
    ) -> None:
        self._database = database
        self._processor = SnapshotProcessor(database, clock, parse)

    def release(
        self, snapshot: int, *, silent: bool = False, format: str | None = None
    ) -> CaptureReport:
        """Releases a snapshot: its papers enter the log, and the new ones are announced.

        Args:
            snapshot: id of the snapshot.
            silent: backfill its papers instead of announcing them.
            format: parse it as this format.

        Raises:
            UsageError: there is no such snapshot or format, or its papers are in the log already.
            SnapshotUnreadable: it still cannot be parsed; it stays held.
        """
        if format:
            formats.named(format)
        while True:
            with self._database.read() as tx:
                row = snapshots.get(tx, snapshot)
            with self._database.alone(row.source):
                released = self._release(row, silent=silent, format=format)
            if released:
                return released

    def _release(
        self, row: SnapshotRow, *, silent: bool, format: str | None
    ) -> CaptureReport | None:
        """Releases a snapshot, or returns `None` if its source was renamed before it was locked."""
        # Snapshots are accepted under this lock only, so the state must be checked under it.
        with self._database.write() as tx:
            current = snapshots.ask(tx, row, format)
            if current is None:
                raise _is_accepted(row.id)
            source = sources.find(tx, row.source)
            if source is None or source.id != current.source_id:
                return None
        try:
            parsed = self._processor.parse_row(current)
        except StorageError as error:
            return report.failed(row.source, row.origin, error, row.id)
        rule = changes.Rule(silent=silent)
        if current.opening and not silent:
            day = source.opening_day
            rule = changes.Rule(day) if day else opening_rule([parsed])
        return self._processor.release(parsed, rule)

    def listed(self, state: SnapshotState | None = None) -> list[SnapshotRow]:
        """Returns all snapshots, or those in one state, oldest first."""
        with self._database.read() as tx:
            return snapshots.listed(tx, state)

    def reject(self, snapshot: int) -> SnapshotRow:
        """Rejects a snapshot permanently; its bytes are kept.

        Raises:
            UsageError: there is no such snapshot, or its papers are in the log.
        """
        with self._database.write() as tx:
            row = snapshots.get(tx, snapshot)
            if row.state is SnapshotState.ACCEPTED:
                raise _is_accepted(snapshot)
            snapshots.reject(tx, snapshot)
        return replace(row, state=SnapshotState.REJECTED)


def _is_accepted(snapshot: int) -> UsageError:
    return UsageError(
        f"snapshot {snapshot} is not held: its papers are in the log",
        hint="`newsletter snapshots list --state held` lists the held ones",
    )
