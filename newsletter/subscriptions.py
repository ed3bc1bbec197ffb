"""Who gets editions: adding people, and everything they or the operator may change.

Every change and what follows from it (due times, cancelled deliveries, suppressions) is
one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection

from newsletter import csv_export, tokens
from newsletter.activation import newcomer, newcomer_cursor, reactivate
from newsletter.csv_columns import SubscriberRow, parse_column
from newsletter.csv_import import Problem
from newsletter.errors import UsageError
from newsletter.models import SubscriberState
from newsletter.planning import Rules
from newsletter.recipients import Address, parse_address
from newsletter.storage import outbox, people, readers
from newsletter.storage.database import Database
from newsletter.storage.people import Newcomer, Subscriber, Wishes

CHUNK = 1_000
"""Lines of a file taken in together."""
_FORGOTTEN = "asked to be forgotten"
_WHEN_REMOVED = {
    SubscriberState.PAUSED: people.PAUSED_WHEN_REMOVED,
    SubscriberState.UNSUBSCRIBED: "had left when removed",
    SubscriberState.SUPPRESSED: "suppressed when removed",
}


@dataclass(slots=True)
class Imported:
    """What became of the lines of a file.

    Attributes:
        known: were subscribers already, and stay as they are.
        left: unsubscribed, and stay so.
        suppressed: must not be written to, and stay so.
        bad: lines that nobody could be made of.
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
    """A line of a file that nobody could be made of."""

    number: int
    problem: Problem


@dataclass(slots=True)
class _Chunk:
    """People to be added together, by normal address, and lines nothing can be done with."""

    lines: dict[str, SubscriberRow] = field(default_factory=dict)
    twice: int = 0
    bad: list[BadLine] = field(default_factory=list)


