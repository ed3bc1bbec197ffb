"""Personal links: what each one permits, for how long, and for which subscriber."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.web import limits
from tests.support.soak import SOAK
from tests.support.website import BASE, CHOICES, MIRA, ONE_CLICK, PUBLIC, Site, opened

NEW = "jonas@example.org"
MOVE = {"do": "address", "address": NEW}
DELETE = {"do": "delete", "sure": "yes"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site with papers and no subscribers."""
    with opened(tmp_path) as one:
        yield one


def _tokens(site: Site) -> dict[str, str]:
    """Returns a valid token for each purpose, of an active subscriber who asked to change their
    address.
    """
    number = site.joined()
    site.post(site.settings(number), MOVE)
    site.subscribe("ana@example.org")
    site.work()
    return {
        "confirm": site.link("confirm").rpartition("/")[2],
        "change": site.link("change").rpartition("/")[2],
        "preferences": site.settings_token(number),
        "unsubscribe": site.links.unsubscribe_token(number),
        "form": site.links.form(site.now),
    }


ROUTES = {"confirm": ("confirm", "change"), "preferences": ("preferences",)} | {
    "unsubscribe": ("unsubscribe",)
}
"""The first step of a page's path, and the purposes of the tokens that it takes."""
FORMS: tuple[Mapping[str, str], ...] = ({}, ONE_CLICK, {"do": "undo"}, {"do": "settings"}, *CHOICES)


def _refused(site: Site, route: str, token: str) -> None:
    """Checks that the link shows nothing and does nothing."""
    before = site.tables()
    paths = [f"/{route}/{token}"] + [f"/{route}/{token}/export"] * (route == "preferences")
    assert {site.get(path).status_code for path in paths} == {404}, (route, token)
    assert {site.post(paths[0], form).status_code for form in FORMS} == {404}, (route, token)
    assert site.tables() == before


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_opening_a_link_changes_nothing(site: Site, method: str) -> None:
    """Mail scanners open every link, so GET has no effect on any page."""
    tokens = _tokens(site)
    site.subscribe("carl@example.org")  # waits
    keys = [f"/editions/{key}" for (key,) in site.rows("SELECT key FROM editions")]
    cut = [token[:-1] for token in tokens.values()]
    wild = [*tokens.values(), *cut, "x", "%00", "%F0%9F%8F%AE", "A" * 28, "A" * 36, "A" * 9000]
    steps = ("/confirm/{}", "/preferences/{}", "/preferences/{}/export", "/unsubscribe/{}")
    acting = urlencode({**DELETE, **ONE_CLICK})
    before, answers = site.tables(), set()
    for path in [*PUBLIC, *keys, *(step.format(token) for step in steps for token in wild)]:
        answers.add(site.ask(method, path).status_code)
        answers.add(site.ask(method, f"{path.partition('?')[0]}?{acting}").status_code)
        assert site.tables() == before, path
    assert answers == {200, 404}


def test_a_token_is_for_one_purpose(site: Site) -> None:
    """It is invalid on the pages for another purpose."""
    for purpose, token in _tokens(site).items():
        for route, purposes in ROUTES.items():
            if purpose in purposes:
                assert site.get(f"/{route}/{token}").status_code == 200
            else:
                _refused(site, route, token)


@pytest.mark.parametrize("route", ROUTES)
def test_an_altered_token_is_invalid(site: Site, route: str) -> None:
    """With one character changed, removed or added."""
    token = _tokens(site)[route]
    changed = [
        token[:at] + ("A" if sign != "A" else "B") + token[at + 1 :]
        for at, sign in enumerate(token)
    ]
    cut = [token[:at] for at in range(1, len(token))]
    before = site.tables()
    for other in [
        *changed,
        *cut,
        f"{token}A",
        f"{token}%3D",
        f"{token}%0A",
        f"%20{token}",
        token * 2,
    ]:
        assert site.get(f"/{route}/{other}").status_code == 404, other
        assert site.post(f"/{route}/{other}", CHOICES[4]).status_code == 404, other
    assert site.tables() == before
    assert site.get(f"/{route}/{token}").status_code == 200


@pytest.mark.parametrize(
    ("purpose", "route", "days"),
    [("confirm", "confirm", 3), ("change", "confirm", 3), ("preferences", "preferences", 30)],
)
def test_links_expire(site: Site, purpose: str, route: str, days: int) -> None:
    """To the second, after the time that the mail and the page state."""
    token = _tokens(site)[purpose]
    site.now += timedelta(days=days, seconds=-1)
    assert site.get(f"/{route}/{token}").status_code == 200
    site.now += timedelta(seconds=1)
    _refused(site, route, token)


