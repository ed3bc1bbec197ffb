"""Rate limits: mail is never sent faster than allowed, and no slower than necessary."""

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
"""Rounding error in seconds that sums of fractions may have."""

RATE = st.floats(0.001, 1_000)
START = st.sampled_from([0.0, 0.1, 1e6])
"""A machine may have been up for some time."""


def mails(
    rates: Rates, domains: Sequence[str], now: float = 0.0, pauses: Sequence[float] = ()
) -> list[float]:
    """Returns the times at which mails are sent as early as allowed, with these extra pauses."""
    times = []
    for number, domain in enumerate(domains):
        now += pauses[number] if number < len(pauses) else 0.0
        now += rates.wait(domain, now)
        rates.take(domain, now)
        times.append(now)
    return times


def test_without_limits_there_is_no_wait() -> None:
    """This holds for any number of mails at any time."""
    for clock in (0.0, 0.1, 1e9):
        assert mails(Rates(None, {}), [FREE] * 1_000, clock) == [clock] * 1_000


@given(RATE, START)
def test_mails_are_a_gap_apart(rate: float, start: float) -> None:
    """The first ones are no burst, and the last one is as early as allowed."""
    times = mails(Rates(rate, {}), [FREE] * 20, start)
    assert times[0] == start
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps == pytest.approx([1 / rate] * 19, rel=1e-6, abs=CLOSE)


@given(RATE, st.floats(0, 10_000))
def test_idle_time_is_not_saved_up(rate: float, idle: float) -> None:
    """After an hour without mail, the next ones are as far apart as before."""
    rates = Rates(rate, {SLOW: rate})
    mails(rates, [SLOW])
    now = 1 / rate + idle
    times = mails(rates, [SLOW] * 3, now)
    assert times == pytest.approx([now, now + 1 / rate, now + 2 / rate], abs=CLOSE)


def test_a_domain_can_have_its_own_rate() -> None:
    """Other domains do not wait for it."""
    rates = Rates(None, {SLOW: 0.5, SLOWER: 0.1})
    for domain in (SLOW, SLOWER, FREE):
        rates.take(domain, 100.0)
    assert [rates.wait(domain, 100.0) for domain in (SLOW, SLOWER, FREE)] == [2.0, 10.0, 0.0]
    assert [rates.wait(domain, 102.0) for domain in (SLOW, SLOWER, FREE)] == [0.0, 8.0, 0.0]


def test_the_overall_rate_applies_to_every_domain() -> None:
    """The longer of the two waits applies, and a mail to a slow domain counts like any other."""
    rates = Rates(1.0, {SLOW: 0.5, FREE: 100.0})
    rates.take(SLOW, 0.0)
    assert rates.wait(SLOW, 0.0) == 2.0
    assert rates.wait(FREE, 0.0) == rates.wait("other.example", 0.0) == 1.0
    rates.take(FREE, 1.0)
    assert rates.wait(SLOW, 1.0) == 1.0


def test_a_domain_rate_applies_to_the_exact_name() -> None:
    """It does not apply to a part of it or to a longer name; a notice has no domain."""
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
def test_no_interval_exceeds_the_rate(
    common: float | None,
    own: Mapping[str, float],
    domains: Sequence[str],
    pauses: Sequence[float],
    start: float,
) -> None:
    """No interval, whatever came before, has more mails than its length allows."""
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
    """It ends exactly when it said, is never negative, and asking for it changes nothing."""
    rates = Rates(common, own)
    now = mails(rates, [SLOW] * 3, start)[-1]
    wait = rates.wait(SLOW, now)
    assert wait == rates.wait(SLOW, now) >= 0
    assert rates.wait(SLOW, now + wait) == pytest.approx(0, abs=CLOSE)
    assert rates.wait(SLOW, now + wait / 2) == pytest.approx(wait / 2, abs=CLOSE)
    assert rates.wait(SLOW, now + wait + idle) <= CLOSE
