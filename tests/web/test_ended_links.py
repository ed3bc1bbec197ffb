"""Personal links that are no longer valid: used, replaced, ended on request, or sent to a former
address.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest
from httpx2 import Response

from newsletter.storage.requests import RequestKind
from newsletter.subscribers.address import parse_address
from tests.support.website import MIRA, ONE_CLICK, Site, opened

SECOND, THIRD = "mira.new@example.org", "mira.third@example.org"
USED = "This link has been used"
NOT_NEEDED = "This link is no longer needed"
END = {"do": "links"}
HOLD_NO_MORE = "This link is invalid or has expired"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site with papers and no subscribers."""
    with opened(tmp_path) as one:
        yield one


def _settings_in(page: str) -> str:
    """Returns the preferences link on a page or in a mail."""
    found = re.search(r"/preferences/[\w-]+", page)
    assert found, page
    return found[0]


def _join(site: Site) -> str:
    """Mira signs up and confirms. Returns the preferences link on the confirmation page."""
    site.subscribe()
    site.work()
    return _settings_in(site.post(site.link("confirm")).text)


def _ask_to_move(site: Site, settings: str, address: str) -> str:
    """Requests a change of address. Returns the link in the mail to the new address."""
    assert site.post(settings, {"do": "address", "address": address}).status_code == 200
    site.work()
    assert site.mails("change")[-1][0] == address
    return site.link("change")


def _move(site: Site, settings: str, address: str) -> str:
    """Requests and confirms a change of address. Returns the new preferences link."""
    return _settings_in(site.post(_ask_to_move(site, settings, address)).text)


def _asked_by_mail(site: Site, number: int) -> str:
    """Returns the preferences link that the unsubscribe page mails, which must be a new mail."""
    before = len(site.mails("settings"))
    assert site.post(site.leaving(number), {"do": "settings"}).status_code == 200
    site.work()
    assert len(site.mails("settings")) == before + 1
    return site.link("settings")


def _assert_dead(site: Site, settings: str) -> None:
    """Checks that the link shows nothing and does nothing."""
    before = site.tables()
    for path in (settings, f"{settings}/export"):
        assert site.get(path).status_code == 404
    for form in (
        {"do": "address", "address": "thief@example.org"},
        {"do": "unsubscribe"},
        {"do": "delete", "sure": "yes"},
        END,
    ):
        answer = site.post(settings, form)
        assert answer.status_code == 404, form
        assert "/unsubscribe/" not in answer.text
    assert site.tables() == before


def _assert_says(site: Site, link: str, heading: str, status: int = 200) -> None:
    """Checks that GET and POST of a confirmation link say this, give no link, and change
    nothing.
    """
    before = site.tables()
    answers: list[Response] = [site.get(link), site.post(link), site.get(link)]
    for answer in answers:
        assert answer.status_code == status
        assert f"<h1>{heading}</h1>" in answer.text
        assert "/preferences/" not in answer.text
        assert "/unsubscribe/" not in answer.text
        assert 'method="post"' not in answer.text
    assert site.tables() == before


# --- used


def test_a_used_sign_up_link_hands_out_nothing(site: Site) -> None:
    """It says that it was used, immediately and after the subscriber has moved or unsubscribed."""
    settings = _join(site)
    number, used = site.number(), site.link("confirm")
    _assert_says(site, used, USED)
    _move(site, settings, SECOND)
    _assert_says(site, used, USED)
    site.post(site.leaving(number), ONE_CLICK)
    _assert_says(site, used, USED)


def test_a_used_change_link_hands_out_nothing(site: Site) -> None:
    """By then another person may own the mailbox that it was sent to."""
    settings = _move(site, _join(site), SECOND)
    used = site.link("change")
    _assert_says(site, used, USED)
    _move(site, settings, THIRD)
    _assert_says(site, used, USED)
    assert site.person(THIRD)["state"] == "active"


