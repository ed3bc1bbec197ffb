"""Reverse DNS."""

from __future__ import annotations

import pytest

from newsletter.app.doctor.findings import Level
from newsletter.app.doctor.records import ptr
from newsletter.app.doctor.records.answers import Answer
from newsletter.app.doctor.records.ptr import ReverseLookup
from tests.support.dns_answers import SILENT, assert_finding


def test_an_address_has_a_name_and_the_name_the_address() -> None:
    """However the address is written."""
    address = "2001:db8:0:0:0:0:0:7"
    one = ReverseLookup(address, ("mail.quay",), {"mail.quay": ("192.0.2.1", "2001:db8::7")})
    (finding,) = ptr.evaluate("mail.quay", (address,), [one])
    assert finding.level is Level.OK


@pytest.mark.parametrize(
    ("names", "back", "words"),
    [
        ((), {}, "no name (PTR)"),
        (("other.quay",), {"other.quay": ("192.0.2.9",)}, "another address"),
        (("other.quay",), {"other.quay": ()}, "another address"),
        (("other.quay",), {"other.quay": SILENT}, "could not be queried"),
        (SILENT, {}, "could not be queried"),
    ],
)
def test_a_missing_or_different_name(names: Answer, back: dict[str, Answer], words: str) -> None:
    """Large providers refuse mail from such an address."""
    (finding,) = ptr.evaluate(
        "mail.quay", ("192.0.2.1",), [ReverseLookup("192.0.2.1", names, back)]
    )
    assert_finding(finding, Level.WARNING, words)


def test_a_private_address() -> None:
    """The public address that mail leaves from is not known."""
    for addresses, words in (((), "no public address"), (SILENT, "could not be queried")):
        (finding,) = ptr.evaluate("desk", addresses, [])
        assert_finding(finding, Level.WARNING, words)
    assert not ptr.is_public("192.168.1.2")
    assert not ptr.is_public("::1")
    assert ptr.is_public("8.8.8.8")
