"""Capture → log: the one way in which papers become known.

    store      the bytes are safe                        one transaction
    parse      bytes → papers                            no transaction
    settle     held, or its papers in the log            one transaction

A crash leaves a snapshot stored and not settled; the next ingest of its source
settles it first. Nothing is announced twice, because keys never change hands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from sqlalchemy import Connection

from newsletter import diff, formats, holds
from newsletter.errors import NewsletterError, SnapshotUnreadable, SourceError, StorageError
from newsletter.identity import Identities
from newsletter.models import (
    Capture,
    Counts,
    Entry,
    EntryKind,
    NotModified,
    Paper,
    Snapshot,
    SnapshotState,
)
from newsletter.storage import log, snapshots, sources
from newsletter.storage.database import Database
from newsletter.storage.snapshots import SnapshotRow
from newsletter.text import clean

Captured = Capture | NotModified | SourceError
"""What a source gives: bytes, its word that nothing changed, or why there is nothing."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one capture.

    Attributes:
        origin: its path or URL.
        snapshot: its number; `None` when nothing could be kept.
        held: why nothing was announced, if it waits for the operator or failed.
        new: the announced papers, in log order.
        unchanged: the source gave the same bytes before; nothing was parsed.
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


@dataclass(frozen=True, slots=True)
class _Rule:
    """Which papers nobody has seen are announced; the others are learnt.

    With neither field set, all are. A source's first ingest announces the papers of
    its latest day; where days are not known, those of its last capture.
    """

    latest_day: date | None = None
    last_snapshot: int | None = None
    silent: bool = False

    def for_snapshot(self, snapshot: int) -> Callable[[Paper], bool]:
        def announced(paper: Paper) -> bool:
            if self.silent:
                return False
            if self.latest_day and paper.listed_on:
                return paper.listed_on >= self.latest_day
            return self.last_snapshot in (None, snapshot)

        return announced


@dataclass(frozen=True, slots=True)
class _Stored:
    """A snapshot with its bytes."""

    row: SnapshotRow
    data: bytes

    @property
    def beginning(self) -> str:
        """How the capture begins, so that the operator sees what came."""
        return f"it begins “{clean(self.data[:400].decode('utf-8', 'replace'))[:160]}”"

    def parsed(self, format: str | None) -> Snapshot:  # noqa: A002
        return formats.parse(self.data, day=self.row.day, dated_by=self.row.dated_by, format=format)


