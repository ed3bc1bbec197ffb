"""The public pages in a real browser: sign-up, preferences, the mails that arrive, and
unsubscribing.
"""

from __future__ import annotations

import http.client
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from newsletter.models import SubscriberState
from newsletter.storage.subscribers import Preferences
from tests.support.web_room import Postbox, View, Visitor, WebRoom, open_room, visiting

NAME = "Lamps & Lanterns"
HARD = ["W" * 200, "<think> {{7*7}} " * 12, "منارة على الميناء القديم", "On $O(\\sqrt{n})$ lamps"]
"""Titles that are hard to show."""

VIEWS = [View(width, scheme) for width in (375, 1280) for scheme in ("light", "dark")]
WAYS = [View(375, "dark"), View(1280, "light"), View(375, "light", javascript=False)]
FOCUS = """
() => {
  const one = document.activeElement, style = getComputedStyle(one);
  const box = one.getBoundingClientRect();
  return {
    name: one.name || one.id || one.textContent.trim(),
    // What is inside a field, such as its clock, shows it by itself.
    seen: !one.matches(':focus')
      || style.outlineStyle !== 'none' && box.width > 1 && box.right > 0,
  };
}
"""


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebRoom]:
    """`newsletter serve` with papers of two days and one subscriber, who was sent the latest."""
    folder = tmp_path_factory.mktemp("room")
    with Postbox(folder) as box:
        made = WebRoom(folder, box.port, name=NAME, postal_address="7 Quay, Harbour")
        made.add_papers()
        made.command("ingest")
        add_hard_papers(folder / "captures")
        made.subscribe(["first@reader.example"])
        made.run()
        with made.running("serve"):
            yield made


def add_hard_papers(captures: Path) -> None:
    """Adds papers of a second day whose titles are hard to display, one of them with votes."""
    rows = [
        {
            "paper": {"id": f"2610.{900 + number:05}", "summary": "Light. " * 40, "upvotes": 7},
            "title": title,
        }
        for number, title in enumerate(HARD)
    ]
    path = captures / "2026-10-02.json"
    path.write_text(json.dumps(rows))
    os.utime(path, (1, 1))  # files written in the last seconds are not read yet


def sign_up(visitor: Visitor, address: str) -> None:
    """Signs up from the front page; returns once the confirmation mail is being sent."""
    visitor.open(f"{visitor.room.base}/", NAME)
    visitor.page.get_by_label("Your email address").fill(address)
    visitor.press("Subscribe", "Check your inbox")


def join(visitor: Visitor, address: str) -> EmailMessage:
    """Signs up, confirms, and waits for the first edition."""
    sign_up(visitor, address)
    room = visitor.room
    visitor.open(room.link(room.mail_to(address), "confirm"), "Confirm your subscription")
    assert room.subscribers()[address].state is SubscriberState.PENDING
    visitor.press("Subscribe", "You are subscribed")
    return room.mail_to(address)


def change_preferences(visitor: Visitor, address: str) -> None:
    """Changes schedule, zone and time; all of them are stored and displayed."""
    page = visitor.page
    day = page.get_by_label("On", exact=True)
    expect(day).to_be_hidden()
    page.get_by_label("Once a week").check()
    day.select_option("Thursday")
    page.get_by_label("Time of day").fill("06:15")
    page.get_by_label("Time zone").select_option("Asia/Tokyo")
    visitor.press("Save", "Your settings")
    expect(page.get_by_role("status")).to_have_text("Your preferences are saved.")
    kept = visitor.room.subscribers()[address].preferences
    assert kept == Preferences("weekly:thu", "Asia/Tokyo", "06:15")
    expect(page.get_by_label("Once a week")).to_be_checked()
    expect(day).to_have_value("thu")
    expect(page.get_by_label("Time of day")).to_have_value("06:15")
    expect(page.get_by_label("Time zone")).to_have_value("Asia/Tokyo")


def pause_and_resume(visitor: Visitor, address: str) -> None:
    """Pauses until a date, which is displayed, and resumes earlier."""
    until = f"{datetime.now(UTC) + timedelta(days=9):%Y-%m-%d}"
    visitor.page.get_by_label("Until (optional)").fill(until)
    visitor.press("Pause", "Your settings")
    assert visitor.room.subscribers()[address].state is SubscriberState.PAUSED
    expect(visitor.page.get_by_text(f"Paused until {until}.")).to_be_visible()
    visitor.press("Resume", "Your settings")
    assert visitor.room.subscribers()[address].state is SubscriberState.ACTIVE
    expect(visitor.page.get_by_role("button", name="Pause")).to_be_visible()


