"""Attacks on the pages: floods of requests, probing for subscribers, and hostile papers."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from sqlalchemy import Engine, event
from structlog.testing import capture_logs

from newsletter.errors import DatabaseLocked
from newsletter.models import SubscriberState
from newsletter.storage import subscribers
from newsletter.web import limits
from newsletter.web.background import run_background_tasks
from tests.support.builders import HOSTILE
from tests.support.captures import api_json, made
from tests.support.website import FEEDS, HERE, MIRA, Site, opened


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site with papers and no subscribers."""
    with opened(tmp_path) as one:
        yield one


# --- limits


@pytest.mark.parametrize(
    ("headers", "most"),
    [(HERE, limits.NETWORK), ({}, limits.SCRIPT)],
    ids=["browser", "script"],
)
@pytest.mark.parametrize(
    ("network", "outside"),
    [("198.51.100.{}", "198.51.101.1"), ("2001:db8:0:{}::1", "2001:db8:0:100::1")],
)
def test_a_network_has_a_limit(
    site: Site, headers: dict[str, str], most: int, network: str, outside: str
) -> None:
    """It applies to all its addresses; another network is not affected."""
    for host in range(most):
        made_up = {**headers, "X-Forwarded-For": f"192.0.{host}.1"}  # not an entry of our proxy
        peer = network.format(host)
        assert site.subscribe(f"r{host}@x.example", headers=made_up, peer=peer).status_code == 200
    refused = site.subscribe("r@x.example", headers=headers, peer=network.format(99))
    assert refused.status_code == 429
    assert site.subscribe("r@x.example", headers=headers, peer=outside).status_code == 200
    assert len(site.rows("SELECT 1 FROM requests")) == most + 1


@pytest.mark.parametrize("lines", ["one", "two"])
def test_a_proxy_names_the_client(site: Site, lines: str) -> None:
    """The last entry of our proxy counts, even in a separate line; earlier entries are made up."""
    site.restart(trusted_hops=1)
    for host in range(limits.NETWORK + 1):
        made_up, real = f"192.0.{host}.1", "198.51.100.7"
        said = [f"{made_up}, {real}"] if lines == "one" else [made_up, real]
        headers = [*HERE.items(), *(("X-Forwarded-For", one) for one in said)]
        answer = site.subscribe(f"r{host}@x.example", headers=headers)
    assert answer.status_code == 429
    assert site.rows("SELECT DISTINCT network FROM requests") == [("198.51.100.0/24",)]


