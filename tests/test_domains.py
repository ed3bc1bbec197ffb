"""What the name system says of a domain, judged without asking it."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter import domains
from newsletter.domains import Answer, Finding, Level, Reverse, Unanswered, Walk

HOME = "papers.harbour"
SILENT = Unanswered("nobody answered")
PUBLISH = "v=spf1 mx include:relay.quay ~all"
KEY = base64.b64encode(bytes(294)).decode()


def spf(*records: str, **referred: Answer) -> Finding:
    """The judgement of these texts; `_` in names of `referred` is a dot."""
    others = {name.replace("_", "."): answer for name, answer in referred.items()}
    return domains.spf(HOME, records, others, PUBLISH)


def walk(start: str, /, **found: Answer) -> Walk:
    """A walk from there on which `_`-written names have these texts."""
    known = {name.replace("_", "."): answer for name, answer in found.items()}
    made = Walk(start)
    for name in domains.walk_names(start):
        made = Walk(start, (*made.found, (name, known.get(name, ()))))
        if made.is_done:
            break
    return made


def dmarc(record: str, owner: str = "") -> Finding:
    """The judgement of one record at the sender's own domain."""
    return domains.dmarc(walk(HOME, papers_harbour=(record,)), owner)


def assert_mends(finding: Finding, level: Level, *words: str) -> None:
    """It is of that level, says these words, and says what to do."""
    assert finding.level is level, finding
    assert finding.hint
    for word in words:
        assert word in f"{finding.what} {finding.hint} {finding.record}"


# --- which domains


@pytest.mark.parametrize(
    "name",
    ["localhost", "lab", "a.lab.test", "mira.local", "x.invalid", "example.org", "a.example"],
)
def test_domains_that_nobody_can_ask_about(name: str) -> None:
    """For one network, for tests and for examples."""
    assert domains.is_special(name)


@pytest.mark.parametrize("name", ["papers.harbour", "notexample.org", "example.de", "a.co.uk"])
def test_domains_of_the_internet(name: str) -> None:
    """What only looks like an example is none."""
    assert not domains.is_special(name)


# --- SPF


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
def test_spf_records_that_are_in_order(record: str) -> None:
    """Beside texts that are something else."""
    assert spf("site-verification=1", record).level is Level.OK


def test_without_spf_the_record_to_publish_is_printed() -> None:
    """As a line of the domain's zone."""
    finding = spf("site-verification=1", "v=spf10 mx ~all")
    assert_mends(finding, Level.WARNING, "no SPF record")
    assert finding.record == f'{HOME}. TXT "{PUBLISH}"'