class Subscriptions:
    """Changes who gets editions.

    Args:
        database: where it is.
        rules: when people are due.
        clock: the current instant, aware.
    """

    def __init__(self, database: Database, rules: Rules, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._rules = rules
        self._clock = clock
        self._own_key = database.keys.own

    def add(self, line: SubscriberRow, *, unsuppress: bool = False) -> tuple[Subscriber, bool]:
        """Makes somebody active, whatever they were; and whether they were not before.

        Args:
            unsuppress: also if the address is suppressed; it may be written to again then.

        Raises:
            UsageError: the address is suppressed.
        """
        now = self._clock()
        with self._database.write() as tx:
            self._check_suppression(tx, line.address, unsuppress=unsuppress)
            found = people.find(tx, line.address.normal)
            if found is None:
                people.add(tx, [self._newcomer(line, now)], newcomer_cursor(tx, now), now)
            elif found.state is not SubscriberState.ACTIVE:
                asked = Wishes(line.cadence, line.time_zone, line.send_at, line.topics)
                if asked != Wishes():
                    people.change(tx, found.id, asked, None)
                    found = replace(found, wishes=asked)
                reactivate(tx, found, self._rules, now)
            added = found is None or found.state is not SubscriberState.ACTIVE
            return self._found(tx, line.address), added

    def take_in(
        self,
        lines: Iterable[tuple[int, SubscriberRow | Problem]],
        done: Imported,
        progress: Callable[[int], None] = lambda _lines: None,
    ) -> Iterator[BadLine]:
        """Adds the people of a file; the lines that could not be read, as they come.

        Who is known keeps what they chose; who left, or must not be written to, stays so.

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

    def change(self, address: Address, **wishes: object) -> Subscriber:
        """Gives somebody other wishes: `cadence`, `time_zone`, `send_at`, `topics`.

        Raises:
            UsageError: there is no such subscriber.
        """
        now = self._clock()
        with self._database.write() as tx:
            found = self._found(tx, address)
            wanted = replace(found.wishes, **wishes)  # type: ignore[arg-type]
            active = found.state is SubscriberState.ACTIVE
            overdue = found.next_due_at is not None and found.next_due_at <= now
            due = found.next_due_at if overdue else self._due(wanted, found, now)
            people.change(tx, found.id, wanted, due if active else None)
            return self._found(tx, address)

    def pause(self, address: Address) -> Subscriber:
        """Somebody gets nothing for a while. What waits for them goes when they are back.

        Raises:
            UsageError: there is no such subscriber, or they are not active.
        """
        return self._stop(address, SubscriberState.PAUSED, outbox.PAUSED)

    def unsubscribe(self, address: Address) -> Subscriber:
        """Somebody leaves; their address is kept so that an import does not bring them back.

        Raises:
            UsageError: there is no such subscriber.
        """
        return self._stop(address, SubscriberState.UNSUBSCRIBED, outbox.LEFT)

    def resume(self, address: Address) -> Subscriber:
        """A pause ends: nothing was skipped.

        Raises:
            UsageError: there is no such subscriber, or they are not paused.
        """
        now = self._clock()
        with self._database.write() as tx:
            found = self._found(tx, address)
            if found.state is SubscriberState.PAUSED:
                reactivate(tx, found, self._rules, now)
            elif found.state is not SubscriberState.ACTIVE:
                raise UsageError(
                    f"{found.address} is {found.state}, not paused",
                    hint="`newsletter subscribers add` brings somebody back who asks for it",
                )
            return self._found(tx, address)

    def remove(self, address: Address, *, forget: bool = False) -> None:
        """Deletes somebody. What waits for them is cancelled.

        Args:
            forget: also what servers said of them, and never write to the address again.

        Raises:
            UsageError: there is no such subscriber.
        """
        now = self._clock()
        with self._database.write() as tx:
            found = self._found(tx, address)
            self._note_removal(tx, found, now, forget=forget)
            if forget:
                people.suppress(tx, self._mark(address), _FORGOTTEN, now)
                readers.erase(tx, found, now)
                return
            outbox.cancel(tx, found.id, now)
            people.remove(tx, found.id)

    def find(self, address: Address) -> Subscriber:
        """Somebody by their address.

        Raises:
            UsageError: there is no such subscriber.
        """
        with self._database.read() as tx:
            return self._found(tx, address)

    def listed(self, state: SubscriberState | None = None) -> Iterator[Subscriber]:
        """All subscribers in the order they came."""
        with self._database.read() as tx:
            yield from people.listed(tx, state)

    def exported(self, state: SubscriberState) -> Iterator[str]:
        """The lines of a file with everybody in a state."""
        return csv_export.write(_line(one) for one in self.listed(state))

    def _stop(self, address: Address, state: SubscriberState, why: str) -> Subscriber:
        now = self._clock()
        with self._database.write() as tx:
            found = self._found(tx, address)
            may = found.state is SubscriberState.ACTIVE or (
                state is SubscriberState.UNSUBSCRIBED
                and found.state is not SubscriberState.SUPPRESSED
            )
            if not may and found.state is not state:
                raise UsageError(f"{found.address} is {found.state}, not active")
            if may and found.state is not state:
                people.stop(tx, found.id, state, now)
                outbox.cancel(tx, found.id, now, why)
            return self._found(tx, address)

    def _add_chunk(self, chunk: _Chunk, done: Imported) -> None:
        now = self._clock()
        marks = {self._mark(line.address): normal for normal, line in chunk.lines.items()}
        with self._database.write() as tx:
            suppressed = {marks[mark] for mark in people.suppressed(tx, marks)}
            states = people.states(tx, chunk.lines.keys())
            fresh = chunk.lines.keys() - suppressed - states.keys()
            newcomers = [
                self._newcomer(line, now) for normal, line in chunk.lines.items() if normal in fresh
            ]
            people.add(tx, newcomers, newcomer_cursor(tx, now), now)
            pending = [
                normal
                for normal, state in states.items()
                if state is SubscriberState.PENDING and normal not in suppressed
            ]
            for normal in pending:
                found = people.find(tx, normal)
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

    def _newcomer(self, line: SubscriberRow, now: datetime) -> Newcomer:
        preferences = Wishes(line.cadence, line.time_zone, line.send_at, line.topics)
        return newcomer(line.address, preferences, self._rules, now)

    def _due(self, wishes: Wishes, found: Subscriber, now: datetime) -> datetime:
        return self._rules.next_due(wishes, found.last_due_on, now)

    def _check_suppression(self, tx: Connection, address: Address, *, unsuppress: bool) -> None:
        mark = self._mark(address)
        if unsuppress:
            people.unsuppress(tx, mark)
        elif reason := people.suppressed(tx, [mark]).get(mark):
            raise UsageError(
                f"{address.display} is suppressed: {reason}",
                hint="if they ask for it, `newsletter subscribers add --unsuppress`",
            )

    def _mark(self, address: Address) -> bytes:
        return tokens.mark(self._own_key, address.normal)

    def _note_removal(
        self, tx: Connection, found: Subscriber, now: datetime, *, forget: bool
    ) -> None:
        """A restore brings back who was removed: not who left, and paused who was.

        The backup may have them active, and under another address; so it is their number that
        is suppressed, which nobody else is ever given.
        """
        mark = tokens.mark(self._own_key, str(found.id))
        why = _FORGOTTEN if forget else _WHEN_REMOVED.get(found.state)
        people.unsuppress(tx, mark)
        if why:
            people.suppress(tx, mark, why, now)

    def _found(self, tx: Connection, address: Address) -> Subscriber:
        found = people.find(tx, address.normal)
        if found is None:
            raise UsageError(
                f"there is no subscriber {address.display}", hint="`newsletter subscribers list`"
            )
        return found


def address_of(text: str) -> Address:
    """The address that somebody typed.

    Raises:
        UsageError: it is none.
    """
    try:
        return parse_address(text)
    except ValueError as exc:
        raise UsageError(str(exc), where=text) from exc


def line_of(address: str, **typed: str | None) -> SubscriberRow:
    """Somebody as typed on a command line.

    Raises:
        UsageError: the address or a wish is none.
    """
    return SubscriberRow(address_of(address), **wishes_of(**typed))


def wishes_of(**typed: str | None) -> dict[str, Any]:
    """Wishes as typed on a command line, without those that were not.

    Raises:
        UsageError: one is none; says what to write instead.
    """
    wishes: dict[str, Any] = {}
    for name, text in typed.items():
        if text is not None:
            try:
                wishes[name] = parse_column(name, text)
            except ValueError as exc:
                raise UsageError(str(exc), where=f"--{name.replace('_', '-')} {text}") from exc
    return wishes


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


def _line(one: Subscriber) -> SubscriberRow:
    wishes = one.wishes
    return SubscriberRow(
        parse_address(one.address),
        wishes.cadence,
        wishes.time_zone,
        wishes.send_at,
        wishes.topics,
    )
