"""How fast mail leaves: never faster than allowed, and not slower than that either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.delivery.throttle import Rates
from tests.support.soak import SOAK

SLOW, SLOWER, FREE = "slow.example", "slower.example", "free.example"
CLOSE = 1e-6
"""Seconds that sums of fractions may be off."""

RATE = st.floats(0.001, 1_000)
START = st.sampled_from([0.0, 0.1, 1e6])
"""A machine may have been up for some time."""


def mails(
    rates: Rates, domains: Sequence[str], now: float = 0.0, pauses: Sequence[float] = ()
) -> list[float]:
    """When each leaves if each leaves as soon as it may, after further pauses."""
    times = []
    for number, domain in enumerate(domains):
        now += pauses[number] if number < len(pauses) else 0.0
        now += rates.wait(domain, now)
        rates.take(domain, now)
        times.append(now)
    return times


def test_without_limits_nobody_waits() -> None:
    """However many there are, and at whatever time."""
    for clock in (0.0, 0.1, 1e9):
        assert mails(Rates(None, {}), [FREE] * 1_000, clock) == [clock] * 1_000


@given(RATE, START)
def test_mails_are_a_gap_apart(rate: float, start: float) -> None:
    """Also the first ones: there is no burst. And the last leaves as early as it may."""
    times = mails(Rates(rate, {}), [FREE] * 20, start)
    assert times[0] == start
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps == pytest.approx([1 / rate] * 19, rel=1e-6, abs=CLOSE)


@given(RATE, st.floats(0, 10_000))
def test_idle_time_is_not_saved_up(rate: float, idle: float) -> None:
    """After an hour without mail the next ones are as far apart as ever."""
    rates = Rates(rate, {SLOW: rate})
    mails(rates, [SLOW])
    now = 1 / rate + idle
    times = mails(rates, [SLOW] * 3, now)
    assert times == pytest.approx([now, now + 1 / rate, now + 2 / rate], abs=CLOSE)


def test_a_domain_has_a_rate_of_its_own() -> None:
    """Others do not wait for it."""
    rates = Rates(None, {SLOW: 0.5, SLOWER: 0.1})
    for domain in (SLOW, SLOWER, FREE):
        rates.take(domain, 100.0)
    assert [rates.wait(domain, 100.0) for domain in (SLOW, SLOWER, FREE)] == [2.0, 10.0, 0.0]
    assert [rates.wait(domain, 102.0) for domain in (SLOW, SLOWER, FREE)] == [0.0, 8.0, 0.0]


def test_a_domain_is_under_the_common_rate_too() -> None:
    """The longer of the two waits counts, and a mail to it is a mail like others."""
    rates = Rates(1.0, {SLOW: 0.5, FREE: 100.0})
    rates.take(SLOW, 0.0)
    assert rates.wait(SLOW, 0.0) == 2.0
    assert rates.wait(FREE, 0.0) == rates.wait("other.example", 0.0) == 1.0
    rates.take(FREE, 1.0)
    assert rates.wait(SLOW, 1.0) == 1.0


def test_a_domain_is_known_by_its_whole_name() -> None:
    """Neither a part of it nor something longer is meant; a notice has none."""
    rates = Rates(None, {"example.org": 0.5})
    rates.take("example.org", 0.0)
    for other in ("", "org", "mail.example.org", "example.org.uk", "EXAMPLE.ORG"):
        assert rates.wait(other, 0.0) == 0.0
        assert not rates.limits(other)
    assert rates.limits("example.org")


@given(
    st.none() | RATE,
    st.dictionaries(st.sampled_from([SLOW, SLOWER]), RATE),
    st.lists(st.sampled_from([SLOW, SLOWER, FREE]), max_size=200 if SOAK else 40),
    st.lists(st.floats(0, 100), max_size=40),
    START,
)
def test_no_second_is_too_full(
    common: float | None,
    own: Mapping[str, float],
    domains: Sequence[str],
    pauses: Sequence[float],
    start: float,
) -> None:
    """In no stretch of time, whatever came before, more mails leave than its length allows."""
    times = mails(Rates(common, own), domains, start, pauses)
    for who, rate in [("", common), *own.items()]:
        mine = [at for at, domain in zip(times, domains, strict=True) if who in ("", domain)]
        for first, begin in enumerate(mine):
            for last, end in enumerate(mine[first:], first):
                assert rate is None or last - first <= (end - begin + CLOSE) * rate + CLOSE


@given(st.none() | RATE, st.dictionaries(st.just(SLOW), RATE), START, st.floats(0, 1_000))
def test_a_wait_is_exact(
    common: float | None, own: Mapping[str, float], start: float, idle: float
) -> None:
    """It is over when it said it would be, never negative, and asking changes nothing."""
    rates = Rates(common, own)
    now = mails(rates, [SLOW] * 3, start)[-1]
    wait = rates.wait(SLOW, now)
    assert wait == rates.wait(SLOW, now) >= 0
    assert rates.wait(SLOW, now + wait) == pytest.approx(0, abs=CLOSE)
    assert rates.wait(SLOW, now + wait / 2) == pytest.approx(wait / 2, abs=CLOSE)
    assert rates.wait(SLOW, now + wait + idle) <= CLOSE
