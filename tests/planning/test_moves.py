"""Many groups of subscribers are advanced at once as they would be one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from newsletter.models import Rendered
from newsletter.storage import due, editions, subscribers
from newsletter.storage.due import Group, NextState
from newsletter.storage.moves import Move, advance
from newsletter.storage.subscribers import Newcomer, Preferences
from newsletter.subscribers.address import parse_address
from tests.support.databases import new_database
from tests.support.planning_room import A_DAY, DUE, HOUR

MANY = 12

PREFERENCES = st.builds(
    Preferences,
    st.sampled_from(["daily", "weekdays"]),
    st.sampled_from([None, "UTC", "Asia/Tokyo"]),
    st.sampled_from([None, "06:00"]),
)
PEOPLE = st.lists(st.tuples(PREFERENCES, st.booleans()), min_size=MANY, max_size=MANY)
NEXT = st.builds(
    NextState,
    st.sampled_from([0, 5]),
    st.sampled_from([None, DUE + A_DAY]),
    st.sampled_from([None, date(2026, 11, 20)]),
    st.booleans(),
)
SPANS = st.sampled_from([(0, MANY), (0, 5), (5, 2**63 - 1), (MANY, MANY)])


def state(tx: Connection) -> tuple[list[object], list[object]]:
    """Returns all subscribers and all deliveries."""
    queued = tx.exec_driver_sql(
        "SELECT edition_id, part, subscriber_id, state, try_at, attempts, changed_at "
        "FROM deliveries ORDER BY subscriber_id, part"
    )
    return list(subscribers.listed(tx)), list(queued.all())


def one_after_the_other(
    tx: Connection, moves: Sequence[Move], span: tuple[int, int], edition: int
) -> int:
    """Advances each group by statements of its own."""
    many = 0
    for move in moves:
        sent = {"edition": edition, "parts": 2} if move.sends else {}
        done = due.plan(tx, move.group, span, move.next_state, DUE, **sent)
        many += done if move.sends else 0
    return many


def newcomer(number: int, preferences: Preferences, *, is_late: bool) -> Newcomer:
    """Returns a subscriber who is due, some for an hour."""
    address = parse_address(f"reader{number}@example.org")
    due_at = DUE - HOUR if is_late else DUE
    return Newcomer(address.display, address.normal, address.domain, preferences, due_at)


@given(PEOPLE, st.lists(st.tuples(NEXT, st.booleans()), min_size=MANY, max_size=MANY), SPANS)
def test_groups_are_advanced_together(
    people: list[tuple[Preferences, bool]],
    next_states: list[tuple[NextState, bool]],
    span: tuple[int, int],
) -> None:
    """Cursors, due times, served dates and deliveries are the same, and so is the count."""
    with TemporaryDirectory() as folder, new_database(Path(folder) / "a.db") as database:
        with database.write() as tx:
            rows = [newcomer(n, one, is_late=late) for n, (one, late) in enumerate(people)]
            subscribers.add(tx, rows, 0, DUE - timedelta(days=1))
            parts = [Rendered("a", "b", "c"), Rendered("d", "e", "f")]
            tx.exec_driver_sql(
                "UPDATE subscribers SET merged = 1, last_due_on = '2026-11-18' WHERE id % 3 = 0"
            )
            edition = editions.freeze(tx, "k", [1], "en", "default", parts, DUE).id
        with database.read() as tx:
            groups = due.due(tx, DUE)
        moves = [Move(group, *chosen) for group, chosen in zip(groups, next_states, strict=False)]
        found = []
        for way in (one_after_the_other, together):
            with database.write() as tx, tx.begin_nested() as attempt:
                many = way(tx, moves, span, edition)
                found.append((many, state(tx)))
                attempt.rollback()
        assert found[0] == found[1]
        assert found[0][1][0] or not people


def together(tx: Connection, moves: Sequence[Move], span: tuple[int, int], edition: int) -> int:
    """Advances all groups at once."""
    return advance(tx, moves, span, DUE, edition=edition, parts=2)


def test_a_group_is_told_from_another_by_each_of_its_columns() -> None:
    """Otherwise members of one would get the state of the other."""
    fields = set(Group.__dataclass_fields__) - {"cursor", "size"}
    assert fields == {"due_at", "cadence", "time_zone", "send_at", "merged", "last_on"}
