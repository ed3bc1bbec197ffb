"""Limits on requests for mail: per mailbox, per network, per wide network, and in total."""

from __future__ import annotations

import threading
import time
from ipaddress import ip_address

import hypothesis.strategies as st
import pytest
from hypothesis import given

from newsletter.subscribers.address import mailbox_key, parse_address
from newsletter.web.limits import ADDRESS, ALL, NETWORK, SCRIPT, WIDE, HourlyCounts, RequestLimits
from newsletter.web.networks import Networks, networks_of


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("mira@example.org", "mira@example.org"),
        ("Mira+papers@example.org", "mira@example.org"),
        ("mira+a+b@example.org", "mira@example.org"),
        ("m.i.ra@gmail.com", "mira@gmail.com"),
        ("m.i.r.a+x@googlemail.com", "mira@gmail.com"),
        ("mira-papers@example.org", "mira-papers@example.org"),
        ("+4917012345@example.org", "+4917012345@example.org"),
    ],
)
def test_spellings_of_one_mailbox(written: str, key: str) -> None:
    """They share a limit, and remain different subscribers."""
    address = parse_address(written)
    assert mailbox_key(address.normal) == key
    assert address.normal == written.lower()


def test_a_mailbox_has_one_allowance() -> None:
    """However many tags and dots it is written with."""
    limits = RequestLimits()
    spellings = [f"mira+{number}@example.org" for number in range(100)]
    let = [limits.lets_write_to(mailbox_key(one)) for one in spellings]
    assert sum(let) == ADDRESS
    assert limits.lets_write_to("ada@example.org")


@pytest.mark.parametrize(("by_browser", "most"), [(True, NETWORK), (False, SCRIPT)])
def test_a_wide_network_has_an_allowance_too(*, by_browser: bool, most: int) -> None:
    """Its networks together get no more than that, and a refused request does not count."""
    limits = RequestLimits(lambda: 0.0)
    small = [Networks(f"2001:db8:0:{number:x}00::/56", "2001:db8::/40") for number in range(200)]
    let = sum(limits.lets_in(one, by_browser=by_browser) for one in small for _ in range(2))
    assert let == WIDE * most
    other = Networks("2001:db9::/56", "2001:db9::/40")
    assert sum(limits.lets_in(other, by_browser=by_browser) for _ in range(100)) == most


def test_limits_end_after_an_hour() -> None:
    """After requests from many networks, only the admitted ones are kept, for an hour."""
    now = [0.0]
    limits = RequestLimits(lambda: now[0])
    storm = [networks_of(str(ip_address(number << 80)), [], 0) for number in range(20_000)]
    assert sum(limits.lets_in(one, by_browser=True) for one in storm) <= ALL
    assert not limits.lets_in(storm[0], by_browser=True) or now[0]
    now[0] = 3_600.0
    assert limits.lets_in(storm[0], by_browser=True)


def _network(number: int, wide: int = 0) -> Networks:
    """Returns one of many narrow networks in a wide one."""
    return Networks(f"small {wide}/{number}", f"wide {wide}")


def test_a_refused_request_counts_for_no_limit() -> None:
    """A network over its limit uses up nothing of its neighbours' or the total."""
    counts = RequestLimits(lambda: 0.0)
    for at in range(WIDE * NETWORK):
        assert counts.lets_in(_network(at), by_browser=True)
    for _ in range(2 * ALL):
        assert not counts.lets_in(_network(-1), by_browser=True)
    assert counts.lets_in(_network(0), by_browser=False)  # its own limit is unused
    left = ALL - WIDE * NETWORK - 1
    found = [counts.lets_in(_network(at, at), by_browser=True) for at in range(1, left + 11)]
    assert found == [True] * left + [False] * 10


def test_memory_is_bounded_and_freed() -> None:
    """Memory is bounded during a flood, and freed after it."""
    now = [0.0]
    counts = HourlyCounts(lambda: now[0])
    for at in range(20_000):
        counts.admit({at: 1, ("wide", at): 8, "all": 100})
    assert len(counts) == 2 * 100 + 1
    now[0] = 3_600.0
    assert counts.admit({"later": 1})
    assert len(counts) == 1


def test_threads_share_one_count() -> None:
    """No request is admitted uncounted while several threads compare."""
    admitted: list[bool] = []
    start = threading.Barrier(8)

    class Slow(int):
        """A limit whose comparison lets other threads run."""

        def __le__(self, other: int) -> bool:
            time.sleep(0.0001)
            return int(self) <= other

    counts = HourlyCounts(lambda: 0.0)

    def ask() -> None:
        start.wait()
        admitted.extend(counts.admit({"a": Slow(20)}) for _ in range(20))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sum(admitted) == 20


PEER = "127.0.0.1"


@pytest.mark.parametrize(
    ("forwarded", "hops", "small"),
    [
        (["203.0.113.7"], 0, "127.0.0.0/24"),
        (["203.0.113.7"], 1, "203.0.113.0/24"),
        (["203.0.113.7:4711"], 1, "203.0.113.0/24"),
        (["[2001:db8::1]:443"], 1, "2001:db8::/56"),
        (["[2001:db8::1]"], 1, "2001:db8::/56"),
        (["2001:db8::1"], 1, "2001:db8::/56"),
        (["::ffff:203.0.113.7"], 1, "203.0.113.0/24"),
        (["64:ff9b::cb00:7107"], 1, "203.0.113.0/24"),
        (["2002:cb00:7107:1::1"], 1, "203.0.113.0/24"),
        (["198.51.100.1, 203.0.113.7"], 1, "203.0.113.0/24"),
        (["198.51.100.1", "203.0.113.7"], 1, "203.0.113.0/24"),
        ([", 203.0.113.7"], 1, "203.0.113.0/24"),
        (["203.0.113.7,"], 1, "127.0.0.0/24"),
        ([""], 1, "127.0.0.0/24"),
        (["unknown"], 1, "127.0.0.0/24"),
        (["203.0.113.7"], 2, "127.0.0.0/24"),
        (["203.0.113.7, 10.0.0.1"], 2, "203.0.113.0/24"),
    ],
)
def test_the_network_that_the_outermost_proxy_saw(
    forwarded: list[str], hops: int, small: str
) -> None:
    """Its entry may have a port; if it is not an address, the connection's is used."""
    assert networks_of(PEER, forwarded, hops).small == small


@given(st.lists(st.text(), max_size=4), st.ip_addresses())
def test_forged_entries_change_nothing(words: list[str], seen: object) -> None:
    """Whatever a client sends, the proxy appends the address that it sees."""
    said = networks_of(PEER, [*words, f"{seen}"], 1)
    assert said == networks_of(PEER, [f"{seen}"], 1)
