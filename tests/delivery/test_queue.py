"""The queue of a run: every delivery once, in order, as fast as the rates allow, within bounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.delivery.queue import MOST_HELD_BACK, PAGE, Queue
from newsletter.delivery.throttle import Rates
from newsletter.storage.outbox import QueuedDelivery
from tests.support.soak import SOAK

SLOW, SLOWER, FREE, OTHER = "slow.example", "slower.example", "free.example", "other.example"
DOMAINS = (SLOW, SLOWER, FREE, OTHER)
CLOSE = 1e-6
"""Rounding error in seconds that sums of fractions may have."""


@dataclass
class Table:
    """The waiting deliveries in the database, and the queries that were made."""

    page: int = PAGE
    rows: dict[int, str] = field(default_factory=dict)
    """Domains of the deliveries that were not taken yet, in order."""
    added: int = 0
    asked: int = 0
    most_held: int = 0
    """The largest number of deliveries that the queue had in memory when it asked for more."""

    def add(self, *domains: str) -> None:
        """Adds further deliveries behind the others."""
        for domain in domains:
            self.added += 1
            self.rows[self.added] = domain

    def refill(
        self, without: Collection[int], domains_without: Collection[str]
    ) -> list[QueuedDelivery]:
        """Returns the next page, as the SQL query does."""
        self.asked += 1
        held = set(without)
        self.most_held = max(self.most_held, len(held))
        assert len(held) == len(without)
        assert held <= self.rows.keys(), "deliveries in memory that were taken already"
        found = (
            waiting(number, domain)
            for number, domain in self.rows.items()
            if number not in held and domain not in domains_without
        )
        return list(islice(found, self.page))

    def take(self, rows: Iterable[QueuedDelivery]) -> None:
        """Removes these deliveries, as a claim does."""
        for one in rows:
            assert self.rows.pop(one.id) == one.domain


@dataclass
class Run:
    """A queue, the table behind it, a clock, and the deliveries taken with their times."""

    table: Table
    queue: Queue
    now: float = 0.0
    taken: list[tuple[float, int, str]] = field(default_factory=list)

    def take(self, many: int = 10**6) -> list[int]:
        """Takes up to this many deliveries and claims them. Returns their ids."""
        rows = self.queue.take(many, self.now)
        assert len(rows) <= many
        self.table.take(rows)
        self.taken += [(self.now, one.id, one.domain) for one in rows]
        return [one.id for one in rows]

    def drain(self, many: int = 10**6) -> None:
        """Takes, waits as long as the queue says, and takes again, until nothing is left."""
        for _ in range(100_000):
            if self.take(many):
                continue
            wait = self.queue.wait(self.now)
            if wait is None:
                self.queue.look_again()
                if not self.queue.has_more():
                    return
            else:
                self.now += wait
        pytest.fail("it never comes to an end")

    @property
    def numbers(self) -> list[int]:
        """The ids of the deliveries taken, in order."""
        return [number for _, number, _ in self.taken]

    def times(self, domain: str) -> list[float]:
        """Returns the times at which mails to this domain were taken."""
        return [at for at, _, one in self.taken if one == domain]


def waiting(number: int, domain: str = FREE) -> QueuedDelivery:
    """Returns a delivery to a subscriber at this domain."""
    return QueuedDelivery(number, 1, 1, number, 0, f"a{number}@{domain}", domain, 0, None)


class Open:
    """A gate that lets everything pass, except chosen domains."""

    def __init__(self) -> None:
        self.closed: set[str] = set()
        self.begun: list[int] = []

    def may_try(self, one: QueuedDelivery) -> bool:
        """Whether its domain is open."""
        return one.domain not in self.closed

    def begin(self, one: QueuedDelivery) -> None:
        """Records that it is tried."""
        self.begun.append(one.id)


def run(
    *domains: str,
    per_second: float | None = None,
    per_domain: Mapping[str, float] | None = None,
    page: int = PAGE,
) -> Run:
    """A run whose deliveries go to these domains, in this order."""
    table = Table(page)
    table.add(*domains)
    return Run(table, Queue(Rates(per_second, per_domain or {}), table.refill, Open()))


# --- order


def test_deliveries_are_taken_in_order() -> None:
    """The order holds over any number of pages, in portions of any size."""
    for many in (1, 7, 10**6):
        one = run(*[FREE, OTHER] * PAGE)
        one.drain(many)
        assert one.numbers == list(range(1, 2 * PAGE + 1))


def test_no_more_are_taken_than_are_wanted() -> None:
    """The rest stays for the next call."""
    one = run(*[FREE] * 10)
    assert one.take(0) == []
    assert one.take(3) == [1, 2, 3]
    assert one.take(3) == [4, 5, 6]
    assert one.take(30) == [7, 8, 9, 10]
    assert one.take(3) == []


def test_an_empty_table_is_not_queried_again() -> None:
    """Only `look_again` makes the queue read it again."""
    one = run()
    assert one.take() == []
    assert not one.queue.has_more()
    assert one.queue.wait(0.0) is None
    assert one.table.asked == 1
    one.table.add(FREE)
    assert one.take() == []
    assert not one.queue.has_more()
    one.queue.look_again()
    assert one.queue.has_more()
    assert one.take() == [1]


def test_there_is_no_wait_after_the_last_delivery() -> None:
    """No rate limit has to pass to find out that nothing is left."""
    one = run(FREE, FREE, per_second=0.001, page=1)
    assert one.take(1) == [1]
    assert one.queue.wait(0.0) == 1_000.0
    one.now = 1_000.0
    assert one.take(1) == [2]
    assert one.queue.wait(1_000.0) is None
    assert not one.queue.has_more()


def test_later_deliveries_are_found() -> None:
    """They are found even after the run had taken everything."""
    one = run(FREE)
    one.drain()
    one.table.add(OTHER, FREE)
    one.drain()
    assert one.numbers == [1, 2, 3]


# --- rates


def test_the_overall_rate() -> None:
    """One is taken now, and the next exactly when its time has come."""
    one = run(*[FREE] * 5, per_second=4)
    assert one.take() == [1]
    assert one.take() == []
    assert one.queue.wait(0.0) == 0.25
    one.now = 0.2499
    assert one.take() == []
    one.now = 0.25
    assert one.take() == [2]
    one.drain()
    assert one.times(FREE) == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])


def test_the_rate_of_one_domain() -> None:
    """Other domains do not wait for it, and it continues beside them at its own rate."""
    one = run(*[SLOW] * 3, FREE, FREE, per_domain={SLOW: 2})
    assert one.take() == [1, 4, 5]
    assert one.queue.wait(0.0) == 0.5
    assert one.queue.has_more()
    one.drain()
    assert one.times(SLOW) == [0, 0.5, 1.0]


def test_the_wait_is_that_of_the_first_domain_allowed() -> None:
    """A slower domain does not make it longer."""
    one = run(*[SLOWER, SLOW] * 3, per_domain={SLOW: 0.5, SLOWER: 0.1})
    assert one.take() == [1, 2]
    assert one.queue.wait(0.0) == 2.0
    assert one.queue.wait(1.5) == 0.5
    assert one.queue.wait(3.0) == 0.0
    one.drain()
    assert one.times(SLOW) == [0, 2, 4]
    assert one.times(SLOWER) == [0, 10, 20]


def test_a_notice_has_no_domain_rate() -> None:
    """It waits for the overall rate alone."""
    one = run("", "", SLOW, per_second=1, per_domain={SLOW: 0.1})
    one.drain()
    assert [at for at, _, _ in one.taken] == [0, 1, 2]


def test_a_slow_domain_uses_its_whole_rate() -> None:
    """It does so however much is sent elsewhere, and if a worker takes one delivery at a time."""
    one = run(*[SLOW] * 21, *[FREE] * 500, per_domain={SLOW: 1})
    while one.table.rows:
        one.take(1)
        one.now += 0.0625
    assert one.times(SLOW) == pytest.approx(list(range(21)), abs=0.0626)


@pytest.mark.parametrize("many", [1, 4, 10**6])
@pytest.mark.parametrize("page", [2, 7, PAGE])
def test_a_slow_domain_does_not_slow_others_under_an_overall_rate(many: int, page: int) -> None:
    """While it waits, other domains use the whole overall rate."""
    one = run(*[SLOW, FREE] * 50, per_second=10, per_domain={SLOW: 1}, page=page)
    one.drain(many)
    assert one.times(SLOW) == pytest.approx([float(n) for n in range(50)], abs=0.5)
    assert one.times(FREE)[-1] == pytest.approx(5.5, abs=0.2)


def test_a_slow_domain_does_not_starve_others() -> None:
    """Five pages of it come before the others, which are sent at once."""
    one = run(*[SLOW] * 5 * PAGE, *[FREE, OTHER] * 600, per_domain={SLOW: 0.001})
    one.take()
    assert len(one.times(FREE)) == len(one.times(OTHER)) == 600
    assert one.times(SLOW) == [0.0]


def test_two_slow_domains_starve_no_domain() -> None:
    """They delay neither the other domains nor each other."""
    one = run(
        *[SLOW] * 3 * PAGE,
        *[SLOWER] * 3 * PAGE,
        *[FREE] * 100,
        per_domain={SLOW: 0.01, SLOWER: 0.001},
    )
    one.take()
    counts = Counter(domain for _, _, domain in one.taken)
    assert counts == {SLOW: 1, SLOWER: 1, FREE: 100}
    one.now = 1_000.0
    one.take()
    assert len(one.times(SLOWER)) == len(one.times(SLOW)) == 2


# --- bounds


@pytest.mark.parametrize("many", [3, 30, 300])
def test_few_deliveries_of_a_slow_domain_are_in_memory(many: int) -> None:
    """The number in memory is limited, however many are waiting."""
    one = run(*[SLOW] * many * 100, *[FREE] * many, per_domain={SLOW: 0.001})
    for second in range(0, 20_000, 1_000):
        one.now = float(second)
        one.take()
        one.queue.look_again()
    assert len(one.times(FREE)) == many
    assert len(one.times(SLOW)) == 20
    assert one.table.most_held < MOST_HELD_BACK + PAGE + many  # deliveries that were just taken


def test_the_table_is_read_a_page_at_a_time() -> None:
    """It is not read again for a domain of which enough deliveries are in memory."""
    one = run(*[FREE] * 10 * PAGE, *[SLOW] * 100, per_domain={SLOW: 10})
    one.drain(1)
    assert one.table.asked < 20


def test_a_slow_domain_continues_after_its_deliveries_in_memory() -> None:
    """The rest is read from the table when there is room, in order and completely."""
    one = run(*[SLOW] * 3 * PAGE, FREE, per_domain={SLOW: 100})
    one.drain()
    assert one.numbers.index(3 * PAGE + 1) == 1
    assert sorted(one.numbers) == list(range(1, 3 * PAGE + 2))
    assert len(one.times(SLOW)) == 3 * PAGE
    assert one.times(SLOW) == pytest.approx([n / 100 for n in range(3 * PAGE)], abs=0.1)


# --- any sequence of steps

RATE = st.none() | st.sampled_from([0.5, 1.0, 3.0, 1_000.0])
TAKE = st.tuples(st.just("take"), st.integers(0, 12))
PASS = st.tuples(st.just("pass"), st.sampled_from([0.0, 0.001, 0.3, 1.0, 7.0]))
ADD = st.tuples(st.just("add"), st.lists(st.sampled_from(DOMAINS), max_size=15))
LOOK = st.tuples(st.just("look"), st.none())
WAIT = st.tuples(st.just("wait"), st.none())
STEPS = st.lists(TAKE | PASS | ADD | LOOK | WAIT, max_size=300 if SOAK else 40)


@settings(max_examples=2_000 if SOAK else 300)
@given(
    RATE,
    st.dictionaries(st.sampled_from([SLOW, SLOWER]), st.sampled_from([0.1, 1.0, 30.0])),
    st.sampled_from([1, 2, 5, PAGE]),
    STEPS,
)
def test_everything_is_taken_once_in_order_and_in_time(
    per_second: float | None,
    per_domain: dict[str, float],
    page: int,
    steps: list[tuple[str, object]],
) -> None:
    """A list of what was added is the model for any sequence of taking, adding and waiting."""
    one = run(per_second=per_second, per_domain=per_domain, page=page)
    for step, value in steps:
        if step == "take":
            assert isinstance(value, int)
            one.take(value)
        elif step == "pass":
            assert isinstance(value, float)
            one.now += value
        elif step == "add":
            assert isinstance(value, list)
            one.table.add(*value)
        elif step == "look":
            one.queue.look_again()
        else:
            check_the_wait(one)
    one.drain()
    check_the_whole(one, {"": per_second, **per_domain})


def check_the_wait(one: Run) -> None:
    """Checks that nothing is allowed before the wait ends, and something is soon after it."""
    one.take()
    before = len(one.taken)
    for _ in range(2):
        wait = one.queue.wait(one.now)
        if wait is None:
            assert one.take() == []
            return
        if wait > CLOSE:
            one.now += wait / 2
            assert one.take() == []
        one.now += wait / 2 + CLOSE
        if one.take(1):
            return
    assert len(one.taken) > before


def check_the_whole(one: Run, rates: Mapping[str, float | None]) -> None:
    """Checks that each was taken once, in order within its domain, and within its rate."""
    assert one.table.rows == {}
    assert sorted(one.numbers) == list(range(1, one.table.added + 1))
    for domain in DOMAINS:
        mine = [number for _, number, to in one.taken if to == domain]
        assert mine == sorted(mine), f"{domain} out of order"
    for domain, rate in rates.items():
        times = [at for at, _, to in one.taken if domain in ("", to)]
        for earlier, later in pairwise(times):
            assert rate is None or later - earlier >= 1 / rate - CLOSE, f"{domain} too fast"


@pytest.mark.parametrize("per_domain", [{}, {SLOW: 50.0}, {SLOW: 50.0, SLOWER: 20.0}])
def test_domains_without_a_rate_keep_their_order(per_domain: dict[str, float]) -> None:
    """Slow domains among them make no difference."""
    one = run(*[SLOW, FREE, SLOWER, OTHER, FREE] * 700, per_domain=per_domain)
    one.drain(16)
    free = [number for _, number, domain in one.taken if domain in (FREE, OTHER)]
    assert free == sorted(free)
    assert len(one.numbers) == 3_500
