"""Capture → log: the only way papers enter the log.

    store      bytes → snapshot                           one transaction
    parse      bytes → papers                             no transaction
    settle     held for review, or papers in the log      one transaction

A crash leaves a snapshot stored but not settled; the next ingest of its source settles
it first. Nothing is announced twice, because a key never moves to another paper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from itertools import chain

from newsletter import formats
from newsletter.errors import StorageError
from newsletter.papers import changes, report
from newsletter.papers.capture_store import CaptureStore
from newsletter.papers.parsed_spool import ParsedSpool
from newsletter.papers.report import CaptureReport
from newsletter.papers.snapshot_processing import Parse, SnapshotProcessor, opening_rule
from newsletter.sources import Captured
from newsletter.storage import snapshots, sources
from newsletter.storage.database import Database


class Ingest:
    """Adds captures to the log.

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
        format: str | None = None,
    ) -> Iterator[CaptureReport]:
        """Ingests what a source returned, in order, and yields a report for each capture.

        Only one process at a time ingests a source; others wait for it.

        Args:
            source: name of the source.
            captured: its captures, or the errors in place of them.
            announce_all: announce all new papers, even on the source's first ingest.
            whole_folder: the captures are all files of a folder, including old ones.
            watched: the source is configured, so its failures are recorded.
            existing: do nothing if there is no such source.
            format: parse the captures as this format instead of detecting it.
        """
        with ExitStack() as alone:
            try:
                alone.enter_context(self._database.alone(source))
                with self._database.write() as tx:
                    if existing and not sources.find(tx, source):
                        return
                    row = sources.ensure(tx, source, watched=watched)
                    left = [snapshot.id for snapshot in snapshots.unfinished(tx, row.id)]
            except StorageError as error:
                yield from (report.failed(source, report.origin(one), error) for one in captured)
                return
            store = CaptureStore(
                self._database, self._clock, source, row.id, left, watched=watched, format=format
            )
            if row.opened or announce_all:
                stored = store.store(captured, opening=False, ever=whole_folder)
                yield from self._process_each(chain(left, stored), changes.Rule())
            elif row.opening_day or row.opening_snapshot:
                # A first ingest was interrupted; what it announces was decided then.
                rule = changes.Rule(row.opening_day, row.opening_snapshot)
                yield from self._process_each(left, rule, opens=max(left, default=None))
                stored = store.store(captured, opening=False, ever=True)
                yield from self._process_each(stored, changes.Rule())
            else:
                stored = store.store(captured, opening=True, ever=True)
                yield from self._open(row.id, [*left, *stored])

    def leftovers(self) -> Iterator[CaptureReport]:
        """Settles the snapshots that interrupted runs left, for all sources."""
        with self._database.read() as tx:
            names = snapshots.sources_left(tx)
        for name in names:
            # It may have been renamed meanwhile; what was left of it then has its new name.
            yield from self.captures(name, (), existing=True)

    def _open(self, source: int, steps: Sequence[int | CaptureReport]) -> Iterator[CaptureReport]:
        """Runs the first ingest of a source, after all its captures are stored.

        The rule for what is announced is stored first, so that after an interruption the
        next run follows the same rule.
        """
        ids = [step for step in steps if isinstance(step, int)]
        with ParsedSpool() as spool:
            try:
                rule = opening_rule(spool.through(map(self._processor.parse, ids)))
                with self._database.write() as tx:
                    sources.begin_opening(tx, source, rule.latest_day, rule.last_snapshot)
            except StorageError as error:
                for step in steps:
                    yield (
                        step
                        if isinstance(step, CaptureReport)
                        else report.failed("", f"snapshot {step}", error)
                    )
                return
            for step in steps:
                if isinstance(step, CaptureReport):
                    yield step
                else:
                    parsed, opens = spool.get(step), step == ids[-1]
                    if parsed:
                        yield self._processor.settle(parsed, rule, opens=opens)
                    else:
                        yield self._processor.process(step, rule, opens=opens)

    def _process_each(
        self, steps: Iterable[int | CaptureReport], rule: changes.Rule, *, opens: int | None = None
    ) -> Iterator[CaptureReport]:
        """Parses and settles each snapshot; the one with the id `opens` opens the source."""
        for step in steps:
            if isinstance(step, CaptureReport):
                yield step
            else:
                yield self._processor.process(step, rule, opens=step == opens)
