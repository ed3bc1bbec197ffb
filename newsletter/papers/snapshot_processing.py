"""Stored snapshot → log: parsed, then accepted or held for review.

count     one more attempt to parse it              one transaction
parse     bytes → papers                            no transaction
count     that attempt ended                        one transaction
settle    held for review, or papers in the log     one transaction
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from time import monotonic
from typing import Protocol

from sqlalchemy import Connection

from newsletter import formats
from newsletter.errors import (
    ParserDied,
    ParserFailed,
    ParsingStopped,
    SnapshotUnreadable,
    StorageError,
)
from newsletter.models import Change, Counts, DatedBy, EntryKind, Snapshot, SnapshotState
from newsletter.papers import changes, report, review
from newsletter.papers.identity import Identities
from newsletter.papers.reading_time import ReadingTime
from newsletter.papers.report import CaptureReport
from newsletter.storage import log, sightings, snapshots, sources
from newsletter.storage.database import Database
from newsletter.storage.snapshots import SnapshotRow
from newsletter.text.clean import clean
from newsletter.text.counted import plural


class Parse(Protocol):
    """Parses captured bytes; see `formats.parse`."""

    def __call__(
        self, data: bytes, *, day: date | None, dated_by: DatedBy | None, format: str | None
    ) -> Snapshot:
        """Returns the papers in the bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Parsed:
    """A snapshot and the result of parsing it.

    Attributes:
        row: the snapshot.
        beginning: a quote of its first bytes, so that the operator sees what was captured.
        content: the parsed content, or `None` if no format can read it.
        error: why no format can read it.
        seconds: how long parsing took.
    """

    row: SnapshotRow
    beginning: str
    content: Snapshot | None
    error: SnapshotUnreadable | None = None
    seconds: float = 0.0

    @property
    def given_up(self) -> bool:
        """Whether it reached a limit, and is not tried again by itself."""
        return isinstance(self.error, ParsingStopped)


def opening_rule(parsed: Iterable[Parsed]) -> changes.Rule:
    """Returns the rule of a source's first ingest: announce its latest day, else last snapshot.

    A day later than the day after the capture is an error of the page and is ignored.
    """
    latest: date | None = None
    last: int | None = None
    for one in parsed:
        if one.content is None or one.content.doubts or not one.content.papers:
            continue  # reported when the snapshot is settled
        tomorrow = one.row.captured_at.date() + timedelta(days=1)
        days = [p.listed_on for p in one.content.papers if p.listed_on and p.listed_on <= tomorrow]
        latest = max([*days, latest] if latest else days, default=None)
        last = one.row.id
    return changes.Rule(latest, last)


