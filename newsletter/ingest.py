"""Capture → log: the one way in which papers become known.

    store      the bytes are safe                        one transaction
    parse      bytes → papers                            no transaction
    settle     held, or its papers in the log            one transaction

A crash leaves a snapshot stored and not settled; the next ingest of its source
settles it first. Nothing is announced twice, because keys never change hands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import chain

from sqlalchemy import Connection

from newsletter import diff, formats, holds, reports
from newsletter.errors import (
    PageRefused,
    SnapshotUnreadable,
    SourceError,
    StorageError,
    UsageError,
)
from newsletter.identity import Identities
from newsletter.models import (
    Capture,
    Counts,
    EntryKind,
    NotModified,
    Paper,
    Snapshot,
    SnapshotState,
)
from newsletter.reports import Captured, Report
from newsletter.storage import log, snapshots, sources
from newsletter.storage.database import Database
from newsletter.storage.snapshots import SnapshotRow
from newsletter.text.clean import clean


@dataclass(frozen=True, slots=True)
class _Stored:
    """A snapshot with its bytes."""

    row: SnapshotRow
    data: bytes

    @property
    def beginning(self) -> str:
        """How the capture begins, so that the operator sees what came."""
        return f"it begins “{clean(self.data[:400].decode('utf-8', 'replace'))[:160]}”"

    def parsed(self) -> Snapshot:
        return formats.parse(
            self.data,
            day=self.row.day,
            dated_by=self.row.dated_by,
            format=self.row.asked_format,
        )


@dataclass(slots=True)
class _Taking:
    """Whose captures are taken in, and how.

    Attributes:
        done: the snapshots this run settles.
        refused: the addresses for which the server said that there is no page.
    """

    name: str
    source: int
    watched: bool
    format: str | None
    done: set[int]
    refused: list[str] = field(default_factory=list)


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
        watched: bool = False,
        format: str | None = None,
    ) -> Iterator[Report]:
        """Takes in what a source gave, in order; a report for each, one by one.

        One process at a time does this for a source; others wait for it.

        Args:
            source: the source's name.
            captured: its captures, or why there is none.
            announce_all: also on the source's first ingest.
            whole_folder: the captures are all files of a folder, old ones among them.
            watched: the source is configured, so that it is remembered when it fails.
            format: read them as this format instead of recognising it.
        """
        with ExitStack() as alone:
            try:
                alone.enter_context(self._database.alone(source))
                with self._database.write() as tx:
                    row = sources.ensure(tx, source)
                    left = [snapshot.id for snapshot in snapshots.unfinished(tx, row.id)]
            except StorageError as error:
                yield from (reports.failed(source, reports.origin(one), error) for one in captured)
                return
            taking = _Taking(source, row.id, watched=watched, format=format, done=set(left))
            if row.opened or announce_all:
                kept = self._keep_all(captured, taking, opening=False, ever=whole_folder)
                yield from self._settle_each(chain(left, kept), diff.Rule())
            elif row.opening_day or row.opening_snapshot:
                rule = diff.Rule(row.opening_day, row.opening_snapshot)
                yield from self._settle_each(left, rule, opens=True)
                kept = self._keep_all(captured, taking, opening=False, ever=True)
                yield from self._settle_each(kept, diff.Rule())
            else:
                kept = self._keep_all(captured, taking, opening=True, ever=True)
                yield from self._open(row.id, [*left, *kept])

    def leftovers(self) -> Iterator[Report]:
        """Settles what runs that died have left, of any source."""
        with self._database.read() as tx:
            names = snapshots.sources_left(tx)
        for name in names:
            yield from self.captures(name, ())

    def release(self, snapshot: int, *, silent: bool = False, format: str | None = None) -> Report:
        """Announces what a snapshot has that is not in the log, because the operator says so.

        Args:
            snapshot: its number.
            silent: learn its papers without announcing them.
            format: read it as this format.

        Raises:
            UsageError: there is no such snapshot, or its papers are in the log.
            SnapshotUnreadable: it still cannot be read; it stays held.
        """
        with self._database.read() as tx:
            row = snapshots.get(tx, snapshot)
        with self._database.alone(row.source):
            with self._database.write() as tx:
                _check_waits(snapshots.get(tx, snapshot))
                source = sources.ensure(tx, row.source)
                if format:
                    snapshots.ask(tx, snapshot, format)
            rule, day = diff.Rule(silent=silent), source.opening_day
            if row.opening and not silent:
                rule = diff.Rule(day) if day else self._rule([snapshot])
            return self._settle(snapshot, rule, opens=True, released=True)

    def listed(self, state: SnapshotState | None = None) -> list[SnapshotRow]:
        """All snapshots, or those in one state, oldest first."""
        with self._database.read() as tx:
            return snapshots.listed(tx, state)

    def reject(self, snapshot: int) -> SnapshotRow:
        """Leaves a snapshot out for good; its bytes stay.

        Raises:
            UsageError: there is no such snapshot, or its papers are in the log.
        """
        with self._database.write() as tx:
            _check_waits(snapshots.get(tx, snapshot))
            snapshots.reject(tx, snapshot)
            return snapshots.get(tx, snapshot)

    def _open(self, source: int, steps: Sequence[int | Report]) -> Iterator[Report]:
        """The first ingest of a source, when all its bytes are safe.

        What it announces is written down before anything is announced, so that a run
        that dies and the run after it decide alike.
        """
        ids = [step for step in steps if isinstance(step, int)]
        try:
            rule = self._rule(ids)
            with self._database.write() as tx:
                sources.begin_opening(tx, source, rule.latest_day, rule.last_snapshot)
        except StorageError as error:
            for step in steps:
                yield (
                    step
                    if isinstance(step, Report)
                    else reports.failed("", f"snapshot {step}", error)
                )
            return
        yield from self._settle_each(steps, rule, opens=True)

    def _settle_each(
        self, steps: Iterable[int | Report], rule: diff.Rule, *, opens: bool = False
    ) -> Iterator[Report]:
        """Settles each; with `opens` (then `steps` is a list), the last one opens the source."""
        last = None
        if opens:
            steps = list(steps)
            last = next((step for step in reversed(steps) if isinstance(step, int)), None)
        for step in steps:
            if isinstance(step, Report):
                yield step
            else:
                yield self._settle(step, rule, opens=step == last)

    def _keep_all(
        self, captured: Iterable[Captured], taking: _Taking, *, opening: bool, ever: bool
    ) -> Iterator[int | Report]:
        well = True
        for one in captured:
            well = well and not isinstance(one, SourceError)
            try:
                yield self._keep(one, taking, opening=opening, ever=ever, well=well)
            except StorageError as error:
                yield reports.failed(taking.name, reports.origin(one), error)

    def _keep(
        self, one: Captured, taking: _Taking, *, opening: bool, ever: bool, well: bool
    ) -> int | Report:
        """The number of the snapshot to settle, or the report when there is nothing to do."""
        packed = snapshots.packed(one) if isinstance(one, Capture) else None
        with self._database.write() as tx:
            if isinstance(one, SourceError):
                if isinstance(one, PageRefused):
                    taking.refused.append(one.origin)
                if taking.watched:
                    sources.failed(tx, taking.source, self._clock(), str(one))
                return reports.failed(taking.name, reports.origin(one), one)
            if taking.watched and "://" in one.origin:
                # It is well, so what it refused before this one it does not have.
                answered = [*taking.refused, one.origin]
                sources.answered(tx, taking.source, answered, one.at)
            if isinstance(one, NotModified):
                sources.gave(tx, taking.source, one.at, well=well)
                same = snapshots.newest_of(tx, taking.source, one.origin)
                if same is None:
                    return Report(one.origin, taking.name, unchanged=True)
            else:
                sources.gave(tx, taking.source, self._clock(), well=well)
                if one.etag or one.last_modified:
                    sources.remember_validators(tx, taking.source, one)
                same = snapshots.same_as(tx, taking.source, one, ever=ever)
                if same is None:
                    added = snapshots.store(
                        tx,
                        taking.source,
                        one,
                        packed,
                        opening=opening,
                        asked_format=taking.format,
                    )
                    taking.done.add(added)
                    return added
            waits = same.state in (SnapshotState.CAPTURED, SnapshotState.HELD)
            if waits and same.id not in taking.done:
                # What is held is read again: by another format, or a newer version.
                snapshots.take_up(tx, same.id, taking.format)
                taking.done.add(same.id)
                return same.id
        return reports.unchanged(same, one.origin)

    def _rule(self, ids: Sequence[int]) -> diff.Rule:
        """Announce the latest day of these snapshots; without days, the last of them.

        A day that had not come when it was captured is a mistake of its page.
        """
        latest: date | None = None
        last: int | None = None
        for snapshot in ids:
            stored = self._load(snapshot)
            try:
                parsed = stored.parsed()
            except SnapshotUnreadable:
                continue  # said again, and reported, when it is settled
            if parsed.doubts or not parsed.papers:
                continue
            tomorrow = stored.row.captured_at.date() + timedelta(days=1)
            days = [p.listed_on for p in parsed.papers if p.listed_on and p.listed_on <= tomorrow]
            latest = max([*days, latest] if latest else days, default=None)
            last = snapshot
        return diff.Rule(latest, last)

    def _load(self, snapshot: int) -> _Stored:
        with self._database.read() as tx:
            return _Stored(snapshots.get(tx, snapshot), snapshots.data_of(tx, snapshot))

    def _settle(
        self,
        snapshot: int,
        rule: diff.Rule,
        *,
        opens: bool,
        released: bool = False,
    ) -> Report:
        stored: _Stored | None = None
        try:
            stored = self._load(snapshot)
            try:
                parsed = stored.parsed()
            except SnapshotUnreadable as error:
                if released:
                    raise
                return self._held(stored, str(error), opens=opens)
            lines = diff.captured_papers(parsed.papers)
            with self._database.write() as tx:
                row = snapshots.get(tx, snapshot)
                if released:
                    _check_waits(row)
                if row.state is SnapshotState.CAPTURED or released:
                    announce = rule.for_snapshot(snapshot)
                    self._decide(tx, stored, parsed, lines, announce, released=released)
                self._opened(tx, row.source_id, opens=opens)
                return reports.report(tx, snapshot)
        except StorageError as error:
            source = stored.row.source if stored else ""
            origin = stored.row.origin if stored else f"snapshot {snapshot}"
            return reports.failed(source, origin, error, snapshot)

    def _decide(
        self,
        tx: Connection,
        stored: _Stored,
        parsed: Snapshot,
        lines: Sequence[diff.CapturedPaper],
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
            restored=sources.is_restored(tx, row.source_id),
        )
        reason = None if released else holds.reason_to_hold(parsed, history)
        if reason and not snapshots.was_accepted(tx, row.source_id, row.id):
            snapshots.hold(tx, row.id, reason, [stored.beginning, *parsed.notes], parsed)
            return
        if released:
            sources.mark_restored(tx, source=row.source_id, restored=False)
        known = log.known(tx, owners.values(), row.source_id, row.id)
        days = log.listing_days(tx, row.source_id, known.values())
        made = diff.changes(lines, identities, known, days, announce)
        log.append(tx, log.Occasion(row.source_id, row.id, self._clock()), made)
        notes = list(parsed.notes)
        if few := holds.remark(parsed, history):
            notes += [few, stored.beginning]
        if twice := len(lines) - len(made):
            notes.append(f"{twice} of {len(lines)} rows were papers listed before in it")
        snapshots.accept(tx, row.id, parsed, notes, _counts(len(lines), made))

    def _held(self, stored: _Stored, reason: str, *, opens: bool) -> Report:
        with self._database.write() as tx:
            row = snapshots.get(tx, stored.row.id)
            if row.state is SnapshotState.CAPTURED:
                snapshots.hold(tx, row.id, reason, [stored.beginning], None)
            self._opened(tx, row.source_id, opens=opens)
            return reports.report(tx, row.id)

    def _opened(self, tx: Connection, source: int, *, opens: bool) -> None:
        """Ends the source's first ingest with its last snapshot, if any was accepted."""
        if opens and any(snapshots.sizes_before(tx, source)):
            sources.opened(tx, source, self._clock())


def _check_waits(row: SnapshotRow) -> None:
    if row.state is SnapshotState.ACCEPTED:
        raise UsageError(
            f"snapshot {row.id} is not held: its papers are in the log",
            hint="`newsletter snapshots list --state held` shows those that wait",
        )


def _counts(papers: int, made: Sequence[diff.Change]) -> Counts:
    kinds = [change.kind for change in made]
    return Counts(papers, *(kinds.count(kind) for kind in EntryKind))