def test_all_networks_share_a_limit(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many networks do not get around it."""
    monkeypatch.setattr(limits, "ALL", 5)
    site.restart()
    found = [
        site.subscribe(f"r{at}@x.example", peer=f"192.0.{at}.1").status_code for at in range(7)
    ]
    assert found == [200] * 5 + [429] * 2


def test_an_address_gets_one_mail_a_day(site: Site) -> None:
    """However it is written and whichever form is used; no response reveals it."""
    answers = set()
    for hour in range(24):
        site.restart()
        for at, written in enumerate((MIRA, "Mira@Example.org", "MIRA@example.org", MIRA)):
            answers.add(site.subscribe(written, peer=f"192.0.{at}.{hour}").content)
        assert len(site.rows("SELECT 1 FROM requests")) == (hour + 1) * limits.ADDRESS
        site.work()
        site.now += timedelta(hours=1)
    assert len(answers) == 1
    assert len(site.mails("confirm")) == 1
    site.now += timedelta(minutes=1)
    site.restart()
    site.subscribe()
    site.work()
    assert len(site.mails("confirm")) == 2


def test_changing_the_address_does_not_flood_a_stranger(site: Site) -> None:
    """A new address gets one mail a day too, in any spelling of its case."""
    settings = site.settings(site.joined())
    for written in ("jonas@x.example", "Jonas@x.example", "JONAS@x.example", "jonaS@X.example"):
        site.restart()
        assert site.post(settings, {"do": "address", "address": written}).status_code == 200
        site.work()
    assert len(site.mails("change")) == 1


def test_the_hidden_field_catches_bots(site: Site) -> None:
    """They get the same response, and no mail."""
    alerted = site.subscribe(form={"website": "https://pills.example"})
    assert not site.rows("SELECT 1 FROM requests")
    assert alerted.content == site.subscribe().content


def test_a_confirmation_mail_contains_no_text_of_the_visitor(site: Site) -> None:
    """So it cannot carry advertising: no name, zone, user agent or additional field."""
    words = {"name": "Pills", "time_zone": "Pacific/Chatham", "subject": "Pills", "text": "Pills"}
    agent = {**HERE, "User-Agent": "Pills", "Referer": "https://pills.example"}
    site.subscribe("cheap.pills@pills.example", words, headers=agent)
    site.work()
    [(to, text)] = site.mails("confirm")
    assert to == "cheap.pills@pills.example"
    assert not re.search("pills|chatham|pacific", text, re.IGNORECASE)
    assert len(text) < 600
    assert text.count("://") == 1


# --- no response reveals a subscriber


def _all_states(site: Site) -> list[str]:
    """Returns an address in each state."""
    names = ("new", "pending", "active", "paused", "unsubscribed", "suppressed", "forgotten")
    known = {name: f"{name}@example.org" for name in names}
    site.subscribe(known["pending"])
    for name in names[2:]:
        site.joined(known[name])
    site.post(site.settings(site.number(known["paused"])), {"do": "pause"})
    site.post(site.leaving(site.number(known["unsubscribed"])))
    with site.database.write() as tx:
        number = site.number(known["suppressed"])
        subscribers.stop(tx, number, SubscriberState.SUPPRESSED, site.now)
    site.post(site.settings(site.number(known["forgotten"])), {"do": "delete", "sure": "yes"})
    states = {state for (state,) in site.rows("SELECT state FROM subscribers")}
    assert states == {*map(str, SubscriberState)}
    site.restart()
    return list(known.values())


def test_subscribing_reveals_nothing(site: Site) -> None:
    """Status, headers and body are identical; the request is recorded, and nothing is read."""
    addresses, said, answers = _all_states(site), [], set()

    def heard(_wire: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        said.append(statement)

    event.listen(Engine, "before_cursor_execute", heard)
    try:
        for address in addresses:
            before = site.tables("requests", "sqlite_sequence")
            many = len(site.rows("SELECT 1 FROM requests"))
            answer = site.subscribe(address)
            headers = sorted(pair for pair in answer.headers.raw if pair[0] != b"date")
            answers.add((answer.status_code, tuple(headers), answer.content))
            assert site.tables("requests", "sqlite_sequence") == before
            assert len(site.rows("SELECT 1 FROM requests")) == many + 1
    finally:
        event.remove(Engine, "before_cursor_execute", heard)
    assert len(answers) == 1
    assert sum("INSERT INTO requests" in one for one in said) == len(addresses)
    assert not [one for one in said if re.search("subscribers|suppressions|notices", one)]


def test_changing_the_address_reveals_nothing(site: Site) -> None:
    """The form does not reveal whether the new address is subscribed."""
    addresses, settings = _all_states(site), site.settings(site.joined())
    answers = set()
    for address in addresses:
        answer = site.post(settings, {"do": "address", "address": address})
        answers.add((answer.status_code, answer.content))
    assert len(answers) == 1


# --- hostile papers

SCRIPTED = "A <script>alert(1)</script> Lamp {{7*7}} onload=alert(1)"


class _Tags(HTMLParser):
    """Fails at anything active; collects the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.said = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Checks a tag."""
        facts = dict(attrs)
        assert tag not in ("iframe", "object", "embed", "base", "svg", "style")
        assert tag != "script" or facts.get("src") == "/zone.js"
        for name, value in attrs:
            assert not name.startswith("on")
            assert name != "style"
            if name in ("href", "src", "action"):
                assert re.match(r"https://|mailto:|/(?!/)|#|data:,$", value or ""), value

    def handle_data(self, data: str) -> None:
        """Collects text."""
        self.said += data


def _hostile(site: Site) -> list[str]:
    """Ingests hostile papers in two formats. Returns the pages that show them."""
    site.joined()
    site.now += timedelta(hours=1)
    titles = (SCRIPTED, *HOSTILE)
    titled = [replace(one, arxiv_id=f"2611.9{at:04}") for at, one in enumerate(made(*titles))]
    site.take_in("2026-11-20-b.json", api_json(titled))
    items = [
        {"id": f"{n}", "url": url, "title": f"{SCRIPTED} {n}", "content_text": SCRIPTED}
        for n, url in enumerate(("javascript:alert(1)", 'https://x.example/"><script>', "//x.y"))
    ]
    feed = {"version": "https://jsonfeed.org/version/1.1", "title": SCRIPTED, "items": items}
    site.now += timedelta(hours=1)
    site.take_in("feed.json", json.dumps(feed).encode())
    keys = [f"/editions/{key}" for (key,) in site.rows("SELECT key FROM editions")]
    return ["/", "/archive", "/archive/2026-11-20", "/archive?q=lamp", *keys]


def test_hostile_papers_are_text_on_every_page(site: Site) -> None:
    """Nothing in a title is active, and nothing of it is lost."""
    paths = _hostile(site)
    pages_of = {path: _Tags(site.get(path).text).said for path in paths}
    assert SCRIPTED in pages_of["/archive/2026-11-20"]
    assert SCRIPTED in pages_of["/archive?q=lamp"]
    assert sum(SCRIPTED in said for said in pages_of.values()) >= 4
    assert not any("javascript:" in site.get(path).text for path in paths)


@pytest.mark.parametrize("path", FEEDS)
def test_hostile_papers_are_text_in_every_feed(site: Site, path: str) -> None:
    """Also in fields that readers treat as HTML; the feed itself is well-formed."""
    _hostile(site)
    text = site.get(path).text
    assert "javascript:" not in text
    if path.endswith("json"):
        items = json.loads(text)["items"]
        parts = [value for item in items for name, value in item.items() if name == "content_html"]
    else:
        parts = [one.text or "" for one in ElementTree.fromstring(text).iter()]
        titles = [one for one in parts if one.startswith(SCRIPTED)]
        assert titles or "editions" in path
        parts = [one for one in parts if one.startswith("<")]
    assert parts
    assert SCRIPTED in unescape(text) or SCRIPTED in unescape(unescape(text))
    for part in parts:
        _Tags(part)


# --- logs


def test_logs_contain_no_addresses_and_no_tokens(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While every page is used, and when pages fail."""
    caplog.set_level(logging.INFO)
    secret = [MIRA, "jonas@x.example"]
    with capture_logs() as said:
        number = site.joined()
        settings, leaving = site.settings(number), site.leaving(number)
        site.post(settings, {"do": "address", "address": secret[1]})
        site.work()
        run_background_tasks(site.app, threading.Event(), lambda _summary, _total: None)
        secret += [link.rpartition("/")[2] for link in (settings, leaving, site.link("change"))]
        for path in (settings, leaving, site.link("change"), f"{settings}/export"):
            site.get(path)
            site.post(path)
        settings = site.settings(number)  # the change of address ended the first link
        secret.append(settings.rpartition("/")[2])

        def locked(*_rest: object) -> None:
            raise DatabaseLocked("busy")

        for name in ("view", "unsubscribe", "export"):
            monkeypatch.setattr(site.app.subscribers.preference_centre, name, locked)
        for path in (settings, f"{settings}/export"):
            assert site.get(path).status_code == 503
        assert site.post(leaving).status_code == 503
    lines = [repr(line) for line in said]
    # Log records of the test's own HTTP client do not count.
    lines += [one.getMessage() for one in caplog.records if not one.name.startswith("http")]
    assert lines
    assert not [line for line in lines if any(one in line for one in secret)]