class SnapshotProcessor:
    """Parses stored snapshots and settles them.

    Args:
        database: the newsletter's database.
        clock: returns the current time, timezone-aware.
        parse: parses captured bytes.
    """

    def __init__(
        self, database: Database, clock: Callable[[], datetime], parse: Parse = formats.parse
    ) -> None:
        self._database = database
        self._clock = clock
        self._parse = parse

    def parse(self, snapshot: int) -> Parsed:
        """Reads a snapshot from the database and parses its bytes.

        The attempt is counted before it begins, so that bytes that crash this process or the
        machine twice are not tried a third time.

        Raises:
            StorageError: the snapshot cannot be read, or the attempt cannot be counted.
            UsageError: its bytes were pruned.
            ParserFailed: there is no process that could parse them.
        """
        while True:
            with self._database.write() as tx:
                row = snapshots.begin_attempt(tx, snapshot)
                data = snapshots.data_of(tx, snapshot)
            if row.attempts >= snapshots.ATTEMPTS:
                return Parsed(row, _beginning(data), None, _never_ended())
            try:
                parsed = self._parsed(row, data)
            except ParserDied:
                continue  # counted as an attempt that never ended
            except ParserFailed:
                self._end_attempt(snapshot)
                raise
            if not parsed.given_up:
                self._end_attempt(snapshot)
            return parsed

    def _end_attempt(self, snapshot: int) -> None:
        with self._database.write() as tx:
            snapshots.end_attempt(tx, snapshot)

    def parse_row(self, row: SnapshotRow) -> Parsed:
        """Like `parse`, at the operator's request: no attempt is counted.

        Raises:
            StorageError: the snapshot cannot be read.
            ParserFailed: it could not be parsed; another attempt may succeed.
        """
        with self._database.read() as tx:
            data = snapshots.data_of(tx, row.id)
        return self._parsed(row, data)

    def _parsed(self, row: SnapshotRow, data: bytes) -> Parsed:
        began, content, error = monotonic(), None, None
        try:
            content = self._parse(data, day=row.day, dated_by=row.dated_by, format=row.asked_format)
        except SnapshotUnreadable as exc:
            error = exc
        return Parsed(row, _beginning(data), content, error, monotonic() - began)

    def process(
        self, snapshot: int, rule: changes.Rule, time: ReadingTime, *, opens: bool
    ) -> CaptureReport:
        """Parses a snapshot and settles it, unless its source has no time left."""
        try:
            if time.is_spent:
                return self.postpone(snapshot)
            parsed = self.parse(snapshot)
        except StorageError as error:
            return report.failed("", f"snapshot {snapshot}", error, snapshot)
        time.spend(parsed.seconds, whole=parsed.given_up)
        return self.settle(parsed, rule, opens=opens)

    def postpone(self, snapshot: int) -> CaptureReport:
        """Leaves a snapshot for the next round of its source.

        Raises:
            StorageError: it cannot be read.
        """
        with self._database.read() as tx:
            return report.postponed(snapshots.get(tx, snapshot))

    def settle(self, parsed: Parsed, rule: changes.Rule, *, opens: bool) -> CaptureReport:
        """Accepts a parsed snapshot or holds it for review, unless its state has changed since.

        Args:
            rule: which previously unseen papers are announced.
            opens: whether it is the last snapshot of its source's first ingest.
        """
        return self._settle(parsed, rule, opens=opens, released=False)

    def release(self, parsed: Parsed, rule: changes.Rule) -> CaptureReport:
        """Accepts a parsed snapshot regardless of the review rules.

        The caller holds the source's lock and has checked that it is not accepted yet.

        Raises:
            SnapshotUnreadable: no format can read it.
        """
        if parsed.error:
            raise parsed.error
        return self._settle(parsed, rule, opens=True, released=True)

    def _settle(
        self, parsed: Parsed, rule: changes.Rule, *, opens: bool, released: bool
    ) -> CaptureReport:
        row, content = parsed.row, parsed.content
        lines = changes.captured_papers(content.papers) if content else []
        try:
            with self._database.write() as tx:
                if not released:  # the operator may have rejected it meanwhile
                    row = snapshots.get(tx, row.id)
                # A snapshot that is read again announces only what it had not announced before.
                before = log.head(tx) if row.state is SnapshotState.CAPTURED else 0
                if released or row.state is SnapshotState.CAPTURED:
                    if content is None:
                        reason, again = str(parsed.error), not parsed.given_up
                        row = snapshots.hold(tx, row, reason, [parsed.beginning], None, again=again)
                    else:
                        row = self._decide(tx, parsed, content, lines, rule, released=released)
                if opens and any(snapshots.sizes_before(tx, row.source_id)):
                    sources.note_opened(tx, row.source_id, self._clock())
                return report.report(tx, row, after=before)
        except StorageError as error:
            return report.failed(row.source, row.origin, error, row.id)

    def _decide(
        self,
        tx: Connection,
        parsed: Parsed,
        content: Snapshot,
        lines: Sequence[changes.CapturedPaper],
        rule: changes.Rule,
        *,
        released: bool,
    ) -> SnapshotRow:
        row = parsed.row
        owners = log.owners(tx, (key for line in lines for key in line.keys))
        identities = Identities(owners)
        sizes, feed_sizes = snapshots.sizes_before(tx, row.source_id), None
        if row.source in sources.OF_SEVERAL_FEEDS:
            before = snapshots.accepted_before(tx, row.source_id)
            sizes, feed_sizes = review.of_one_feed(content.format, row.origin, before)
        history = review.History(
            sizes=sizes,
            feed_sizes=feed_sizes,
            renamed=identities.renamed(line.keys for line in lines),
            restored=sources.is_restored(tx, row.source_id),
        )
        reason = None if released else review.reason_to_hold(content, history)
        if reason and not snapshots.was_accepted(tx, row.source_id, row.id):
            return snapshots.hold(tx, row, reason, [parsed.beginning, *content.notes], content)
        if released:
            sources.mark_restored(tx, source=row.source_id, restored=False)
        known = sightings.known(tx, owners.values(), row.source_id, row.id)
        days = sightings.listing_days(tx, row.source_id, known.values())
        made = changes.changes(
            lines, identities, known, days, rule.for_snapshot(row.id), silent=rule.silent
        )
        log.append(tx, sightings.Occasion(row.source_id, row.id, self._clock()), made)
        notes = list(content.notes)
        if few := review.remark(content, history):
            notes += [few, parsed.beginning]
        if twice := len(lines) - len(made):
            notes.append(f"{twice} of {plural(len(lines), 'row')} repeated papers of the same list")
        return snapshots.accept(tx, row, content, notes, _counts(len(lines), made))


def _beginning(data: bytes) -> str:
    return f"it begins “{clean(data[:400].decode('utf-8', 'replace'))[:160]}”"


def _never_ended() -> ParsingStopped:
    return ParsingStopped(
        "two attempts to read it never ended", hint="it is not tried again by itself"
    )


def _counts(papers: int, made: Sequence[Change]) -> Counts:
    kinds = [change.kind for change in made]
    return Counts(papers, *(kinds.count(kind) for kind in EntryKind))
