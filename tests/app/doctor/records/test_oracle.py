"""SPF and DMARC records, as checkdmarc judges them. It has no judgement of DKIM keys.

What a receiver rejects or ignores is never in order here. Where we differ, the table says why.
"""

from __future__ import annotations

from typing import Any

import dns.resolver
import pytest
from checkdmarc.dmarc import DMARCError, parse_dmarc_record
from checkdmarc.spf import SPFError, SPFSyntaxError, parse_spf_record

from newsletter.app.doctor.findings import Level
from newsletter.app.doctor.records import dmarc, spf
from tests.support.dns_answers import HOME, tree_walk

SPF = [
    "v=spf1 " + terms
    for terms in (
        "ip4:192.0.2.0/24 ip6:2001:db8::/32 ?all", "ip4:192.0.2 ~all", "ip4:2001:db8:: ~all",
        "ip6:192.0.2.1 ~all", "papers.harbour ~all", "include ~all", "all:x", "-all -all",
        "ip4:192.0.2.0/33 ~all", "ip4:192.0.2.0/255.255.255.0 ~all", "ip4:192.0.2.1/ ~all",
        "ip4:192.0.2.1/024 ~all", "ip4:192.0.2.9/24 -all", "IP4:192.0.2.1 -all", "ip4: ~all",
        "ip6:::1/129 -all", "ip4:192.0.2.1,192.0.2.2 -all", "ip4:192.0.2.1;-all",
        "exists:%{x}.harbour ~all", "exists:%{i.harbour ~all", "exists:%{i}%%%_%-.harbour -all",
        "exists:%{d10r}.quay -all", "exists:%{d0}.quay -all", "exists:%{ir.}.quay -all",
        "exists:%{c}.quay -all", "exists:100%.quay -all", "exp=a.quay exp=b.quay -all",
        "redirect=a.quay redirect=a.quay -all", "redirect= -all", "exp= -all", "redirect:a.quay",
        "foo=bar foo=bar -all", "foo= -all", "~all redirect=a.quay",
        "a/33 -all", "a/24//64 -all", "a//64 -all", "a/024 -all", "mx:papers.harbour//129 -all",
        "mx:papers.harbour/24 -all", "a: -all", "a/ -all", "a:x_y.quay -all", "a:%{d}/24 -all",
        "+ip4:192.0.2.1 !all",
    )
]  # fmt: skip

DMARC = [
    "v=DMARC1" + tags
    for tags in (
        "; p=none", ";p=reject", "; p=none;", "; P=NONE", " ; p = Quarantine", "; p=nothing",
        "; p=",
        "; p=none; sp=some", "; p=none; np=reject", "; p=none; np=x", " p=none", ": p=none",
        "; p=none, sp=none", "; p=none; p=reject", "; p=none; sp=reject; sp=none", "; p=none; x",
        "; p=none;;", "; p=none; ;", "; p=none; =x", "; p=none; unknown=1", "; p=none; t=maybe",
        "; p=none; t=Y", "; p=none; psd=x", "; p=none; psd=u", "; p=none; fo=9",
        "; p=none; fo=1:d:s", "; p=none; fo=1:9", "; p=none; aspf=R", "; p=none; rua=",
        "; p=none; rua=a@papers.harbour", "; p=none; rua=mailto:a b@papers.harbour",
        "; p=none; rua=mailto:a@papers.harbour", "; p=none; ruf=a@papers.harbour",
        "; p=none; ruf=mailto:a@papers.harbour", "; p=none rua=mailto:a@papers.harbour",
        "; p=none; rua=mailto:a@papers.harbour;mailto:b@papers.harbour", "; sp=none; p=none",
    )
]  # fmt: skip

OURS = {
    "V=SPF1 -ALL": (Level.OK, "the version is a word without case (RFC 7208 12)"),
    "v=spf1 ~all mxx": (Level.FAILURE, "an error anywhere spoils the record (RFC 7208 4.6)"),
    "v=spf1 foo=%{x} -all": (Level.FAILURE, "an unknown modifier has macros too (RFC 7208 6)"),
    " v=DMARC1; p=none": (Level.FAILURE, "nothing stands before the version (RFC 9989 4.7)"),
    "v=DMARC1": (Level.WARNING, "it warns as well: without p= it asks for nothing"),
    "v=DMARC1; p=none; pct=50": (Level.WARNING, "it warns as well: RFC 9989 removed pct"),
    "v=DMARC1; p=none; aspf=x": (Level.WARNING, "it warns as well: the value is ignored"),
    "v=DMARC1; p=none; rua=https://x.quay/": (Level.WARNING, "it warns as well: only mail is sent"),
}
"""Where our level is not its verdict."""


class Nothing(dns.resolver.Resolver):
    """Says of every name that it does not exist, without a network."""

    def __init__(self) -> None:
        super().__init__(configure=False)

    def resolve(self, *_: Any, **__: Any) -> Any:
        """No answer."""
        raise dns.resolver.NXDOMAIN


def its_verdict(record: str) -> bool:
    """Whether checkdmarc can read a record, whatever the names in it refer to."""
    kept: Any = {"resolver": Nothing(), "timeout": 0.1, "retries": 0}
    try:
        if record.lower().startswith("v=spf1"):
            parse_spf_record(record, HOME, **kept)
        else:
            parse_dmarc_record(record, HOME, **kept)
    except SPFError as error:
        return not isinstance(error, SPFSyntaxError)
    except DMARCError:
        return False
    return True


def our_level(record: str) -> Level:
    """The level of our finding on a record."""
    if record.lower().startswith("v=spf1"):
        return spf.evaluate(HOME, (record,), {}, "").level
    return dmarc.evaluate(tree_walk(HOME, papers_harbour=(record,)), "").level


@pytest.mark.parametrize("record", [*SPF, *DMARC])
def test_both_agree(record: str) -> None:
    """What it cannot read is no good here; what it can read is no failure."""
    level = our_level(record)
    assert (level is Level.OK) == its_verdict(record)


@pytest.mark.parametrize("record", OURS)
def test_where_we_differ(record: str) -> None:
    """With the reason in the table; where both agree again, it has to go."""
    level, reason = OURS[record]
    assert our_level(record) is level, reason
    assert its_verdict(record) != (level is Level.OK), f"no difference any more: {reason}"
