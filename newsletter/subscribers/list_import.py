"""Adding the subscribers of a file, a chunk of rows in a transaction."""

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
"""Lines of a file taken in together."""


@dataclass(slots=True)
class Imported:
    """What became of the lines of a file.

    Attributes:
        known: were subscribers already, and stay as they are.
        left: unsubscribed, and stay so.
        suppressed: must not be written to, and stay so.
        bad: lines that no subscriber could be made of.
    """

    added: int = 0
    known: int = 0
    left: int = 0
    suppressed: int = 0
    bad: int = 0

    @property
    def lines(self) -> int:
        """All of them."""
        return self.added + self.known + self.left + self.suppressed + self.bad


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line of a file that no subscriber could be made of."""

    number: int
    problem: Problem


@dataclass(slots=True)
class _Chunk:
    """Subscribers to be added together, by normal address, and lines nothing can be done with."""

    lines: dict[str, SubscriberRow] = field(default_factory=dict)
    twice: int = 0
    bad: list[BadLine] = field(default_factory=list)


class SubscriberImport:
    """Adds the subscribers of a file.

    Args:
        database: where they go.
        rules: when they are due.
        clock: the current instant, aware.
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
        """Adds the subscribers of a file; yields the lines that could not be read, as they come.

        Existing subscribers keep their preferences; unsubscribed and suppressed ones stay so.

        Args:
            done: counts what became of them, after every chunk.
            progress: told how many lines are done.
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