@pytest.mark.parametrize(
    ("records", "level", "words"),
    [
        (["v=spf1 mx ~all", "v=spf1 a ~all"], Level.FAILURE, "2 SPF records"),
        (["v=spf1 mx +all"], Level.FAILURE, "everybody"),
        (["v=spf1 mx all"], Level.FAILURE, "everybody"),
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
def test_spf_records_that_are_not(records: list[str], level: Level, words: str) -> None:
    """Each with what is wrong in it."""
    assert_mends(spf(*records), level, words)


def test_ten_lookups_are_allowed() -> None:
    """With those of the records that it refers to, and no more."""
    ten = spf(
        "v=spf1 mx include:relay.quay redirect=more.quay",
        relay_quay=("v=spf1 a a a ip4:192.0.2.1 ~all",),
        more_quay=("v=spf1 a a a a -all",),
    )
    assert ten.level is Level.OK
    eleven = spf(
        "v=spf1 mx a include:relay.quay ~all",
        relay_quay=("v=spf1 include:deep.quay a ~all",),
        deep_quay=("v=spf1 " + "exists:x.quay " * 7 + "~all",),
    )
    assert_mends(eleven, Level.WARNING, "more than 10")


def test_spf_records_that_refer_to_each_other_end() -> None:
    """A circle is more than is allowed, and no endless loop."""
    finding = spf("v=spf1 include:relay.quay ~all", relay_quay=("v=spf1 include:relay.quay ~all",))
    assert_mends(finding, Level.WARNING, "more than 10")


@pytest.mark.parametrize("texts", [(), ("hello",), ("v=spf1 a ~all", "v=spf1 mx ~all")])
def test_spf_that_refers_to_no_single_record_is_broken(texts: Answer) -> None:
    """Receivers take the whole for broken then."""
    finding = spf("v=spf1 include:relay.quay ~all", relay_quay=texts)
    assert_mends(finding, Level.FAILURE, "relay.quay")


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
    """As well as it is known, and as a record that we would take for right."""
    assert domains.spf_to_publish(HOME, host, here=here) == record
    assert spf(record).level is Level.OK


# --- DMARC


def test_a_walk_asks_the_domain_and_all_above_it() -> None:
    """Down to the last label; of long names no more than eight (RFC 9989 4.10)."""
    assert domains.walk_names("a.mail.harbour") == ["a.mail.harbour", "mail.harbour", "harbour"]
    assert domains.walk_names("a.b.c.d.e.f.g.h.i.j") == [
        "a.b.c.d.e.f.g.h.i.j",
        *("d.e.f.g.h.i.j", "e.f.g.h.i.j", "f.g.h.i.j", "g.h.i.j", "h.i.j", "i.j", "j"),
    ]
    assert len(domains.walk_names("b.c.d.e.f.g.h.i")) == 8


def test_the_organisation_is_the_highest_domain_with_a_record() -> None:
    """Its record's policy for those below is what holds where there is no nearer one."""
    found = walk("a.mail.papers.harbour", papers_harbour=("v=DMARC1; p=reject; sp=quarantine",))
    assert found.organisation == "papers.harbour"
    finding = domains.dmarc(found, "")
    assert finding.level is Level.OK
    assert "p=quarantine, from papers.harbour" in finding.what


def test_a_public_suffix_ends_the_walk_and_is_no_organisation() -> None:
    """The domain below it is; `psd=n` says of a domain that it is one itself."""
    suffix = walk("a.mail.papers.harbour", harbour=("v=DMARC1; p=none; psd=y",))
    assert suffix.organisation == "papers.harbour"
    assert "from harbour" in domains.dmarc(suffix, "").what
    own = walk(
        "a.mail.papers.harbour",
        mail_papers_harbour=("v=DMARC1; p=none; psd=n",),
        papers_harbour=("v=DMARC1; p=reject",),
    )
    assert own.organisation == "mail.papers.harbour"
    assert len(own.found) == 2


def test_without_dmarc_the_record_to_publish_is_printed() -> None:
    """Reports go to the owner, if they are of that domain: another's would refuse them."""
    finding = domains.dmarc(walk(HOME), f"owner@{HOME}")
    assert_mends(finding, Level.WARNING, "no DMARC record")
    assert finding.record == f'_dmarc.{HOME}. TXT "v=DMARC1; p=none; rua=mailto:owner@{HOME}"'
    elsewhere = domains.dmarc(walk(HOME), "owner@inbox.quay")
    assert elsewhere.record == f'_dmarc.{HOME}. TXT "v=DMARC1; p=none"'
    odd = domains.dmarc(walk(HOME), f"a,b!c@{HOME}")
    assert f"rua=mailto:a%2Cb%21c@{HOME}" in odd.record
    assert dmarc(odd.record.split('"')[1]).level is Level.OK


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("v=DMARC1; p=none", "p=none"),
        ("v=DMARC1;p=reject;rua=mailto:a@papers.harbour,mailto:b@papers.harbour;", "p=reject"),
        ("v = DMARC1 ; p = Quarantine ; t=y ; unknown=1", "p=quarantine, on trial"),
    ],
)
def test_dmarc_records_that_are_in_order(record: str, words: str) -> None:
    """With the policy that holds."""
    finding = dmarc(record)
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
def test_dmarc_records_that_are_not(record: str, level: Level, words: str) -> None:
    """Each with what is wrong in it."""
    assert_mends(dmarc(record), level, words)