def export(visitor: Visitor) -> dict[str, Any]:
    """Downloads the file with all data about the subscriber."""
    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("link", name="Download my data").click()
    known = json.loads(download.value.path().read_bytes())
    assert isinstance(known, dict)
    return known


def change_address(visitor: Visitor, address: str, new: str) -> None:
    """Changes the address; nothing changes before the link in the mail to the new one is
    confirmed.
    """
    room = visitor.room
    visitor.page.get_by_label("New email address").fill(new)
    visitor.press("Send the link", "Your settings")
    visitor.open(room.link(room.mail_to(new), "confirm"), "Confirm your new address")
    assert address in room.subscribers()
    visitor.press("Use my new address", "Your new address is in use")
    assert address not in room.subscribers()
    assert "new address" in room.mail_to(address)["Subject"]
    visitor.page.get_by_role("link", name="Your settings").click()
    visitor.sees("Your settings")
    expect(visitor.page.get_by_text(new)).to_be_visible()


def leave_and_return(visitor: Visitor, edition: EmailMessage, address: str) -> None:
    """Unsubscribes by the link in an edition, gives a reason, and undoes it."""
    room, page = visitor.room, visitor.page
    visitor.open(room.link(edition, "unsubscribe"), "Unsubscribe")
    assert room.subscribers()[address].state is SubscriberState.ACTIVE
    visitor.press("Unsubscribe", "You are unsubscribed")
    left = room.subscribers()[address]
    assert left.state is SubscriberState.UNSUBSCRIBED
    page.get_by_label("Your reason (optional)").fill("Too many <lamps> & no oil")
    visitor.press("Send", "You are unsubscribed")
    expect(page.get_by_role("status")).to_have_text("Thank you for telling us.")
    with room.opened() as app:
        known = app.subscribers.preference_centre.export(left.id)
    assert known
    assert known["left_because"] == "Too many <lamps> & no oil"
    visitor.press("Undo", "You are subscribed again")
    assert room.subscribers()[address].state is SubscriberState.ACTIVE


def leave_permanently(visitor: Visitor, edition: EmailMessage, address: str) -> None:
    """Unsubscribes in the preferences, opened by a mailed link; no later request causes mail."""
    room, page = visitor.room, visitor.page
    visitor.open(room.link(edition, "unsubscribe"), "Unsubscribe")
    visitor.press("Mail me a link to my settings", "Check your inbox")
    settings = room.link(room.mail_to(address), "preferences")
    visitor.open(settings, "Your settings")
    visitor.press("End all links", "Your links have ended")
    visitor.open(settings, "This link is invalid or has expired")
    visitor.open(room.link(edition, "unsubscribe"), "Unsubscribe")
    visitor.press("Mail me a link to my settings", "Check your inbox")
    settings = room.link(room.mail_to(address), "preferences")
    visitor.open(settings, "Your settings")
    page.get_by_label("I am sure").check()
    visitor.press("Delete my data", "Your data is deleted")
    assert address not in room.subscribers()
    visitor.open(settings, "This link is invalid or has expired")
    had = len(room.mails_to(address))
    sign_up(visitor, address)
    with room.opened() as app:
        room.until(lambda: not app.subscribers.visitor_requests.has_work())
    room.run()
    assert len(room.mails_to(address)) == had
    assert address not in room.subscribers()


