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
    """Brings captures into the log.

    Args:
        database: where it is.
        clock: the current instant, aware.
        parse: reads captured bytes.
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
        format: str | None = None,
    ) -> Iterator[CaptureReport]:
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
                yield from (report.failed(source, report.origin(one), error) for one in captured)
                return
            store = CaptureStore(
                self._database, self._clock, source, row.id, left, watched=watched, format=format
            )
            if row.opened or announce_all:
                stored = store.store(captured, opening=False, ever=whole_folder)
                yield from self._process_each(chain(left, stored), changes.Rule())
            elif row.opening_day or row.opening_snapshot:
                # A first ingest that died: what it announces is decided.
                rule = changes.Rule(row.opening_day, row.opening_snapshot)
                last = left[-1] if left else None
                yield from self._process_each(left, rule, opens=last)
                stored = store.store(captured, opening=False, ever=True)
                yield from self._process_each(stored, changes.Rule())
            else:
                stored = store.store(captured, opening=True, ever=True)
                yield from self._open(row.id, [*left, *stored])

    def leftovers(self) -> Iterator[CaptureReport]:
        """Settles what runs that died have left, of any source."""
        with self._database.read() as tx:
            names = snapshots.sources_left(tx)
        for name in names:
            yield from self.captures(name, ())

    def _open(self, source: int, steps: Sequence[int | CaptureReport]) -> Iterator[CaptureReport]:
        """The first ingest of a source, when all its bytes are safe.

        What it announces is written down before anything is announced, so that a run
        that dies and the run after it decide alike.
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
                    yield self._processor.settle(spool.get(step), rule, opens=step == ids[-1])

    def _process_each(
        self, steps: Iterable[int | CaptureReport], rule: changes.Rule, *, opens: int | None = None
    ) -> Iterator[CaptureReport]:
        """Parses and settles each; the snapshot of the number `opens` opens the source."""
        for step in steps:
            if isinstance(step, CaptureReport):
                yield step
            else:
                yield self._processor.process(step, rule, opens=step == opens)
