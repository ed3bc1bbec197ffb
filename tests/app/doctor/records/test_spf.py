"""SPF records: parsing, evaluation, lookup limit and suggestion."""

from __future__ import annotations

import pytest

from newsletter.app.doctor.findings import Finding, Level
from newsletter.app.doctor.records import spf
from newsletter.app.doctor.records.answers import Answer
from tests.support.dns_answers import HOME, PUBLISH, assert_finding


def evaluate(*records: str, **referred: Answer) -> Finding:
    """Evaluates these texts; `_` in the names of `referred` stands for a dot."""
    others = {name.replace("_", "."): answer for name, answer in referred.items()}
    return spf.evaluate(HOME, records, others, PUBLISH)


@pytest.mark.parametrize(
    "record",
    [
        "v=spf1 mx ~all",
        "V=SPF1 MX -ALL",
        "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 ?all",
        "v=spf1 a:mail.papers.harbour/28 exists:%{i}.lists.harbour exp=why.harbour -all",
        "v=spf1 include:%{d}.spf.harbour ~all",
        "v=spf1 -all include:never.asked",
    ],
)
def test_valid_spf_records(record: str) -> None:
    """Other TXT records may exist beside them."""
    assert evaluate("site-verification=1", record).level is Level.OK


def test_without_spf_the_record_to_publish_is_printed() -> None:
    """As a line of the domain's zone file."""
    finding = evaluate("site-verification=1", "v=spf10 mx ~all")
    assert_finding(finding, Level.WARNING, "no SPF record")
    assert finding.record == f'{HOME}. TXT "{PUBLISH}"'


@pytest.mark.parametrize(
    ("records", "level", "words"),
    [
        (["v=spf1 mx ~all", "v=spf1 a ~all"], Level.FAILURE, "2 SPF records"),
        (["v=spf1 mx +all"], Level.FAILURE, "every server"),
        (["v=spf1 mx all"], Level.FAILURE, "every server"),
        (["v=spf1 mx ip4:192.0.2 ~all"], Level.FAILURE, "ip4:192.0.2"),
        (["v=spf1 ip4:2001:db8:: ~all"], Level.FAILURE, "ip4:2001:db8::"),
        (["v=spf1 mail.papers.harbour ~all"], Level.FAILURE, "mail.papers.harbour"),
        (["v=spf1 include ~all"], Level.FAILURE, "include"),
        (["v=spf1 mx ~all mxx"], Level.FAILURE, "mxx"),
        (["v=spf1 mx"], Level.WARNING, "says nothing of other servers"),
        (["v=spf1"], Level.WARNING, "says nothing of other servers"),
        (["v=spf1 " + "a:x.harbour " * 11 + "~all"], Level.WARNING, "more than 10"),
    ],
)
def test_invalid_spf_records(records: list[str], level: Level, words: str) -> None:
    """Each with what is wrong."""
    assert_finding(evaluate(*records), level, words)


def test_ten_lookups_are_allowed() -> None:
    """Including those of the records that it refers to."""
    ten = evaluate(
        "v=spf1 mx include:relay.quay redirect=more.quay",
        relay_quay=("v=spf1 a a a ip4:192.0.2.1 ~all",),
        more_quay=("v=spf1 a a a a -all",),
    )
    assert ten.level is Level.OK
    eleven = evaluate(
        "v=spf1 mx a include:relay.quay ~all",
        relay_quay=("v=spf1 include:deep.quay a ~all",),
        deep_quay=("v=spf1 " + "exists:x.quay " * 7 + "~all",),
    )
    assert_finding(eleven, Level.WARNING, "more than 10")


def test_a_loop_of_spf_records() -> None:
    """It exceeds the lookup limit, and evaluation ends."""
    finding = evaluate(
        "v=spf1 include:relay.quay ~all", relay_quay=("v=spf1 include:relay.quay ~all",)
    )
    assert_finding(finding, Level.WARNING, "more than 10")


@pytest.mark.parametrize("texts", [(), ("hello",), ("v=spf1 a ~all", "v=spf1 mx ~all")])
def test_spf_that_refers_to_no_single_record_is_broken(texts: Answer) -> None:
    """Receivers treat the whole record as broken."""
    finding = evaluate("v=spf1 include:relay.quay ~all", relay_quay=texts)
    assert_finding(finding, Level.FAILURE, "relay.quay")


@pytest.mark.parametrize(
    ("host", "here", "record"),
    [
        ("smtp.relay.quay", False, PUBLISH),
        ("mail.papers.harbour", False, "v=spf1 mx a:mail.papers.harbour ~all"),
        ("192.0.2.7", False, "v=spf1 mx ip4:192.0.2.7 ~all"),
        ("2001:db8::7", False, "v=spf1 mx ip6:2001:db8::7 ~all"),
        ("relay.quay", False, "v=spf1 mx a:relay.quay ~all"),
        ("127.0.0.1", True, "v=spf1 mx a ~all"),
        ("", False, "v=spf1 mx ~all"),
    ],
)
def test_the_record_to_publish_names_the_mail_server(host: str, here: bool, record: str) -> None:
    """As far as it is known, and in a record that our own check accepts."""
    assert spf.suggest(HOME, host, is_local=here) == record
    assert evaluate(record).level is Level.OK
