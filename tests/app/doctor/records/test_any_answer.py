"""Properties of every evaluation: failed queries are inconclusive, and no record raises an
error.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.app.doctor.findings import Finding, Level
from newsletter.app.doctor.records import dkim, dmarc, mx, spf
from newsletter.app.doctor.records.answers import Answer
from newsletter.app.doctor.records.dmarc import TreeWalk
from tests.support.dns_answers import HOME, PUBLISH, SILENT, assert_finding, tree_walk


@pytest.mark.parametrize(
    "finding",
    [
        spf.evaluate(HOME, SILENT, {}, PUBLISH),
        spf.evaluate(HOME, ("v=spf1 include:a.quay ~all",), {"a.quay": SILENT}, PUBLISH),
        dkim.evaluate(HOME, "s1", SILENT),
        dmarc.evaluate(TreeWalk(HOME, ((HOME, SILENT),)), ""),
        dmarc.evaluate(TreeWalk(HOME, ((HOME, ()), ("harbour", SILENT))), ""),
        dmarc.evaluate_alignment(TreeWalk(HOME, ((HOME, SILENT),)), TreeWalk("bounces.quay")),
        mx.evaluate(HOME, SILENT, {}, "replies"),
    ],
)
def test_a_failed_query_is_inconclusive(finding: Finding) -> None:
    """It is a warning, and no record to publish is suggested."""
    assert_finding(finding, Level.WARNING, "could not be queried: no answer")
    assert not finding.record


TERMS = """
    v=spf1 v=DMARC1; v=DKIM1; p=none; p= sp=x; include:a.quay include:\x1b[2J redirect=a.quay +all
    ~all ip4:1 ip6:::1 mx/24 a: exists:%{i}.x.y rua=mailto:; psd=y; psd=n t=y = ; : “
"""


RECORDS = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(TERMS.split()), max_size=8).map(" ".join),
)


ANSWERS = st.one_of(st.lists(RECORDS, max_size=3).map(tuple), st.just(SILENT))


@given(ANSWERS, ANSWERS, ANSWERS)
def test_any_published_record_is_evaluated(own: Answer, above: Answer, other: Answer) -> None:
    """The result is one line without control characters, and has a hint unless it is fine."""
    sender, bounces = (
        tree_walk(HOME, papers_harbour=own, harbour=above),
        tree_walk("a.quay", quay=other),
    )
    found = [
        spf.evaluate(HOME, own, {"a.quay": other}, PUBLISH),
        dmarc.evaluate(sender, "owner@papers.harbour"),
        dmarc.evaluate_alignment(sender, bounces),
        dkim.evaluate(HOME, "s1", own),
        mx.evaluate(HOME, own, {HOME: other}, "replies"),
    ]
    for finding in found[:4]:
        assert finding.what.isprintable(), finding
    for finding in found:
        assert bool(finding.hint) == (finding.level is not Level.OK)
