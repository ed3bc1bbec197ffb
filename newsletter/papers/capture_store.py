"""Stores a source's captures in the database before anything parses them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from sqlalchemy import Connection

from newsletter.errors import PageRefused, SourceError, StorageError
from newsletter.models import Capture, NotModified, SnapshotState
from newsletter.papers import report
from newsletter.papers.report import CaptureReport
from newsletter.sources import Captured
from newsletter.storage import snapshots, sources
from newsletter.storage.database import Database
from newsletter.storage.snapshots import SnapshotRow


class CaptureStore:
    """Stores the captures of one source in one run, and updates the source's status.

    Args:
        database: the newsletter's database.
        clock: returns the current time, timezone-aware.
        name: name of the source.
        source: id of the source.
        unsettled: ids of snapshots left over from an earlier run, which this run settles.
        watched: the source is configured, so its failures are recorded.
        format: parse the captures as this format instead of detecting it.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], datetime],
        name: str,
        source: int,
        unsettled: Iterable[int],
        *,
        watched: bool,
        format: str | None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._name = name
        self._source = source
        self._watched = watched
        self._format = format
        self._settled = set(unsettled)  # by this run
        self._refused: list[str] = []  # URLs for which the server said there is no page

    def store(
        self, captured: Iterable[Captured], *, opening: bool, ever: bool
    ) -> Iterator[int | CaptureReport]:
        """Stores each capture; yields the id of the snapshot to settle, or a report if none is.

        Args:
            opening: whether they are part of the source's first ingest.
            ever: whether to compare the bytes with every earlier capture of the source, or
                with the newest only.
        """
        well = True
        for one in captured:
            well = well and not isinstance(one, SourceError)
            try:
                yield self._store(one, opening=opening, ever=ever, well=well)
            except StorageError as error:
                yield report.failed(self._name, report.origin(one), error)

    def _store(
        self, one: Captured, *, opening: bool, ever: bool, well: bool
    ) -> int | CaptureReport:
        packed = snapshots.packed(one) if isinstance(one, Capture) else None
        with self._database.write() as tx:
            if isinstance(one, SourceError):
                return self._failed(tx, one)
            if self._watched and "://" in one.origin:
                # The source works, so the pages it refused earlier in this run do not exist.
                answered = [*self._refused, one.origin]
                sources.note_answers(tx, self._source, answered, one.at)
            if isinstance(one, NotModified):
                sources.note_captured(tx, self._source, one.at, well=well)
                same = snapshots.newest_of(tx, self._source, one.origin)
                if same is None:
                    return CaptureReport(one.origin, self._name, unchanged=True)
                return self._again(tx, same, one.origin)
            sources.note_captured(tx, self._source, self._clock(), well=well)
            if one.etag or one.last_modified:
                sources.remember_validators(tx, self._source, one)
            same = snapshots.same_as(tx, self._source, one, ever=ever)
            if same:
                return self._again(tx, same, one.origin)
            added = snapshots.store(
                tx, self._source, one, packed, opening=opening, asked_format=self._format
            )
            self._settled.add(added)
            return added

    def _failed(self, tx: Connection, error: SourceError) -> CaptureReport:
        if isinstance(error, PageRefused):
            self._refused.append(error.origin)
        if self._watched:
            sources.note_failure(tx, self._source, self._clock(), str(error))
        return report.failed(self._name, report.origin(error), error)

    def _again(self, tx: Connection, same: SnapshotRow, origin: str) -> int | CaptureReport:
        """Handles bytes that are stored already.

        A held snapshot is parsed again: with another format or version it may be readable. One
        that was given up is parsed again only as another format.
        """
        given_up = same.attempts >= snapshots.ATTEMPTS and same.state is SnapshotState.HELD
        if given_up and self._format in (None, same.asked_format):
            return report.unchanged(same, origin)
        waits = same.state in (SnapshotState.CAPTURED, SnapshotState.HELD)
        if not waits or same.id in self._settled:
            return report.unchanged(same, origin)
        snapshots.take_up(tx, same.id, self._format)
        self._settled.add(same.id)
        return same.id
