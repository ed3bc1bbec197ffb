"""Capture → log: the only way papers enter the log.

    store      bytes → snapshot                           one transaction
    parse      bytes → papers                             no transaction
    settle     held for review, or papers in the log      one transaction

A crash leaves a snapshot stored but not settled; the next ingest of its source settles
it first, along with those that were postponed for lack of time. Nothing is announced twice,
because a key never moves to another paper.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from itertools import chain
from math import inf

from newsletter import formats
from newsletter.errors import StorageError
from newsletter.papers import changes, report
from newsletter.papers.capture_store import CaptureStore
from newsletter.papers.parsed_spool import ParsedSpool
from newsletter.papers.reading_time import SECONDS, ReadingTime
from newsletter.papers.report import CaptureReport
from newsletter.papers.snapshot_processing import Parse, Parsed, SnapshotProcessor, opening_rule
from newsletter.sources import Captured
from newsletter.storage import snapshots, sources
from newsletter.storage.database import Database
from newsletter.storage.snapshots import SnapshotRow

_StoreAll = Callable[..., Iterator[int | CaptureReport]]


class Ingest:
    """Adds captures to the log.

    Args:
        database: the newsletter's database.
        clock: returns the current time, timezone-aware.
        parse: parses captured bytes.
        seconds: parsing time that the captures of one source have in one round.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], datetime],
        parse: Parse = formats.parse,
        *,
        seconds: float = SECONDS,
    ) -> None:
        self._seconds = seconds
        self._database = database
        self._clock = clock
        self._processor = SnapshotProcessor(database, clock, parse)

    def captures(
        self,
        source: str,
        captured: Iterable[Captured],
        *,
        announce_all: bool = False,
        whole_folder: bool = False,
        watched: bool = False,
        existing: bool = False,
        hurried: bool = True,
        format: str | None = None,
    ) -> Iterator[CaptureReport]:
        """Ingests a source's captures in order, and yields a report for each.

        Only one process at a time ingests a source; others wait for it.

        Args:
            source: name of the source.
            captured: its captures, or the errors in place of them.
            announce_all: announce all new papers, even on the source's first ingest.
            whole_folder: the captures are all files of a folder, including old ones.
            watched: the source is configured, so its failures are recorded.
            existing: do nothing if there is no such source.
            hurried: leave captures for the next call when others took too long to parse.
            format: parse the captures as this format instead of detecting it.
        """
        time = ReadingTime(self._seconds if hurried else inf)
        with ExitStack() as alone:
            try:
                alone.enter_context(self._database.alone(source))
                with self._database.write() as tx:
                    if existing and not sources.find(tx, source):
                        return
                    row = sources.ensure(tx, source, watched=watched)
                    rows = snapshots.unfinished(tx, row.id)
            except StorageError as error:
                yield from (report.failed(source, report.origin(one), error) for one in captured)
                return
            left = [snapshot.id for snapshot in rows]
            store = CaptureStore(
                self._database, self._clock, source, row.id, left, watched=watched, format=format
            )
            store_all: _StoreAll = partial(store.store, captured)
            if row.opened or announce_all:
                stored = store_all(opening=False, ever=whole_folder)
                yield from self._process_each(chain(left, stored), changes.Rule(), time)
            elif row.opening_day or row.opening_snapshot:
                yield from self._open_on(row, rows, store_all, time)
            else:
                yield from self._open(row.id, [*left, *store_all(opening=True, ever=True)], time)

    def leftovers(self, *, excluded: Container[str] = ()) -> Iterator[CaptureReport]:
        """Settles the snapshots that earlier runs left, except those of `excluded` sources."""
        with self._database.read() as tx:
            names = snapshots.sources_left(tx)
        for name in names:
            if name in excluded:
                continue
            # The source may have been renamed since; its snapshots then have the new name.
            yield from self.captures(name, (), existing=True)

    def _open(
        self, source: int, steps: Sequence[int | CaptureReport], time: ReadingTime
    ) -> Iterator[CaptureReport]:
        """Runs the first ingest of a source, after all its captures are stored.

        The rule for the papers to announce is stored first, so that after an interruption the
        next run follows the same rule. It follows from all captures, so nothing is announced
        before all of them are parsed or given up.
        """
        ids = [step for step in steps if isinstance(step, int)]
        done: dict[int, CaptureReport] = {}
        with ParsedSpool() as spool:
            try:
                rule = opening_rule(spool.through(self._parse_each(ids, time, done)))
                waits = any(one.postponed for one in done.values())
                for number in ids if waits else ():
                    if number not in done:
                        done[number] = self._processor.postpone(number)
                if not waits:
                    with self._database.write() as tx:
                        sources.begin_opening(tx, source, rule.latest_day, rule.last_snapshot)
            except StorageError as error:
                for number in ids:
                    done.setdefault(number, report.failed("", f"snapshot {number}", error))
            last = max((number for number in ids if number not in done), default=None)
            for step in steps:
                if isinstance(step, CaptureReport):
                    yield step
                elif step in done:
                    yield done[step]
                elif parsed := spool.get(step):
                    yield self._processor.settle(parsed, rule, opens=step == last)
                else:
                    yield self._processor.process(step, rule, ReadingTime(inf), opens=step == last)

    def _open_on(
        self,
        row: sources.SourceRow,
        rows: Sequence[SnapshotRow],
        store_all: _StoreAll,
        time: ReadingTime,
    ) -> Iterator[CaptureReport]:
        """Continues an interrupted first ingest by the rule that was stored when it began."""
        rule = changes.Rule(row.opening_day, row.opening_snapshot)
        first = [snapshot.id for snapshot in rows if snapshot.opening]
        yield from self._process_each(first, rule, time, opens=max(first, default=None))
        later = [snapshot.id for snapshot in rows if not snapshot.opening]
        stored = store_all(opening=False, ever=True)
        yield from self._process_each(chain(later, stored), changes.Rule(), time)

    def _parse_each(
        self, ids: Iterable[int], time: ReadingTime, done: dict[int, CaptureReport]
    ) -> Iterator[Parsed]:
        """Yields parsed snapshots of a first ingest while there is time; adds the others to `done`.

        Only captures that are given up use up time, because the others are parsed again next time.
        """
        for step in ids:
            if time.is_spent:
                done[step] = self._processor.postpone(step)
                continue
            parsed = self._processor.parse(step)
            if parsed.given_up:
                time.spend(parsed.seconds, whole=True)
                done[step] = self._processor.settle(parsed, changes.Rule(), opens=False)
            else:
                yield parsed

    def _process_each(
        self,
        steps: Iterable[int | CaptureReport],
        rule: changes.Rule,
        time: ReadingTime,
        *,
        opens: int | None = None,
    ) -> Iterator[CaptureReport]:
        """Parses and settles each snapshot; the one with the id `opens` opens the source."""
        for step in steps:
            if isinstance(step, CaptureReport):
                yield step
            else:
                yield self._processor.process(step, rule, time, opens=step == opens)