def test_confirming_twice_subscribes_once(site: Site) -> None:
    """The second confirmation says that the link was used, and is no error."""
    site.joined()
    before, again = site.tables(), site.post(site.link("confirm"))
    assert again.status_code == 200
    assert "This link has been used" in again.text
    assert site.tables() == before


def test_an_old_confirmation_resubscribes_no_one(site: Site) -> None:
    """A subscriber who has since unsubscribed stays unsubscribed, whether or not the link was
    used.
    """
    site.subscribe()
    site.work()
    unused = site.link("confirm")
    site.now += timedelta(days=1, minutes=1)
    number = site.joined()
    used = site.link("confirm")
    assert used != unused
    site.now += timedelta(minutes=1)
    site.post(site.leaving(number), ONE_CLICK)
    for link in (used, unused):
        site.post(link)
        assert site.person()["state"] == "unsubscribed", link == unused


def test_a_change_of_address_is_made_once(site: Site) -> None:
    """Using its link again does not undo later changes."""
    number = site.joined()
    for address in (NEW, MIRA):
        site.restart()
        site.post(site.settings(number), {**MOVE, "address": address})
        site.work()
        if address == NEW:
            first = site.link("change")
        assert site.post(site.link("change")).status_code == 200
    site.post(first)
    assert site.person(MIRA)["id"] == number


def test_keys_rotate(site: Site) -> None:
    """Links are valid while their key is listed; unsubscribe links from before the first key stay
    valid.
    """
    number = site.joined()
    made = {}
    for keys in ([], ["one"], ["two", "one"], ["two"]):
        site.restart(secret_keys=keys)
        made["-".join(keys)] = (site.settings(number), site.leaving(number))
        assert {site.get(path).status_code for path in made["-".join(keys)]} == {200}
        if keys == ["two", "one"]:
            assert {site.get(path).status_code for path in made["one"]} == {200}
    assert {site.get(path).status_code for path in made["one"]} == {404}
    assert {site.get(path).status_code for path in made[""]} == {200}


def test_links_of_another_newsletter_are_invalid(site: Site, tmp_path: Path) -> None:
    """Even if the subscriber ids in them are the same."""
    (tmp_path / "other").mkdir()
    with opened(tmp_path / "other") as other:
        theirs = _tokens(other)
    ours = _tokens(site)
    for route in ROUTES:
        assert theirs[route] != ours[route]
        _refused(site, route, theirs[route])


@pytest.mark.parametrize("keys", [[], ["one"]])
def test_unsubscribe_links_never_expire(site: Site, keys: list[str]) -> None:
    """The link of the first mail works years later, after a change of address and of keys."""
    site.restart(secret_keys=keys)
    number = site.joined()
    found = re.search(rf"List-Unsubscribe: <{BASE}(/unsubscribe/[\w-]+)>", site.send())
    assert found
    site.post(site.settings(number), MOVE)
    site.work()
    site.post(site.link("change"))
    site.now += timedelta(days=4000)
    site.restart(secret_keys=["two", *keys])
    assert site.get(found[1]).status_code == 200
    assert site.post(found[1], ONE_CLICK).status_code == 200
    assert site.person(NEW)["state"] == "unsubscribed"


# --- signing up again


@pytest.mark.parametrize("state", ["active", "paused", "unsubscribed"])
def test_signing_up_again_changes_nothing(site: Site, state: str) -> None:
    """Anyone can type an address, so state, preferences, history and consent stay as they are."""
    number = site.joined()
    site.post(site.settings(number), CHOICES[0])
    if state == "paused":
        site.post(site.settings(number), {"do": "pause", "until": "2026-12-24"})
    if state == "unsubscribed":
        site.post(site.leaving(number), {"do": "", "reason": "x"})
    before = site.person()
    assert before["state"] == state
    site.now += timedelta(days=2)
    site.subscribe(MIRA.upper(), {"time_zone": "Asia/Tokyo", "topics": "none", "cadence": "daily"})
    site.work()
    assert site.person() == before
    if state == "unsubscribed":
        assert site.post(site.link("confirm")).status_code == 200
        after = site.person()
        assert after["state"] == "active"
        assert after["cursor"] >= before["cursor"]
        assert after["topics"] == before["topics"]
    else:
        assert len(site.mails("known")) == 1


