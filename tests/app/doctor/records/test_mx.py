"""Mail exchangers."""

from __future__ import annotations

import pytest

from newsletter.app.doctor.findings import Level
from newsletter.app.doctor.records import mx
from newsletter.app.doctor.records.answers import Answer
from tests.support.dns_answers import HOME, SILENT, assert_finding


def test_mail_exchangers_in_order_of_preference() -> None:
    """The preferred ones first."""
    finding = mx.evaluate(
        HOME, ("mx1.quay", "mx2.quay"), {"mx1.quay": (), "mx2.quay": ("192.0.2.1",)}, "replies"
    )
    assert finding.level is Level.OK
    assert "replies to papers.harbour go to mx1.quay, mx2.quay" in finding.what


@pytest.mark.parametrize(
    ("answer", "addresses", "level", "words"),
    [
        ((), {HOME: ("192.0.2.1",)}, Level.WARNING, "the machine of that name"),
        ((), {HOME: ()}, Level.WARNING, "get lost"),
        ((), {HOME: SILENT}, Level.WARNING, "could not be queried"),
        (("",), {}, Level.WARNING, "takes no mail"),
        (("mx.quay",), {"mx.quay": ()}, Level.FAILURE, "has an address"),
    ],
)
def test_a_domain_that_accepts_no_mail(
    answer: Answer, addresses: dict[str, Answer], level: Level, words: str
) -> None:
    """Replies and bounces would be lost."""
    assert_finding(mx.evaluate(HOME, answer, addresses, "replies"), level, words)


def test_servers_whose_address_could_not_be_queried() -> None:
    """Nothing follows from a query without an answer."""
    finding = mx.evaluate(HOME, ("mx.quay",), {"mx.quay": SILENT}, "replies")
    assert finding.level is Level.OK