class Ingest:
    """Brings captures into the log.

    Args:
        database: where it is.
        clock: the current instant, aware.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def captures(
        self,
        source: str,
        captured: Iterable[Captured],
        *,
        announce_all: bool = False,
        whole_folder: bool = False,
        format: str | None = None,  # noqa: A002
    ) -> Iterator[Report]:
        """Takes in what a source gave, in order; a report for each, one by one.

        Args:
            source: the source's name.
            captured: its captures, or why there is none.
            announce_all: also on the source's first ingest.
            whole_folder: the captures are all files of a folder, old ones among them.
            format: read them as this format instead of recognising it.
        """
        try:
            with self._database.write() as tx:
                row = sources.ensure(tx, source)
                left = [snapshot.id for snapshot in snapshots.unfinished(tx, row.id)]
        except StorageError as error:
            yield from (_failed(source, _origin(one), error) for one in captured)
            return
        opening = not row.opened and not announce_all
        kept = self._keep_all(source, row.id, captured, opening=opening, ever=whole_folder)
        # What an earlier run left is a batch of its own: its latest day is announced even
        # when the same captures are given again and would then count as known.
        yield from self._settled(left, format, opening=opening, opens=False)
        yield from self._settled(
            (step for step in kept if step not in left), format, opening=opening, opens=True
        )
        if opening:
            with self._database.write() as tx:
                self._open(tx, row.id, opens=True)

    def _settled(
        self,
        steps: Iterable[int | Report],
        format: str | None,  # noqa: A002
        *,
        opening: bool,
        opens: bool,
    ) -> Iterator[Report]:
        rule, last = _Rule(), None
        if opening:
            steps = list(steps)  # all bytes are safe before the first paper is judged
            ids = [step for step in steps if isinstance(step, int)]
            rule, last = self._opening_rule(ids, format), next(reversed(ids), None)
        for step in steps:
            if isinstance(step, Report):
                yield step
            else:
                yield self._settle(step, rule, format, opens=opens and last in (step, None))

    def release(self, snapshot: int, *, silent: bool = False, format: str | None = None) -> Report:  # noqa: A002
        """Announces what a held snapshot has, because the operator says so.

        Args:
            snapshot: its number.
            silent: learn its papers without announcing them.
            format: read it as this format.

        Raises:
            UsageError: there is no such snapshot.
            SnapshotUnreadable: it still cannot be read; it stays held.
        """
        with self._database.read() as tx:
            row = snapshots.get(tx, snapshot)
        rule = _Rule(silent=silent)
        if row.opening and not silent:
            rule = self._opening_rule([snapshot], format)
        return self._settle(snapshot, rule, format, opens=True, released=True)

    def _keep_all(
        self, name: str, source: int, captured: Iterable[Captured], *, opening: bool, ever: bool
    ) -> Iterator[int | Report]:
        for one in captured:
            try:
                yield self._keep(name, source, one, opening=opening, ever=ever)
            except StorageError as error:
                yield _failed(name, _origin(one), error)

    def _keep(
        self, name: str, source: int, one: Captured, *, opening: bool, ever: bool
    ) -> int | Report:
        """The number of the snapshot to settle, or the report when there is nothing to do."""
        packed = snapshots.packed(one) if isinstance(one, Capture) else None
        with self._database.write() as tx:
            if isinstance(one, SourceError):
                sources.failed(tx, source, self._clock(), str(one))
                return _failed(name, one.where, one)
            if isinstance(one, NotModified):
                sources.gave(tx, source, one.at)
                same = snapshots.newest_of(tx, source, one.origin)
                if same is None:
                    return Report(one.origin, name, unchanged=True)
            else:
                sources.gave(tx, source, one.captured_at)
                if one.etag or one.last_modified:
                    sources.remember_validators(tx, source, one)
                same = snapshots.same_as(tx, source, one, ever=ever)
                if same is None:
                    return snapshots.store(tx, source, one, packed, opening=opening)
        if same.state is SnapshotState.CAPTURED:
            return same.id
        return _unchanged(same, one.origin)

    def _opening_rule(self, ids: Sequence[int], format: str | None) -> _Rule:  # noqa: A002
        """Announce the latest day of these snapshots; without days, the last of them."""
        latest: date | None = None
        last: int | None = None
        for snapshot in ids:
            try:
                parsed = self._load(snapshot).parsed(format)
            except SnapshotUnreadable:
                continue  # said again, and reported, when it is settled
            if parsed.doubts or not parsed.papers:
                continue
            days = [paper.listed_on for paper in parsed.papers if paper.listed_on]
            latest = max([*days, latest] if latest else days, default=None)
            last = snapshot
        return _Rule(latest, last)

    def _load(self, snapshot: int) -> _Stored:
        with self._database.read() as tx:
            return _Stored(snapshots.get(tx, snapshot), snapshots.data_of(tx, snapshot))

    def _settle(
        self,
        snapshot: int,
        rule: _Rule,
        format: str | None,  # noqa: A002
        *,
        opens: bool,
        released: bool = False,
    ) -> Report:
        stored: _Stored | None = None
        try:
            stored = self._load(snapshot)
            try:
                parsed = stored.parsed(format)
            except SnapshotUnreadable as error:
                if released:
                    raise
                return self._held(stored, str(error), opens=opens)
            lines = diff.lines_of(parsed.papers)
            with self._database.write() as tx:
                row = snapshots.get(tx, snapshot)
                if row.state is SnapshotState.CAPTURED or released:
                    announce = rule.for_snapshot(snapshot)
                    self._decide(tx, stored, parsed, lines, announce, released=released)
                self._open(tx, row.source_id, opens=opens)
                return _report(tx, snapshot)
        except StorageError as error:
            source = stored.row.source if stored else ""
            origin = stored.row.origin if stored else f"snapshot {snapshot}"
            return _failed(source, origin, error, snapshot)

    def _decide(
        self,
        tx: Connection,
        stored: _Stored,
        parsed: Snapshot,
        lines: Sequence[diff.Line],
        announce: Callable[[Paper], bool],
        *,
        released: bool,
    ) -> None:
        row = stored.row
        owners = log.owners(tx, (key for line in lines for key in line.keys))
        identities = Identities(owners)
        history = holds.History(
            sizes=snapshots.sizes_before(tx, row.source_id),
            renamed=identities.renamed(line.keys for line in lines),
        )
        reason = None if released else holds.reason_to_hold(parsed, history)
        if reason:
            snapshots.hold(tx, row.id, reason, [stored.beginning, *parsed.notes], parsed)
            return
        known = log.known(tx, owners.values(), row.source_id)
        days = log.listing_days(tx, row.source_id, known.values())
        made = diff.changes(lines, identities, known, days, announce)
        log.append(tx, log.Occasion(row.source_id, row.id, self._clock()), made)
        few = holds.remark(parsed, history)
        notes = [*parsed.notes, *([few, stored.beginning] if few else [])]
        snapshots.accept(tx, row.id, parsed, notes, _counts(len(lines), made))

    def _held(self, stored: _Stored, reason: str, *, opens: bool) -> Report:
        with self._database.write() as tx:
            row = snapshots.get(tx, stored.row.id)
            if row.state is SnapshotState.CAPTURED:
                snapshots.hold(tx, row.id, reason, [stored.beginning], None)
            self._open(tx, row.source_id, opens=opens)
            return _report(tx, row.id)

    def _open(self, tx: Connection, source: int, *, opens: bool) -> None:
        """Ends the source's first ingest with its last snapshot, if any was accepted."""
        if opens and snapshots.sizes_before(tx, source):
            sources.opened(tx, source, self._clock())


def _counts(papers: int, made: Sequence[diff.Change]) -> Counts:
    kinds = [change.kind for change in made]
    return Counts(papers, *(kinds.count(kind) for kind in EntryKind))


def _report(tx: Connection, snapshot: int) -> Report:
    row = snapshots.get(tx, snapshot)
    return Report(
        origin=row.origin,
        source=row.source,
        snapshot=row.id,
        format=row.format,
        counts=row.counts,
        held=row.reason if row.state is SnapshotState.HELD else None,
        new=tuple(log.new_entries(tx, snapshot=row.id)),
        notes=row.notes,
    )


def _unchanged(same: SnapshotRow, origin: str) -> Report:
    return Report(
        origin=origin,
        source=same.source,
        snapshot=same.id,
        format=same.format,
        counts=Counts(papers=same.counts.papers),
        held=same.reason if same.state is SnapshotState.HELD else None,
        unchanged=True,
    )


def _failed(
    source: str, origin: str, error: NewsletterError, snapshot: int | None = None
) -> Report:
    return Report(origin=origin, source=source, snapshot=snapshot, held=str(error))


def _origin(one: Captured) -> str:
    return one.where if isinstance(one, SourceError) else one.origin