def test_undoing_an_unsubscription_is_no_confirmation(site: Site) -> None:
    """A subscriber who never confirmed does not become active by undoing it."""
    site.subscribe()
    site.work()
    leaving = site.leaving(site.number())
    site.post(leaving)
    site.post(leaving, {"do": "undo"})
    assert site.person().get("state") != "active"


# --- erasure


def _traces(site: Site, *addresses: str) -> list[str]:
    """Returns the rows that contain one of these addresses in any case."""
    return [
        f"{table}: {row}"
        for table, rows in site.tables().items()
        for row in rows
        if any(address.casefold() in row.casefold() for address in addresses)
    ]


@pytest.mark.parametrize("address", [MIRA, "Mira.Okafor@example.org", "ÅSA@example.org"])
def test_an_erased_address_is_in_no_table(site: Site, address: str) -> None:
    """Neither in requests, nor in sent mail, nor in the queue."""
    number = site.joined(address)
    site.send()
    site.post(site.leaving(number), {"do": "settings"})
    site.subscribe(address.swapcase())
    site.work()
    site.subscribe(address)
    assert _traces(site, address)
    settings = site.settings(number)
    assert site.post(settings, DELETE).status_code == 200
    site.work()
    assert not _traces(site, address)
    site.restart()
    site.subscribe(address)
    site.work()
    assert not _traces(site, address)
    assert site.get(settings).status_code == 404


def test_unconfirmed_addresses_are_erased(site: Site) -> None:
    """After a week, in every table; signing up again is possible."""
    site.subscribe()
    site.work()
    site.now += timedelta(days=7, minutes=1)
    site.app.subscribers.expiry.tidy()
    assert not _traces(site, MIRA, "203.0.113.0")
    site.restart()
    site.subscribe()
    site.work()
    assert len(site.mails("confirm")) == 2


def test_signing_up_on_the_day_of_unsubscribing(site: Site) -> None:
    """One further confirmation mail is sent, although the first was sent today."""
    number = site.joined()
    site.post(site.leaving(number), ONE_CLICK)
    for _ in range(2):
        site.restart()
        site.now += timedelta(minutes=5)
        site.subscribe()
        site.work()
    assert len(site.mails("confirm")) == 2
    assert site.post(site.link("confirm")).status_code == 200
    assert site.person()["state"] == "active"


def test_a_confirmation_that_was_refused_is_sent_again(site: Site) -> None:
    """A new sign-up sends it again, because no mail arrived."""
    for expected in (1, 2):
        site.subscribe()
        site.work()
        assert len(site.mails("confirm")) == expected
        with closing(sqlite3.connect(site.database.file, isolation_level=None)) as wire:
            wire.execute("UPDATE deliveries SET state = 'refused', try_at = NULL")


def test_pauses_end_on_their_date(site: Site) -> None:
    """All that are over end together, and no others."""
    number = site.joined()
    with closing(sqlite3.connect(site.database.file, isolation_level=None)) as wire:
        wire.execute(
            "UPDATE subscribers SET state = 'paused', paused_until = '2026-12-10', "
            "next_due_at = NULL WHERE id = ?",
            (number,),
        )
        columns = ", ".join(
            name for name in site.person() if name not in ("id", "address", "normal")
        )
        wire.executemany(
            f"INSERT INTO subscribers (address, normal, {columns}) "  # noqa: S608  # its columns
            f"SELECT ?1, ?1, {columns} FROM subscribers WHERE id = ?2",
            [(f"{who}@example.net", number) for who in range(250)],
        )
        wire.execute("UPDATE subscribers SET paused_until = '2026-12-24' WHERE id % 50 = 0")
    site.now = datetime(2026, 12, 10, 12, tzinfo=UTC)
    site.app.subscribers.expiry.tidy()
    left = site.rows("SELECT count(*) FROM subscribers WHERE state = 'paused'")
    assert left == site.rows("SELECT count(*) FROM subscribers WHERE id % 50 = 0")
    assert left[0][0] >= 5


def test_former_and_requested_addresses_are_erased(site: Site) -> None:
    """The previous address, and a new one that was never confirmed."""
    number = site.joined()
    site.post(site.settings(number), MOVE)
    site.work()
    site.post(site.link("change"))
    site.post(site.settings(number), {**MOVE, "address": "third@example.org"})
    site.work()
    site.post(site.settings(number), DELETE)
    site.work()
    assert not _traces(site, MIRA, NEW, "third@example.org")