def test_two_dmarc_records_are_none() -> None:
    """At the domain itself they are a fault; above it they are passed over."""
    two = ("v=DMARC1; p=none", "v=DMARC1; p=reject")
    assert_mends(domains.dmarc(walk(HOME, papers_harbour=two), ""), Level.FAILURE, "2 DMARC")
    assert_mends(domains.dmarc(walk(HOME, harbour=two), ""), Level.WARNING, "no DMARC record")


# --- alignment of bounces


def test_a_bounce_domain_of_the_same_organisation_is_aligned() -> None:
    """Whether the organisation is known by its record, or only by its name."""
    policy: Answer = ("v=DMARC1; p=none",)
    below = f"bounces.{HOME}"
    for found in ({"papers_harbour": policy}, {}):
        sender, bounces = walk(HOME, **found), walk(below, **found)
        assert domains.alignment(sender, bounces).level is Level.OK


def test_a_bounce_domain_of_another_organisation_is_not() -> None:
    """Then only a signature can tie the mail to its sender."""
    policy: Answer = ("v=DMARC1; p=none",)
    sender = walk(HOME, papers_harbour=policy)
    for bounces in (walk("bounces.quay"), walk("bounces.quay", bounces_quay=policy)):
        assert_mends(domains.alignment(sender, bounces), Level.WARNING, "another", f"below {HOME}")
    assert domains.alignment(walk(HOME), walk("bounces.quay")).level is Level.WARNING


def test_strict_alignment_takes_the_same_domain_only() -> None:
    """A domain below is another then."""
    found: dict[str, Answer] = {"papers_harbour": ("v=DMARC1; p=none; aspf=s",)}
    sender = walk(HOME, **found)
    strict = domains.alignment(sender, walk(f"bounces.{HOME}", **found))
    assert_mends(strict, Level.WARNING, "aspf=s")
    assert domains.alignment(sender, sender).level is Level.OK


# --- DKIM


def test_a_key_whose_name_is_not_known_cannot_be_seen() -> None:
    """What to look for in a received mail is said."""
    assert_mends(domains.dkim_unseen(HOME), Level.WARNING, "DKIM-Signature", "--dkim-selector")


@pytest.mark.parametrize(
    "record",
    [
        f"v=DKIM1; k=rsa; p={KEY}",
        f"p={KEY[:80]} {KEY[80:]}",
        f"v=DKIM1; k=ed25519; p={base64.b64encode(bytes(32)).decode()}",
    ],
)
def test_keys_that_are_in_order(record: str) -> None:
    """Of both kinds, and in several pieces."""
    assert domains.dkim(HOME, "s1", ("hello", record)).level is Level.OK


@pytest.mark.parametrize(
    ("texts", "level", "words"),
    [
        ((), Level.FAILURE, "s1._domainkey.papers.harbour"),
        (("hello",), Level.FAILURE, "no DKIM key"),
        ((f"p={KEY}", f"p={KEY}"), Level.FAILURE, "2 keys"),
        (("v=DKIM1; p=",), Level.FAILURE, "withdrawn"),
        (("v=DKIM2; p=AAAA",), Level.FAILURE, "v=DKIM1"),
        (("v=DKIM1; p=no key!",), Level.FAILURE, "damaged"),
        ((f"p={base64.b64encode(bytes(94)).decode()}",), Level.FAILURE, "2048"),
        ((f"p={base64.b64encode(bytes(162)).decode()}",), Level.WARNING, "2048"),
        ((f"p={KEY}; t=y:s",), Level.WARNING, "on trial"),
    ],
)
def test_keys_that_are_not(texts: Answer, level: Level, words: str) -> None:
    """Each with what is wrong."""
    assert_mends(domains.dkim(HOME, "s1", texts), level, words)


# --- MX and PTR


def test_who_takes_mail() -> None:
    """The servers, the preferred first."""
    finding = domains.mail_exchange(
        HOME, ("mx1.quay", "mx2.quay"), {"mx1.quay": (), "mx2.quay": ("192.0.2.1",)}, "replies"
    )
    assert finding.level is Level.OK
    assert "replies to papers.harbour go to mx1.quay, mx2.quay" in finding.what


