"""The network that a request counts for: clients cannot choose it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from newsletter.web.networks import UNKNOWN, Networks, networks_of
from tests.support.soak import SOAK

PROXY = "192.0.2.1"
OF_PROXY = Networks("192.0.2.0/24", "192.0.0.0/16")
OF_V4 = Networks("203.0.113.0/24", "203.0.0.0/16")
OF_V6 = Networks("2001:db8:1:200::/56", "2001:db8::/40")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("203.0.113.7", OF_V4),
        ("203.0.113.7:4711", OF_V4),
        ("[203.0.113.7]:443", OF_V4),
        ("2001:db8:1:2ff::1", OF_V6),
        ("[2001:db8:1:2ff::1]", OF_V6),
        ("[2001:db8:1:2ff::1]:443", OF_V6),
        ("2001:DB8:1:2FF::1%eth0", OF_V6),
        # Other forms of an IPv4 address: mapped, translated (NAT64), tunnelled (6to4).
        ("::ffff:203.0.113.7", OF_V4),
        ("[::ffff:203.0.113.7]:443", OF_V4),
        ("64:ff9b::203.0.113.7", OF_V4),
        ("2002:cb00:7107:1234::1", OF_V4),
    ],
)
def test_forms_of_an_address(written: str, expected: Networks) -> None:
    """As the peer of a connection, and as proxies write it."""
    assert networks_of(written, [], 0) == expected
    assert networks_of(PROXY, [f"198.51.100.1, {written} "], 1) == expected


@pytest.mark.parametrize(
    "written",
    [
        *("", " ", "unknown", "_hidden", "for=203.0.113.7", "203.0.113.7.1", "203.0.113.007"),
        *("203.0.113.7:", "203.0.113.7:x", "[203.0.113.7", "[]", "[]:80", "٢.0.0.1", "1"),
        "203.0.113.7:123456",
    ],
)
def test_an_entry_without_an_address(written: str) -> None:
    """The connection's address is used, and no other entry."""
    assert networks_of(PROXY, [f"198.51.100.1, {written}"], 1) == OF_PROXY
    assert networks_of(PROXY, [f"{written}, 198.51.100.1"], 2) == OF_PROXY
    assert networks_of(written, [], 0) == Networks(UNKNOWN, UNKNOWN)


def test_fewer_entries_than_proxies() -> None:
    """The request bypassed a proxy, so its header cannot be trusted."""
    assert networks_of(PROXY, ["203.0.113.7"], 2) == OF_PROXY
    assert networks_of(PROXY, [], 1) == OF_PROXY
    assert networks_of(PROXY, ["203.0.113.7"], 0) == OF_PROXY


def test_an_empty_entry_of_the_client_changes_nothing() -> None:
    """Nor does an empty line: only the entries of trusted proxies are read."""
    for made_up in ("", ",", ", ", "unknown", ",,,"):
        assert networks_of(PROXY, [made_up, "203.0.113.7"], 1) == OF_V4
        assert networks_of(PROXY, [f"{made_up}, 203.0.113.7"], 1) == OF_V4
        assert networks_of(PROXY, [f"{made_up}, 203.0.113.7, 10.0.0.1"], 2) == OF_V4


ADDRESSES = st.ip_addresses()
FORMS = st.sampled_from(["{}", "[{}]", "[{}]:443", " {} "])
CLIENT_SAYS = st.lists(
    st.one_of(
        st.text(max_size=20),
        st.text(",:[]%. 0123456789abcdef", max_size=40),
        ADDRESSES.map(str),
    ),
    max_size=4,
)


@settings(max_examples=5_000 if SOAK else 150)
@given(CLIENT_SAYS, ADDRESSES, FORMS, st.lists(ADDRESSES.map(str), max_size=2))
@example([""], IPv4Address("203.0.113.7"), "{}", [])
@example([","], IPv6Address("2001:db8::1"), "[{}]:443", ["10.0.0.1"])
def test_a_client_cannot_choose_its_network(
    said: list[str], client: IPv4Address | IPv6Address, form: str, further: list[str]
) -> None:
    """Whatever it sends, the entry of the outermost trusted proxy decides."""
    honest = networks_of(str(client), [], 0)
    appended = [form.format(client), *further]
    hops = len(appended)
    lines = [*said, *appended]
    assert networks_of(PROXY, lines, hops) == honest
    assert networks_of(PROXY, [", ".join(lines)], hops) == honest
    assert networks_of(PROXY, [*said, ",".join(appended)], hops) == honest


@settings(max_examples=5_000 if SOAK else 150)
@given(CLIENT_SAYS, st.integers(0, 4), ADDRESSES)
@example(["::1%x,203.0.113.7"], 2, IPv4Address(PROXY))
def test_any_header_gives_a_network(
    said: list[str], hops: int, peer: IPv4Address | IPv6Address
) -> None:
    """That of an entry or of the connection; the wide network contains the narrow one."""
    found = networks_of(str(peer), said, hops)
    small, wide = ip_network(found.small), ip_network(found.wide)
    assert (small.prefixlen, wide.prefixlen) in ((24, 16), (56, 40))
    assert small.subnet_of(wide)  # type: ignore[arg-type]  # both are of one version
