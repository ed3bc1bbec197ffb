"""Adds the subscribers of a CSV file, one transaction per chunk of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from newsletter.messages import tokens
from newsletter.models import SubscriberState
from newsletter.planning.rules import Rules
from newsletter.storage import subscribers
from newsletter.storage.database import Database
from newsletter.subscribers.activation import newcomer, newcomer_cursor, reactivate
from newsletter.subscribers.csv_columns import SubscriberRow
from newsletter.subscribers.csv_import import Problem

CHUNK = 1_000
"""Lines of a file imported in one transaction."""


@dataclass(slots=True)
class Imported:
    """The result of an import, in numbers of lines.

    Attributes:
        known: lines of existing subscribers, who are not changed, and duplicate lines.
        left: lines of unsubscribed addresses, which stay so.
        suppressed: lines of suppressed addresses, which stay so.
        bad: lines that are not a valid subscriber row.
    """

    added: int = 0
    known: int = 0
    left: int = 0
    suppressed: int = 0
    bad: int = 0

    @property
    def lines(self) -> int:
        """Total number of lines."""
        return self.added + self.known + self.left + self.suppressed + self.bad


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line of a file that is not a valid subscriber row."""

    number: int
    problem: Problem


@dataclass(slots=True)
class _Chunk:
    """The rows of one transaction by normalised address, and the bad lines among them."""

    lines: dict[str, SubscriberRow] = field(default_factory=dict)
    twice: int = 0
    bad: list[BadLine] = field(default_factory=list)


class SubscriberImport:
    """Adds the subscribers of a file.

    Args:
        database: the newsletter's database.
        rules: when subscribers are due.
        clock: returns the current time, timezone-aware.
    """

    def __init__(self, database: Database, rules: Rules, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._rules = rules
        self._clock = clock
        self._own_key = database.keys.own

    def add(
        self,
        lines: Iterable[tuple[int, SubscriberRow | Problem]],
        done: Imported,
        progress: Callable[[int], None] = lambda _lines: None,
    ) -> Iterator[BadLine]:
        """Adds the subscribers of a file, and yields the bad lines after each chunk.

        Existing subscribers keep their preferences, and pending ones become active.
        Unsubscribed and suppressed ones stay so.

        Args:
            lines: rows or problems with their line numbers.
            done: updated after each chunk.
            progress: called with the number of lines done.
        """
        walked = iter(lines)
        while chunk := list(islice(walked, CHUNK)):
            sorted_out = _sorted_out(chunk)
            self._add_chunk(sorted_out, done)
            done.bad += len(sorted_out.bad)
            yield from sorted_out.bad
            progress(done.lines)

    def _add_chunk(self, chunk: _Chunk, done: Imported) -> None:
        now = self._clock()
        suppressions = {
            tokens.suppression_hash(self._own_key, line.address.normal): normal
            for normal, line in chunk.lines.items()
        }
        with self._database.write() as tx:
            suppressed = {
                suppressions[suppression_hash]
                for suppression_hash in subscribers.suppressed(tx, suppressions)
            }
            states = subscribers.states(tx, chunk.lines.keys())
            fresh = chunk.lines.keys() - suppressed - states.keys()
            newcomers = [
                newcomer(line, self._rules, now)
                for normal, line in chunk.lines.items()
                if normal in fresh
            ]
            subscribers.add(tx, newcomers, newcomer_cursor(tx, now), now)
            pending = [
                normal
                for normal, state in states.items()
                if state is SubscriberState.PENDING and normal not in suppressed
            ]
            for normal in pending:
                found = subscribers.find(tx, normal)
                if found:
                    reactivate(tx, found, self._rules, now)
        left = sum(
            state is SubscriberState.UNSUBSCRIBED and normal not in suppressed
            for normal, state in states.items()
        )
        barred = len(
            suppressed | {n for n, state in states.items() if state is SubscriberState.SUPPRESSED}
        )
        done.added += len(fresh) + len(pending)
        done.left += left
        done.suppressed += barred
        done.known += chunk.twice + len(chunk.lines) - len(fresh) - len(pending) - left - barred


def _sorted_out(rows: Sequence[tuple[int, SubscriberRow | Problem]]) -> _Chunk:
    chunk = _Chunk()
    for number, row in rows:
        if isinstance(row, Problem):
            chunk.bad.append(BadLine(number, row))
        elif row.address.normal in chunk.lines:
            chunk.twice += 1
        else:
            chunk.lines[row.address.normal] = row
    return chunk
