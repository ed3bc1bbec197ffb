"""Adds the subscribers of a CSV file, one transaction per chunk of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from itertools import islice

from sqlalchemy import Connection

from newsletter.messages import tokens
from newsletter.models import SubscriberState
from newsletter.planning.rules import Rules
from newsletter.storage import cancellations, subscribers
from newsletter.storage.database import Database
from newsletter.subscribers.activation import newcomer, newcomer_cursor, reactivate
from newsletter.subscribers.csv_columns import SubscriberRow
from newsletter.subscribers.csv_import import Problem
from newsletter.subscribers.other_services import Fate

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
        newly_unsubscribed: lines of addresses that left another service, and are now
            unsubscribed here.
        newly_suppressed: lines of addresses that another service does not write to, and are now
            suppressed here.
        unconfirmed: lines of addresses that never confirmed, which are left out.
    """

    added: int = 0
    known: int = 0
    left: int = 0
    suppressed: int = 0
    bad: int = 0
    newly_unsubscribed: int = 0
    newly_suppressed: int = 0
    unconfirmed: int = 0

    @property
    def lines(self) -> int:
        """Total number of lines."""
        return sum(getattr(self, one.name) for one in fields(self))


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line of a file that is not a valid subscriber row."""

    number: int
    problem: Problem


@dataclass(slots=True)
class _Chunk:
    """The rows of one transaction by normalised address, and the bad lines among them.

    Attributes:
        lines: rows of subscribers who get mail.
        stopped: rows of subscribers who left another service, or must not be written to.
    """

    lines: dict[str, SubscriberRow] = field(default_factory=dict)
    stopped: dict[str, SubscriberRow] = field(default_factory=dict)
    twice: int = 0
    unconfirmed: int = 0
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
        Unsubscribed and suppressed ones stay so. Subscribers who left another service, or to
        whom it does not write, get no mail from here either.

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
        with self._database.write() as tx:
            self._stop(tx, chunk.stopped, done, now)
            self._activate(tx, chunk.lines, done, now)
        done.known += chunk.twice
        done.unconfirmed += chunk.unconfirmed

    def _activate(
        self, tx: Connection, lines: dict[str, SubscriberRow], done: Imported, now: datetime
    ) -> None:
        suppressed = self._suppressed(tx, lines)
        states = subscribers.states(tx, lines.keys())
        fresh = lines.keys() - suppressed - states.keys()
        newcomers = [
            newcomer(line, self._rules, now) for normal, line in lines.items() if normal in fresh
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
        done.known += len(lines) - len(fresh) - len(pending) - left - barred

    def _stop(
        self, tx: Connection, lines: dict[str, SubscriberRow], done: Imported, now: datetime
    ) -> None:
        """Ends the subscriptions of addresses that left another service, and suppresses some."""
        suppressed = self._suppressed(tx, lines)
        states = subscribers.states(tx, lines.keys())
        newcomers = []
        for normal, line in lines.items():
            state = states.get(normal)
            is_barred = line.record is not None and line.record.fate is Fate.SUPPRESSED
            if normal in suppressed or state is SubscriberState.SUPPRESSED:
                done.suppressed += 1
            elif is_barred:
                self._suppress(tx, line, now)
                done.newly_suppressed += 1
            elif state is SubscriberState.UNSUBSCRIBED:
                done.left += 1
            else:
                done.newly_unsubscribed += 1
                newcomers += [newcomer(line, self._rules, now)] if state is None else []
            if state not in (None, SubscriberState.SUPPRESSED, SubscriberState.UNSUBSCRIBED):
                # Not "suppressed": that may be undone for many subscribers at once.
                found = subscribers.get(tx, normal)
                subscribers.stop(tx, found.id, SubscriberState.UNSUBSCRIBED, now)
                cancellations.cancel(tx, found.id, now)
        subscribers.add(tx, newcomers, newcomer_cursor(tx, now), now)

    def _suppress(self, tx: Connection, line: SubscriberRow, now: datetime) -> None:
        service = line.record.service if line.record else ""
        suppression_hash = tokens.suppression_hash(self._own_key, line.address.normal)
        reason = f"{service} does not write to it, according to its export"
        subscribers.suppress(tx, suppression_hash, reason, now)

    def _suppressed(self, tx: Connection, normals: Iterable[str]) -> set[str]:
        hashes = {tokens.suppression_hash(self._own_key, normal): normal for normal in normals}
        return {hashes[found] for found in subscribers.suppressed(tx, hashes)}


def _sorted_out(rows: Sequence[tuple[int, SubscriberRow | Problem]]) -> _Chunk:
    chunk = _Chunk()
    for number, row in rows:
        if isinstance(row, Problem):
            chunk.bad.append(BadLine(number, row))
            continue
        normal, fate = row.address.normal, row.record.fate if row.record else Fate.ACTIVE
        if fate is Fate.UNCONFIRMED:
            chunk.unconfirmed += 1
        elif fate is Fate.ACTIVE:
            chunk.twice += normal in chunk.lines or normal in chunk.stopped
            if normal not in chunk.stopped:
                chunk.lines.setdefault(normal, row)
        else:
            # It outweighs any other row of the same address.
            chunk.twice += normal in chunk.lines or normal in chunk.stopped
            chunk.lines.pop(normal, None)
            if fate is Fate.SUPPRESSED or normal not in chunk.stopped:
                chunk.stopped[normal] = row
    return chunk