def test_a_link_pressed_many_times_at_once_works_once(site: Site) -> None:
    """Of simultaneous confirmations, one gets the preferences link."""
    site.subscribe()
    site.work()
    token = site.link("confirm").rpartition("/")[2]
    together = Barrier(6)

    def press() -> bool:
        together.wait(60)
        return bool(site.app.subscribers.signup.confirm(RequestKind.SUBSCRIBE, token, "net"))

    with ThreadPoolExecutor(6) as threads:
        pressed = [threads.submit(press) for _ in range(6)]
        assert sorted(one.result() for one in pressed) == [False] * 5 + [True]


# --- replaced


def test_a_second_sign_up_link_hands_out_nothing(site: Site) -> None:
    """Another mail to the first mailbox gives no preferences link."""
    site.subscribe()
    site.work()
    other = site.link("confirm")
    site.now += timedelta(days=1, minutes=1)
    settings = _join(site)
    assert site.link("confirm") != other
    _assert_says(site, other, NOT_NEEDED)
    settings = _move(site, settings, SECOND)
    _assert_says(site, other, HOLD_NO_MORE, 404)
    site.post(settings, {"do": "unsubscribe"})
    _assert_says(site, other, HOLD_NO_MORE, 404)


def test_of_two_pending_changes_the_first_confirmed_wins(site: Site) -> None:
    """The other request ends, in either order, and its address is erased."""
    settings = _join(site)
    links = [_ask_to_move(site, settings, address) for address in (SECOND, THIRD)]
    moved = site.post(links[1])
    assert site.person(THIRD)["state"] == "active"
    _assert_says(site, links[0], HOLD_NO_MORE, 404)
    assert not site.rows("SELECT * FROM requests WHERE address != '' OR handled_at IS NULL")
    settings = _settings_in(moved.text)
    links = [_ask_to_move(site, settings, f"mira.{n}@example.org") for n in (4, 5)]
    site.post(links[0])
    assert site.person("mira.4@example.org")["state"] == "active"
    _assert_says(site, links[1], HOLD_NO_MORE, 404)


def test_requests_from_before_a_change_of_address_are_dropped(site: Site) -> None:
    """A request that is queued while another one is confirmed is never processed."""
    settings = _join(site)
    pending = _ask_to_move(site, settings, SECOND)
    site.post(settings, {"do": "address", "address": THIRD})
    site.post(site.leaving(site.number()), {"do": "settings"})
    assert site.app.subscribers.visitor_requests.has_work()
    site.post(pending)
    assert not site.app.subscribers.visitor_requests.has_work()
    site.work()
    assert [to for to, _ in site.mails("change")] == [SECOND]
    assert site.mails("settings") == []
    assert not site.rows("SELECT * FROM requests WHERE address != ''")


# --- an address that was given up


def test_a_preferences_link_ends_with_its_address(site: Site) -> None:
    """It does not become valid again when the subscriber returns to that address."""
    first = _join(site)
    second = _move(site, first, SECOND)
    _assert_dead(site, first)
    assert site.get(second).status_code == 200
    site.restart()
    third = _move(site, second, MIRA)
    for old in (first, second):
        _assert_dead(site, old)
    assert site.get(third).status_code == 200


def test_a_former_mailbox_can_only_unsubscribe(site: Site) -> None:
    """Its unsubscribe page may request a preferences link, which is mailed to the current
    address.
    """
    settings = _join(site)
    number = site.number()
    _move(site, settings, SECOND)
    assert site.get(_asked_by_mail(site, number)).status_code == 200
    assert [to for to, _ in site.mails("settings")] == [SECOND]
    assert site.post(site.leaving(number), ONE_CLICK).text == "unsubscribed\n"
    assert site.person(SECOND)["state"] == "unsubscribed"


def test_a_link_is_bound_to_the_address_itself(site: Site) -> None:
    """Even if nothing else differs, as in a restored database."""
    settings = _join(site)
    with site.database.write() as tx:
        tx.exec_driver_sql("UPDATE subscribers SET normal = ?, address = ?", (SECOND, SECOND))
    _assert_dead(site, settings)


# --- ended on request