@pytest.mark.parametrize("view", WAYS, ids=str)
def test_a_subscriber_from_sign_up_to_unsubscribing(
    browser: Browser, room: WebRoom, view: View
) -> None:
    """Uses every page and every setting once."""
    address, new = f"ada-{view}@reader.example", f"bea-{view}@reader.example"
    with visiting(browser, room, view) as visitor:
        visitor.open(f"{room.base}/", NAME)
        local = "in your time zone" if view.javascript else "(UTC)"
        expect(visitor.page.locator(".promise")).to_contain_text(f"Every day at 07:30 {local}: the")
        edition = join(visitor, address)
        zone = "Europe/Lisbon" if view.javascript else None
        assert room.subscribers()[address].preferences == Preferences(time_zone=zone)
        visitor.page.get_by_role("link", name="Your settings").click()
        visitor.sees("Your settings")
        change_preferences(visitor, address)
        pause_and_resume(visitor, address)
        known = export(visitor)
        assert (known["address"], known["cadence"]) == (address, "weekly:thu")
        assert [one["subject"] for one in known["editions"]] == [edition["Subject"]]
        change_address(visitor, address, new)
        leave_and_return(visitor, edition, new)
        leave_permanently(visitor, edition, new)


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_accessibility_of_public_pages(browser: Browser, room: WebRoom, view: View) -> None:
    """The front page, also with an error in the form, the archive, its days, editions and
    search.
    """
    with visiting(browser, room, view) as visitor:
        page = visitor.page
        visitor.open(f"{room.base}/", NAME)
        page.get_by_role("link", name="Link to this edition").click()
        visitor.sees(re.compile("new papers"))
        visitor.open(f"{room.base}/", NAME)
        page.get_by_label("Your email address").fill("mira@nowhere")
        visitor.press("Subscribe", NAME)
        expect(page.get_by_label("Your email address")).to_have_attribute("aria-invalid", "true")
        visitor.open(f"{room.base}/archive", "Archive")
        page.get_by_role("link", name="1 October").click()
        visitor.sees(re.compile("^Thursday, 1 October"))
        for words, found in (("lamps", "Papers with “lamps”"), ("q" * 90, "No paper with")):
            visitor.open(f"{room.base}/archive", "Archive")
            page.get_by_label("Search the papers").fill(words)
            visitor.press("Search", "Archive")
            expect(page.locator("#found")).to_contain_text(found)
        visitor.open(f"{room.base}/nothing", "Page not found")


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_accessibility_of_personal_pages(browser: Browser, room: WebRoom, view: View) -> None:
    """Invalid links, preferences with an error and during a pause, unsubscribing and undoing it."""
    first = room.subscribers()["first@reader.example"]
    with room.opened() as app:
        links = app.subscribers.links
        settings = links.settings(first, datetime.now(UTC))
        leaving = f"{room.base}/unsubscribe/{links.unsubscribe_token(first.id)}"
    with visiting(browser, room, view) as visitor:
        page = visitor.page
        visitor.open(f"{room.base}/confirm/x", "This link is invalid or has expired")
        visitor.open(f"{room.base}/preferences/x", "This link is invalid or has expired")
        visitor.open(settings, "Your settings")
        page.get_by_label("Until (optional)").fill("2020-01-01")
        visitor.press("Pause", "Your settings")
        expect(page.get_by_role("alert")).to_contain_text("from tomorrow on")
        visitor.press("Pause", "Your settings")
        expect(page.get_by_text("Paused.", exact=True)).to_be_visible()
        visitor.press("Resume", "Your settings")
        visitor.open(leaving, "Unsubscribe")
        visitor.press("Unsubscribe", "You are unsubscribed")
        visitor.press("Undo", "You are subscribed again")


def tab_to(page: Page, name: str) -> None:
    """Presses Tab until this element has the focus, and checks that each focused element is
    visible.
    """
    for _ in range(60):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        assert focus["seen"], focus
        if focus["name"] == name:
            return
    pytest.fail(f"Tab never comes to {name}")


def test_with_the_keyboard_alone(browser: Browser, room: WebRoom) -> None:
    """Every form can be reached with Tab and sent with Enter, and the focus is visible."""
    address = "keys@reader.example"
    with visiting(browser, room) as visitor:
        keys = visitor.page.keyboard
        visitor.open(f"{room.base}/", NAME)
        tab_to(visitor.page, "address")
        keys.type(address)
        keys.press("Enter")
        visitor.sees("Check your inbox")
        visitor.open(room.link(room.mail_to(address), "confirm"), "Confirm your subscription")
        tab_to(visitor.page, "Subscribe")
        keys.press("Enter")
        visitor.sees("You are subscribed")
        tab_to(visitor.page, "Your settings")
        keys.press("Enter")
        visitor.sees("Your settings")
        tab_to(visitor.page, "cadence")
        for key in ("ArrowDown", "ArrowDown", "Tab", "F"):
            keys.press(key)
        tab_to(visitor.page, "Save")
        keys.press("Enter")
        expect(visitor.page.get_by_role("status")).to_be_visible()
        assert room.subscribers()[address].preferences.cadence == "weekly:fri"
        visitor.open(room.link(room.mail_to(address), "unsubscribe"), "Unsubscribe")
        tab_to(visitor.page, "Unsubscribe")
        keys.press("Enter")
        visitor.sees("You are unsubscribed")


