"""Spellings of one mailbox share its limits, but are different subscribers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from newsletter.app.composition import App
from newsletter.config.schema import Config
from newsletter.storage.database import Database
from newsletter.subscribers.address import mailbox_key, normal_form
from newsletter.web import limits
from tests.support.website import BASE, Site, opened

TAGGED = [f"mira.lamp+{at}@example.org" for at in range(25)]
DOTTED = [f"{local}@gmail.com" for local in ("miralamp", "mira.lamp", "m.iralamp", "m.i.ralamp")]
DOTTED.append("Mira.Lamp@GoogleMail.com")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site with papers and no subscribers."""
    with opened(tmp_path) as one:
        yield one


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("mira@example.org", "mira@example.org"),
        ("M.I.R.A@Example.ORG", "mira@example.org"),
        ("mi.ra+papers.daily@example.org", "mira@example.org"),
        ("mira+a+b@example.org", "mira@example.org"),
        ("mira-papers@example.org", "mira-papers@example.org"),
        ("Mira@GoogleMail.com", "mira@gmail.com"),
        ("mira@sub.googlemail.com", "mira@sub.googlemail.com"),
        ("+49.170@sms.example", "+49.170@sms.example"),
        ("Straße+x@Straße.de", "strasse@xn--strae-oqa.de"),
    ],
)
def test_mailbox_keys(written: str, key: str) -> None:
    """They are used for limits only, and folding one again changes nothing."""
    assert mailbox_key(normal_form(written)) == key
    assert mailbox_key(key) == key


@pytest.mark.parametrize("spellings", [TAGGED, DOTTED], ids=["tags", "dots"])
def test_one_mailbox_gets_one_mail(site: Site, spellings: list[str]) -> None:
    """In a day, although the process restarts before each request."""
    for at, written in enumerate(spellings):
        site.restart()
        assert site.subscribe(written, peer=f"192.0.{at}.1").status_code == 200
        site.work()
        site.now += timedelta(minutes=10)
    assert [to for to, _ in site.mails()] == spellings[:1]
    states = site.rows("SELECT state, count(*) FROM subscribers GROUP BY state")
    assert states == [("pending", len(spellings))]


def test_requests_for_one_mailbox_are_few(site: Site) -> None:
    """One process does not even record more of them; the response is the same."""
    answers = {site.subscribe(one, peer=f"192.0.{at}.1").content for at, one in enumerate(TAGGED)}
    assert len(answers) == 1
    assert len(site.rows("SELECT 1 FROM requests")) == limits.ADDRESS


def test_two_processes_share_the_limit(site: Site) -> None:
    """While two processes handle requests, a mailbox still gets one mail."""
    config = Config.model_validate({"newsletter": {"base_url": BASE}})
    with closing(App(config, Database(f"sqlite:///{site.database.file}"), lambda: site.now)) as app:
        for at, written in enumerate(DOTTED):
            site.restart()
            site.subscribe(written, peer=f"192.0.{at}.1")
            work = app.subscribers.visitor_requests.work if at % 2 else site.work
            work()
    assert len(site.mails("confirm")) == 1


def test_two_spellings_are_two_subscribers(site: Site) -> None:
    """Each is mailed when its mailbox may be, and confirms separately."""
    first = site.joined("mira@example.org")
    site.subscribe("mira+papers@example.org")
    site.work()
    assert len(site.mails("confirm")) == 1
    site.now += timedelta(hours=24)
    second = site.joined("mira+papers@example.org")
    assert first != second
    states = site.rows("SELECT normal, state FROM subscribers ORDER BY id")
    assert states == [("mira@example.org", "active"), ("mira+papers@example.org", "active")]


def test_other_mailboxes_have_limits_of_their_own(site: Site) -> None:
    """A similar address is another mailbox."""
    others = ["mira@example.org", "mir@example.org", "mira@example.com", "miranda@example.org"]
    others += ["mira-x@example.org", "a%@example.org", "a_@example.org", "ab@example.org"]
    for at, written in enumerate(others):
        site.subscribe(written, peer=f"192.0.{at}.1")
        site.work()
    assert [to for to, _ in site.mails("confirm")] == others


def test_a_change_to_another_spelling(site: Site) -> None:
    """A mailbox gets one mail about a new address too."""
    for asked in range(2):
        settings = site.settings(site.joined(f"ana{asked}@x.example"))
        for written in TAGGED[:3]:
            site.restart()
            assert site.post(settings, {"do": "address", "address": written}).status_code == 200
            site.work()
    assert [to for to, _ in site.mails("change")] == TAGGED[:1]


def test_ending_links_permits_no_further_mail_to_a_stranger(site: Site) -> None:
    """A subscriber who moves between two own addresses requests the same change again."""
    settings = site.settings(site.joined("ana@x.example"))
    for own in ("ana@y.example", "ana@z.example"):
        for address in ("mira@example.org", own):
            site.post(settings, {"do": "address", "address": address})
            site.work()
        site.now += timedelta(hours=1)
        site.restart()
        assert site.post(site.link("change")).status_code == 200
        settings = site.settings(site.number(own))
    assert [to for to, _ in site.mails("change")].count("mira@example.org") == 1


def test_a_lost_mail_does_not_count(site: Site) -> None:
    """If a server refuses a mail to one spelling, the mailbox may still be sent one."""
    site.subscribe(DOTTED[0])
    site.work()
    with site.database.write() as tx:
        tx.exec_driver_sql("UPDATE deliveries SET state = 'refused', try_at = NULL")
    site.subscribe(DOTTED[1])
    site.work()
    assert [to for to, _ in site.mails("confirm")] == DOTTED[:2]


def test_a_wide_network_has_a_limit(site: Site) -> None:
    """A /40 contains 65,536 networks and has one limit over them."""
    found = [
        site.subscribe(f"r{at}@x.example", headers={}, peer=f"2001:db8:{at:x}::1").status_code
        for at in range(limits.WIDE * limits.SCRIPT + 5)
    ]
    assert found == [200] * (limits.WIDE * limits.SCRIPT) + [429] * 5
    outside = site.subscribe("r@x.example", headers={}, peer="2001:db9::1")
    assert outside.status_code == 200