def test_queued_mail_of_an_erased_subscriber_is_cancelled(site: Site) -> None:
    """It is not sent to an empty address."""
    number = site.joined()
    site.send()
    site.post(site.leaving(number), {"do": "settings"})
    site.work()
    site.post(site.settings(number), DELETE)
    waiting = "SELECT n.kind FROM deliveries d JOIN notices n ON n.id = d.notice_id"
    assert not site.rows(f"{waiting} WHERE d.state = 'queued'")


# --- arbitrary requests

STEPS = ("/confirm/{}", "/preferences/{}", "/preferences/{}/export", "/unsubscribe/{}")
_ASKED = [step.format(token) for step in STEPS for token in ("A" * 28, "A" * 36, "x")]
_WORD = st.text(st.characters(codec="utf-8"), max_size=20)
_PIECES = _WORD | st.sampled_from(["", "..", "confirm", "export", "archive", "é", "0000-00-00"])
_BUILT = st.lists(_PIECES, max_size=4).map(lambda parts: quote("/" + "/".join(parts)))
_PATHS = st.just("/subscribe") | st.sampled_from([*PUBLIC, *_ASKED, "/subscribe/"]) | _BUILT
_METHODS = st.sampled_from(["POST", "POST", "POST", "GET", "GET", "HEAD", "OPTIONS", "BREW"])
_NAMES = st.sampled_from(["do", "sure", "website", "started", "until", "q", "before", "time_zone"])
_VALUES = (
    st.sampled_from([MIRA, "delete", "unsubscribe", "preferences", "Europe", "9" * 18]) | _WORD
)
_FORMS = st.dictionaries(_NAMES | _WORD, _VALUES, max_size=6)
_ADDRESS = st.just("x@y.example") | _WORD
_CHARSETS = st.sampled_from(["utf-8", "latin-1", "utf-7", "unicode_escape", "idna", "punycode", ""])
_RAW = st.sampled_from([b"x", b"\\ud800", b"+2AA-", b"xn--\xff", b"\0"])
_ODD = st.sampled_from(["null", "http://[", "[::1", "localhost:80]", BASE, "::", ""])
_LATIN = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=30)
_HEADERS = st.fixed_dictionaries(
    {"Host": st.just("papers.example.org") | st.just("localhost") | _ODD},
    optional=dict.fromkeys(
        ("Origin", "Sec-Fetch-Site", "X-Forwarded-For", "Content-Length", "Range"), _ODD | _LATIN
    ),
)


@st.composite
def _bodies(draw: st.DrawFn) -> tuple[str, bytes]:
    """Generates content types and bodies: forms, and what resembles them."""
    form = {"address": draw(_ADDRESS), **draw(_FORMS)}
    kind = draw(st.sampled_from(["urlencoded", "multipart", "rubbish"]))
    if kind == "urlencoded":
        return "application/x-www-form-urlencoded", urlencode(form).encode()
    if kind == "rubbish":
        said = draw(st.sampled_from(["multipart/form-data; boundary=x", "text/x", "", ";;="]))
        return said, draw(st.binary(max_size=80))
    rows = b"".join(
        f'--x\r\nContent-Disposition: form-data; name="{quote(name)}"\r\n\r\n'.encode()
        + (draw(_RAW | st.just(value.encode())) + b"\r\n")
        for name, value in form.items()
    )
    return f"multipart/form-data; boundary=x; charset={draw(_CHARSETS)}", rows + b"--x--\r\n"


@pytest.fixture(scope="module")
def open_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site without limits that has a subscriber."""
    with pytest.MonkeyPatch.context() as patch, opened(tmp_path_factory.mktemp("site")) as one:
        for name in ("NETWORK", "SCRIPT", "ADDRESS", "ALL"):
            patch.setattr(limits, name, 10**9)
        one.restart()
        one.joined()
        yield one


@settings(max_examples=10_000 if SOAK else 150)
@given(_METHODS, _PATHS, _FORMS, _HEADERS, _bodies())
def test_no_request_causes_a_server_error(
    open_site: Site,
    method: str,
    path: str,
    query: dict[str, str],
    headers: dict[str, str],
    body: tuple[str, bytes],
) -> None:
    """No response has status 500, and without a token only requests are recorded."""
    before = open_site.tables("requests", "sqlite_sequence")
    sent = {**headers, "Content-Type": body[0]}
    answer = open_site.ask(
        method,
        f"{BASE}{path}{'&' if '?' in path else '?'}{urlencode(query)}",
        headers={name: value.encode("latin-1") for name, value in sent.items()},
        content=body[1],
    )
    assert answer.status_code < 500
    assert open_site.tables("requests", "sqlite_sequence") == before
