"""DMARC records: tree walk, policy and alignment."""

from __future__ import annotations

import pytest

from newsletter.app.doctor.findings import Finding, Level
from newsletter.app.doctor.records import dmarc
from newsletter.app.doctor.records.answers import Answer
from tests.support.dns_answers import HOME, assert_finding, tree_walk


def evaluate(record: str, owner: str = "") -> Finding:
    """Evaluates one record at the sender's own domain."""
    return dmarc.evaluate(tree_walk(HOME, papers_harbour=(record,)), owner)


def test_the_tree_walk() -> None:
    """Up to the last label; at most eight queries for long names (RFC 9989 4.10)."""
    assert dmarc.tree_walk_names("a.mail.harbour") == ["a.mail.harbour", "mail.harbour", "harbour"]
    assert dmarc.tree_walk_names("a.b.c.d.e.f.g.h.i.j") == [
        "a.b.c.d.e.f.g.h.i.j",
        *("d.e.f.g.h.i.j", "e.f.g.h.i.j", "f.g.h.i.j", "g.h.i.j", "h.i.j", "i.j", "j"),
    ]
    assert len(dmarc.tree_walk_names("b.c.d.e.f.g.h.i")) == 8


def test_the_organisation_is_the_highest_domain_with_a_record() -> None:
    """Its policy for subdomains applies where no nearer record exists."""
    found = tree_walk(
        "a.mail.papers.harbour", papers_harbour=("v=DMARC1; p=reject; sp=quarantine",)
    )
    assert found.organizational_domain == "papers.harbour"
    finding = dmarc.evaluate(found, "")
    assert finding.level is Level.OK
    assert "p=quarantine, from papers.harbour" in finding.what


def test_a_public_suffix_ends_the_walk_and_is_no_organisation() -> None:
    """The domain below it is one; `psd=n` declares a domain to be one itself."""
    suffix = tree_walk("a.mail.papers.harbour", harbour=("v=DMARC1; p=none; psd=y",))
    assert suffix.organizational_domain == "papers.harbour"
    assert "from harbour" in dmarc.evaluate(suffix, "").what
    own = tree_walk(
        "a.mail.papers.harbour",
        mail_papers_harbour=("v=DMARC1; p=none; psd=n",),
        papers_harbour=("v=DMARC1; p=reject",),
    )
    assert own.organizational_domain == "mail.papers.harbour"
    assert len(own.answers) == 2


def test_without_dmarc_the_record_to_publish_is_printed() -> None:
    """Reports go to the owner if their address is at that domain; another domain would refuse
    them.
    """
    finding = dmarc.evaluate(tree_walk(HOME), f"owner@{HOME}")
    assert_finding(finding, Level.WARNING, "no DMARC record")
    assert finding.record == f'_dmarc.{HOME}. TXT "v=DMARC1; p=none; rua=mailto:owner@{HOME}"'
    elsewhere = dmarc.evaluate(tree_walk(HOME), "owner@inbox.quay")
    assert elsewhere.record == f'_dmarc.{HOME}. TXT "v=DMARC1; p=none"'
    odd = dmarc.evaluate(tree_walk(HOME), f"a,b!c@{HOME}")
    assert f"rua=mailto:a%2Cb%21c@{HOME}" in odd.record
    assert evaluate(odd.record.split('"')[1]).level is Level.OK


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("v=DMARC1; p=none", "p=none"),
        ("v=DMARC1;p=reject;rua=mailto:a@papers.harbour,mailto:b@papers.harbour;", "p=reject"),
        ("v = DMARC1 ; p = Quarantine ; t=y ; unknown=1", "p=quarantine, in test mode"),
    ],
)
def test_valid_dmarc_records(record: str, words: str) -> None:
    """With the policy that applies."""
    finding = evaluate(record)
    assert finding.level is Level.OK
    assert words in finding.what


@pytest.mark.parametrize(
    ("record", "level", "words"),
    [
        ("v=DMARC1; p=nothing", Level.FAILURE, "p=nothing"),
        ("v=DMARC1; p=none; sp=some", Level.FAILURE, "sp=some"),
        ("v=dmarc1; p=none", Level.FAILURE, "exactly these letters"),
        ("v=DMARC1 p=none", Level.FAILURE, "receivers do not read"),
        ("v=DMARC1; rua=mailto:a@papers.harbour", Level.WARNING, "no policy"),
        ("v=DMARC1; p=none; pct=50", Level.WARNING, "pct, which RFC 9989 removed"),
        ("v=DMARC1; p=none; ri=1; rf=afrf", Level.WARNING, "rf, ri"),
        ("v=DMARC1; p=none; rua=a@papers.harbour", Level.WARNING, "rua=mailto:"),
    ],
)
def test_invalid_dmarc_records(record: str, level: Level, words: str) -> None:
    """Each with what is wrong."""
    assert_finding(evaluate(record), level, words)


def test_several_dmarc_records() -> None:
    """At the domain itself they are an error; above it they are ignored."""
    two = ("v=DMARC1; p=none", "v=DMARC1; p=reject")
    assert_finding(
        dmarc.evaluate(tree_walk(HOME, papers_harbour=two), ""), Level.FAILURE, "2 DMARC"
    )
    assert_finding(
        dmarc.evaluate(tree_walk(HOME, harbour=two), ""), Level.WARNING, "no DMARC record"
    )


def test_a_bounce_domain_of_the_same_organisation_is_aligned() -> None:
    """Whether the organisation is known from its record or only from its name."""
    policy: Answer = ("v=DMARC1; p=none",)
    below = f"bounces.{HOME}"
    for found in ({"papers_harbour": policy}, {}):
        sender, bounces = tree_walk(HOME, **found), tree_walk(below, **found)
        assert dmarc.evaluate_alignment(sender, bounces).level is Level.OK


def test_a_bounce_domain_of_another_organisation_is_not_aligned() -> None:
    """Only a DKIM signature can then align the mail."""
    policy: Answer = ("v=DMARC1; p=none",)
    sender = tree_walk(HOME, papers_harbour=policy)
    for bounces in (tree_walk("bounces.quay"), tree_walk("bounces.quay", bounces_quay=policy)):
        assert_finding(
            dmarc.evaluate_alignment(sender, bounces), Level.WARNING, "another", f"below {HOME}"
        )
    assert (
        dmarc.evaluate_alignment(tree_walk(HOME), tree_walk("bounces.quay")).level is Level.WARNING
    )


def test_strict_alignment_takes_the_same_domain_only() -> None:
    """A subdomain is not aligned."""
    found: dict[str, Answer] = {"papers_harbour": ("v=DMARC1; p=none; aspf=s",)}
    sender = tree_walk(HOME, **found)
    strict = dmarc.evaluate_alignment(sender, tree_walk(f"bounces.{HOME}", **found))
    assert_finding(strict, Level.WARNING, "aspf=s")
    assert dmarc.evaluate_alignment(sender, sender).level is Level.OK