def test_the_welcome_comes_once(browser: Browser, room: WebRoom) -> None:
    """Afterwards the confirmation page and its link both say that the link was used."""
    address = "once@reader.example"
    with visiting(browser, room) as visitor:
        welcome = join(visitor, address)
        assert "4 new papers" in text_of(welcome)
        visitor.page.go_back()
        visitor.sees("This link has been used")
        visitor.open(room.link(room.mails_to(address)[0], "confirm"), "This link has been used")
    room.run()
    assert len(room.mails_to(address)) == 2
    mine = [row for row in room.deliveries() if row["address"] == address]
    assert [row["state"] for row in mine] == ["sent", "sent"]


def test_no_choice_repeats_or_skips_a_paper(browser: Browser, tmp_path: Path) -> None:
    """Across daily, weekly, paused and resumed delivery, each paper arrives exactly once."""
    address = "ada@reader.example"
    with (
        open_room(tmp_path, "web", name=NAME) as room,
        visiting(browser, room, View(javascript=False)) as visitor,
    ):
        sign_up(visitor, address)
        visitor.open(room.link(room.mail_to(address), "confirm"), "Confirm your subscription")
        visitor.press("Subscribe", "You are subscribed")
        assert days_in(room, address) == ["1"]
        visitor.page.get_by_role("link", name="Your settings").click()
        visitor.page.get_by_label("Once a week").check()
        visitor.press("Save", "Your settings")
        room.add_papers()
        assert days_in(room, address) == ["2"]
        visitor.press("Pause", "Your settings")
        room.add_papers()
        assert days_in(room, address) == []
        room.add_papers()
        visitor.press("Resume", "Your settings")
        assert days_in(room, address) == ["3", "4"]
        assert days_in(room, address) == []


def days_in(room: WebRoom, address: str) -> list[str]:
    """Returns the days whose papers the next run sends a subscriber, each paper once."""
    had = len(room.mails_to(address))
    room.run()
    titles = Counter(
        found
        for mail in room.mails_to(address)[had:]
        for found in re.findall(r"Lantern number (\d) of day (\d) seen", text_of(mail))
    )
    days = sorted({day for _, day in titles})
    assert titles == Counter((number, day) for number in "012" for day in days)
    return days


def text_of(mail: EmailMessage) -> str:
    """Returns the plain text of a mail as one line."""
    text = mail.get_body(("plain",))
    assert text is not None
    return " ".join(text.get_content().split())


def test_one_click_unsubscribing(room: WebRoom) -> None:
    """Posts the headers of a delivered mail as RFC 8058 describes, twice; the response is the
    same.
    """
    address = "click@reader.example"
    room.subscribe([address, "neighbour@reader.example"])
    room.run()
    mail = room.mail_to(address)
    before = {name: one.state for name, one in room.subscribers().items()}
    (url,) = re.findall(r"<(http:[^>]+)>", mail["List-Unsubscribe"])
    assert url == room.link(mail, "unsubscribe")
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    for _ in range(2):
        assert posted(url, mail["List-Unsubscribe-Post"]) == (200, b"unsubscribed\n", set())
        now = {name: one.state for name, one in room.subscribers().items()}
        assert now == {**before, address: SubscriberState.UNSUBSCRIBED}


def posted(url: str, body: str) -> tuple[int, bytes, set[str]]:
    """Returns the response to a program's request, and the headers that redirect or store
    anything.
    """
    parts = urlsplit(url)
    wire = http.client.HTTPConnection(parts.netloc, timeout=10)
    wire.request("POST", parts.path, body, {"Content-Type": "application/x-www-form-urlencoded"})
    answer = wire.getresponse()
    found = (
        answer.status,
        answer.read(),
        {"location", "set-cookie"} & {name.lower() for name, _ in answer.getheaders()},
    )
    wire.close()
    return found
