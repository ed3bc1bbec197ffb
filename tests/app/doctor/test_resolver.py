"""The resolver: answers, time-outs, and the format of name server addresses."""

from __future__ import annotations

from collections.abc import Callable

import dns.exception
import pytest

from newsletter.app.doctor import resolver as resolver_module
from newsletter.app.doctor.records.answers import Unanswered
from newsletter.app.doctor.resolver import Resolver, parse_nameserver
from tests.support.doctor import HOME, WELL, NameServer


def test_answers(names: Callable[..., NameServer]) -> None:
    """Existing records, a missing record type, and a missing name."""
    found = names({**WELL, "none.quay MX": ["0 ."], "4.2.0.192.in-addr.arpa PTR": ["a.quay."]})
    resolver = Resolver("127.0.0.1", found.port)
    # Name servers and resolvers give records in any order.
    said = resolver.txt(HOME), resolver.mx(HOME)
    assert [sorted(one) for one in said if isinstance(one, tuple)] == [
        ["site=1", "v=spf1 mx include:relay.quay ~all"],
        ["mx1.quay", "mx2.quay"],
    ]
    assert resolver.mx("none.quay") == ("",)
    assert resolver.addresses("mx1.quay") == ("192.0.2.1",)
    assert resolver.addresses("mx2.quay") == ("2001:db8::1",)
    assert resolver.ptr("192.0.2.4") == ("a.quay",)
    assert resolver.txt("mx1.quay") == ()
    assert resolver.txt("nowhere.quay") == ()


def test_queries_without_an_answer(
    names: Callable[..., NameServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that never answers is asked once; one that answered before is asked again."""
    monkeypatch.setattr(resolver_module, "_TIMEOUT", 0.1)
    monkeypatch.setattr(resolver_module, "_LIFETIME", 0.3)
    dead = names(silent=["a.quay", "b.quay"])
    resolver = Resolver("127.0.0.1", dead.port)
    assert resolver.txt("a.quay") == Unanswered("no name server answered within 0.3 s")
    assert isinstance(resolver.txt("b.quay"), Unanswered)
    assert set(dead.queries) == {"a.quay TXT"}
    other = names(silent=["a.quay"], failing=["b.quay"])
    resolver = Resolver("127.0.0.1", other.port)
    assert resolver.mx(HOME)
    for name in ("a.quay", "b.quay", "a..quay", f"{'x' * 64}.quay"):
        assert isinstance(resolver.txt(name), Unanswered), name
        assert isinstance(resolver.addresses(name), Unanswered), name
    assert resolver.txt(HOME)


def test_a_machine_without_name_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check says that there are none."""

    def none(self: object, file: object) -> None:
        raise dns.exception.DNSException

    monkeypatch.setattr("dns.resolver.Resolver.read_resolv_conf", none)
    assert Resolver().txt(HOME) == Unanswered("this machine has no name server")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("192.0.2.53", ("192.0.2.53", 53)),
        ("192.0.2.53:5353", ("192.0.2.53", 5353)),
        ("::1", ("::1", 53)),
        ("[::1]", ("::1", 53)),
        ("[::1]:5353", ("::1", 5353)),
    ],
)
def test_a_name_server_with_and_without_a_port(text: str, found: tuple[str, int]) -> None:
    """Of either IP version."""
    assert parse_nameserver(text) == found


@pytest.mark.parametrize("text", ["", "ns.quay", "192.0.2.53:", "192.0.2.53:0", "1.2.3.4:70000"])
def test_invalid_name_servers(text: str) -> None:
    """The message says what to write."""
    with pytest.raises(ValueError, match="write an address"):
        parse_nameserver(text)