@pytest.mark.parametrize(
    ("answer", "addresses", "level", "words"),
    [
        ((), {HOME: ("192.0.2.1",)}, Level.WARNING, "the machine of that name"),
        ((), {HOME: ()}, Level.WARNING, "come back to nobody"),
        ((), {HOME: SILENT}, Level.WARNING, "could not be asked"),
        (("",), {}, Level.WARNING, "takes no mail"),
        (("mx.quay",), {"mx.quay": ()}, Level.FAILURE, "has an address"),
    ],
)
def test_who_takes_none(
    answer: Answer, addresses: dict[str, Answer], level: Level, words: str
) -> None:
    """Replies and bounces would be lost."""
    assert_mends(domains.mail_exchange(HOME, answer, addresses, "replies"), level, words)


def test_servers_whose_address_is_not_known_count_as_there() -> None:
    """Nothing follows from a question that got no answer."""
    finding = domains.mail_exchange(HOME, ("mx.quay",), {"mx.quay": SILENT}, "replies")
    assert finding.level is Level.OK


def test_an_address_has_a_name_and_the_name_the_address() -> None:
    """However an address is written."""
    address = "2001:db8:0:0:0:0:0:7"
    one = Reverse(address, ("mail.quay",), {"mail.quay": ("192.0.2.1", "2001:db8::7")})
    (finding,) = domains.reverse("mail.quay", (address,), [one])
    assert finding.level is Level.OK


@pytest.mark.parametrize(
    ("names", "back", "words"),
    [
        ((), {}, "no name (PTR)"),
        (("other.quay",), {"other.quay": ("192.0.2.9",)}, "another address"),
        (("other.quay",), {"other.quay": ()}, "another address"),
        (("other.quay",), {"other.quay": SILENT}, "could not be asked"),
        (SILENT, {}, "could not be asked"),
    ],
)
def test_an_address_without_its_name(names: Answer, back: dict[str, Answer], words: str) -> None:
    """Large providers take no mail from it."""
    (finding,) = domains.reverse("mail.quay", ("192.0.2.1",), [Reverse("192.0.2.1", names, back)])
    assert_mends(finding, Level.WARNING, words)


def test_a_machine_that_the_internet_does_not_see() -> None:
    """Nothing can be said of what it sends through."""
    for addresses, words in (((), "no public address"), (SILENT, "could not be asked")):
        (finding,) = domains.reverse("desk", addresses, [])
        assert_mends(finding, Level.WARNING, words)
    assert not domains.is_public("192.168.1.2")
    assert not domains.is_public("::1")
    assert domains.is_public("8.8.8.8")


# --- in general


@pytest.mark.parametrize(
    "finding",
    [
        domains.spf(HOME, SILENT, {}, PUBLISH),
        domains.spf(HOME, ("v=spf1 include:a.quay ~all",), {"a.quay": SILENT}, PUBLISH),
        domains.dkim(HOME, "s1", SILENT),
        domains.dmarc(Walk(HOME, ((HOME, SILENT),)), ""),
        domains.dmarc(Walk(HOME, ((HOME, ()), ("harbour", SILENT))), ""),
        domains.alignment(Walk(HOME, ((HOME, SILENT),)), Walk("bounces.quay")),
        domains.mail_exchange(HOME, SILENT, {}, "replies"),
    ],
)
def test_what_could_not_be_asked_is_never_missing(finding: Finding) -> None:
    """It is a warning of its own kind, with no record to publish."""
    assert_mends(finding, Level.WARNING, "could not be asked: nobody answered")
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
def test_whatever_is_published_is_judged(own: Answer, above: Answer, other: Answer) -> None:
    """On one line in which nothing acts, with a hint unless all is well."""
    sender, bounces = walk(HOME, papers_harbour=own, harbour=above), walk("a.quay", quay=other)
    found = [
        domains.spf(HOME, own, {"a.quay": other}, PUBLISH),
        domains.dmarc(sender, "owner@papers.harbour"),
        domains.alignment(sender, bounces),
        domains.dkim(HOME, "s1", own),
        domains.mail_exchange(HOME, own, {HOME: other}, "replies"),
    ]
    for finding in found[:4]:
        assert finding.what.isprintable(), finding
    for finding in found:
        assert bool(finding.hint) == (finding.level is not Level.OK)