def test_all_links_end_on_request(site: Site) -> None:
    """Preferences links and pending requests; the page says how to get a new link."""
    first = _join(site)
    number = site.number()
    by_mail = _asked_by_mail(site, number)
    pending = _ask_to_move(site, first, SECOND)
    assert "End all links" in site.get(first).text
    answer = site.post(first, END)
    assert answer.status_code == 200
    assert "<h1>Your links have ended</h1>" in answer.text
    assert "Unsubscribe" in answer.text
    for old in (first, by_mail):
        _assert_dead(site, old)
    _assert_says(site, pending, HOLD_NO_MORE, 404)
    assert (site.person()["state"], site.number()) == ("active", number)
    again = _asked_by_mail(site, number)
    assert site.get(again).status_code == 200
    site.post(again, END)  # in the same second
    _assert_dead(site, again)


def test_ended_links_do_not_lift_the_limit_of_mails(site: Site) -> None:
    """One new link a day, as before; ending the links permits one more."""
    settings = _join(site)
    number = site.number()
    for expected in (1, 2):
        for _ in range(3):
            site.now += timedelta(seconds=9)
            site.post(site.leaving(number), {"do": "settings"})
            site.work()
        assert len(site.mails("settings")) == expected
        settings = site.link("settings")
        site.now += timedelta(seconds=9)
        site.post(settings, END)


def test_only_our_own_form_ends_links(site: Site) -> None:
    """Another site cannot send the form, and opening a link never ends one."""
    settings = _join(site)
    site.get(f"{settings}?do=links")
    answer = site.post(settings, END, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert site.get(settings).status_code == 200


def test_the_operator_can_end_a_pending_sign_up(site: Site) -> None:
    """A new sign-up gets a new mail, although one was sent today."""
    site.subscribe()
    site.work()
    ended = site.link("confirm")
    site.app.subscribers.lifecycle.revoke(parse_address(MIRA))
    _assert_says(site, ended, HOLD_NO_MORE, 404)
    assert site.person()["state"] == "pending"
    site.subscribe()
    site.work()
    assert len(site.mails("confirm")) == 2
    assert site.post(site.link("confirm")).status_code == 200


def test_other_subscribers_links_stay_valid(site: Site) -> None:
    """Only this subscriber's links end."""
    ana = site.joined("ana@example.org")
    theirs = site.settings(ana)
    pending = _ask_to_move(site, theirs, "ana.new@example.org")
    site.post(_join(site), END)
    assert site.get(theirs).status_code == 200
    assert "/preferences/" in site.post(pending).text


def test_links_and_limits_after_the_clock_was_ahead(site: Site) -> None:
    """Once the clock is right, links can be ended, and one link a day is mailed."""
    site.now += timedelta(days=400)
    site.post(_join(site), END)
    number = site.number()
    site.now -= timedelta(days=399)
    settings = _asked_by_mail(site, number)
    assert site.get(settings).status_code == 200
    site.post(site.leaving(number), {"do": "settings"})
    site.work()
    assert len(site.mails("settings")) == 1
    site.post(settings, END)
    _assert_dead(site, settings)


# --- addresses of the machine itself


@pytest.mark.parametrize(
    "address",
    [
        "root@localhost",
        "root@LOCALHOST",
        "root@mail.localhost",
        "root@printer.local",
        "root@printer.ｌｏｃａｌ",
        "root@localhost.localdomain",
        "root@intranet",
        "root@[127.0.0.1]",
    ],
)
def test_visitors_cannot_have_mail_sent_to_the_machine_itself(site: Site, address: str) -> None:
    """Neither by signing up nor by changing their address; nothing is recorded."""
    settings = _join(site)
    before = site.tables()
    assert site.subscribe(address).status_code == 422
    assert site.post(settings, {"do": "address", "address": address}).status_code == 422
    assert site.tables() == before


@pytest.mark.parametrize("address", ["a@localhost.example", "a@local.example.org", "a@x.locally"])
def test_names_that_only_look_local_may_subscribe(site: Site, address: str) -> None:
    """A domain that only begins like a local name is elsewhere."""
    assert site.subscribe(address).status_code == 200
    site.work()
    assert [to for to, _ in site.mails("confirm")] == [address]
