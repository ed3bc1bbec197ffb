"""A newsletter with its pages: a real process, a real mail server, and the mails it accepted.

    with Postbox(folder) as box:
        room = WebRoom(folder, box.port)
        room.start("serve")

`open_room` does all of this, and stops it.
"""

from __future__ import annotations

import contextlib
import email
import email.policy
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from tests.support.newsroom import Newsroom
from tests.support.ports import free_port
from tests.support.smtp_process import MAILS, MailServer

if TYPE_CHECKING:  # the mail server's process starts faster without it
    from playwright.sync_api import Browser, ConsoleMessage, Page, Request

    from newsletter.storage.subscribers import Subscriber

T = TypeVar("T")
Command = Literal["serve", "web"]

TIMEOUT = 30.0
"""Seconds after which waiting fails."""
_FINDINGS = """
() => {
  const root = document.documentElement;
  const page = getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number);
  return {wide: root.scrollWidth > root.clientWidth, dark: page[0] < 128};
}
"""
_SHAPE = """
() => document.title + [...document.body.querySelectorAll('*')].map(
  one => one.tagName + [...one.attributes].map(a => a.name) + one.className).join()
"""


class Postbox(MailServer):
    """A mail server that keeps the messages it accepts.

    Args:
        folder: contains them; the `WebRoom` in the same folder reads them.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, keep=True)


class WebRoom(Newsroom):
    """A newsletter in a folder of its own, with its pages on a free port of loopback.

    Args:
        folder: the folder, also that of the `Postbox`.
        smtp_port: port of the SMTP server.
        newsletter_settings: further keys of its `[newsletter]` section.

    Attributes:
        base: base URL of its pages.
        examined: the pages already examined, in each view.
    """

    def __init__(self, folder: Path, smtp_port: int, **newsletter_settings: object) -> None:
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.examined: set[tuple[View, str]] = set()
        self._read: Counter[str] = Counter()
        self._process: subprocess.Popen[str] | None = None
        self._settings = {"base_url": self.base, **newsletter_settings}
        super().__init__(folder, smtp_port)

    def configure(
        self, port: int, *, newsletter: Mapping[str, object] | None = None, **others: Any
    ) -> None:
        """Rewrites the configuration; a running process does not read it."""
        super().configure(port, newsletter={**self._settings, **(newsletter or {})}, **others)
        with (self.folder / "config.toml").open("a") as config:
            config.write(f"[web]\nport = {self.port}\n")

    def start(self, command: Command = "serve") -> None:  # type: ignore[override]  # its pages run
        """Starts the process, and waits until it responds."""
        self._process = self.start_process(command)
        self.until(self._answers)

    def start_process(self, command: Command) -> subprocess.Popen[str]:
        """Starts the process without waiting for it."""
        with (self.folder / "log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "newsletter", command, "--log", "json"],
                cwd=self.folder,
                stdout=subprocess.DEVNULL,
                stderr=log,
                text=True,
            )

    def stop(self) -> None:
        """Stops the process; asserts exit status 0 and no errors in its log."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(TIMEOUT)
        finally:
            process.kill()
        assert status == 0, self.log
        assert "Traceback" not in self.log, self.log

    @contextlib.contextmanager
    def running(self, command: Command = "serve") -> Iterator[None]:
        """Runs the process, and stops it at the end."""
        self.start(command)
        try:
            yield
        finally:
            self.stop()

    @property
    def log(self) -> str:
        """The log of the process, one JSON object per line."""
        return (self.folder / "log").read_text()

    def until(self, found: Callable[[], T]) -> T:
        """Waits until `found` returns something true, and returns that; fails after a timeout."""
        return waited(found, lambda: f"the condition never became true\n{self.log}")

    def mails_to(self, address: str) -> Sequence[EmailMessage]:
        """Returns all mails to an address, in order."""
        place = self.folder / MAILS
        return [_parsed(file) for file in sorted(place.glob(f"*-{address}.eml"))]

    def mail_to(self, address: str) -> EmailMessage:
        """Waits for the next mail to an address, and returns it; each is returned once."""
        had = self._read[address]
        self._read[address] += 1
        return self.until(lambda: self.mails_to(address)[had : had + 1])[0]

    def links(self, mail: EmailMessage) -> Sequence[str]:
        """Returns the URLs of our pages in the text of a mail, in order, without duplicates."""
        text = mail.get_body(("plain",))
        assert text is not None
        found = re.findall(re.escape(self.base) + r"[^\s<>\"']*", text.get_content())
        return list(dict.fromkeys(found))

    def link(self, mail: EmailMessage, page: str) -> str:
        """Returns the only link of a mail to a page, such as `confirm`."""
        (found,) = [one for one in self.links(mail) if one.startswith(f"{self.base}/{page}/")]
        return found

    def subscribers(self) -> Mapping[str, Subscriber]:
        """Returns all subscribers in any state, by address."""
        with self.opened() as app:
            return {one.address: one for one in app.subscribers.lifecycle.listed()}

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        try:
            with urllib.request.urlopen(f"{self.base}/readyz", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@contextlib.contextmanager
def open_room(
    folder: Path, command: Command = "serve", **newsletter_settings: object
) -> Iterator[WebRoom]:
    """Runs a newsletter with one day's papers, and stops it at the end of the test."""
    with Postbox(folder) as box:
        room = WebRoom(folder, box.port, **newsletter_settings)
        room.add_papers()
        room.command("ingest")
        with room.running(command):
            yield room


@dataclass(frozen=True)
class View:
    """The settings of a visitor's browser."""

    width: int = 1280
    scheme: str = "light"
    javascript: bool = True

    def __str__(self) -> str:
        return f"{self.width}-{self.scheme}{'' if self.javascript else '-plain'}"


class Visitor:
    """A visitor with a browser of their own; each page is examined for faults."""

    def __init__(self, page: Page, room: WebRoom, view: View) -> None:
        self.page = page
        self.room = room
        self.view = view
        self.asked: list[str] = []
        self.pages: list[str] = []
        self.said: list[str] = []
        page.on("request", self._note_request)
        page.on("console", self._note_message)
        page.on("pageerror", lambda error: self.said.append(str(error)))

    def open(self, url: str, heading: str | re.Pattern[str]) -> None:
        """Opens a URL, and examines the page."""
        self.page.goto(url)
        self.sees(heading)

    def press(self, button: str, heading: str | re.Pattern[str]) -> None:
        """Presses a button, and examines the page that follows."""
        with self.page.expect_navigation():
            self.page.get_by_role("button", name=button, exact=True).click()
        self.sees(heading)

    def sees(self, heading: str | re.Pattern[str]) -> None:
        """Asserts that the page has this heading, is accessible, and fits the window."""
        from playwright.sync_api import expect

        expect(self.page.locator("h1")).to_have_text(heading)
        if self.view.javascript:
            self._examine()
        self._fits()

    def _examine(self) -> None:
        """Checks accessibility, once for pages that differ only in text, because it is slow."""
        from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]

        shape = self.view, self.page.evaluate(_SHAPE)
        if shape not in self.room.examined:
            found = Axe().run(self.page)
            assert not found.violations_count, f"{self.page.url}: {found.generate_report()}"
            self.room.examined.add(shape)

    def _fits(self) -> None:
        for width in (self.view.width, 320):
            self.page.set_viewport_size({"width": width, "height": 900})
            found = self.page.evaluate(_FINDINGS)
            assert found == {"wide": False, "dark": self.view.scheme == "dark"}, self.page.url
        self.page.set_viewport_size({"width": self.view.width, "height": 900})

    def _note_request(self, request: Request) -> None:
        self.asked.append(request.url)
        if request.is_navigation_request():
            self.pages.append(request.url)

    def _note_message(self, message: ConsoleMessage) -> None:
        # The browser reports pages with status 404 or 422 as errors, but they are intended.
        refused = "the server responded with a status of 4" in message.text
        if not (refused and message.location["url"] in self.pages):
            self.said.append(f"{message.text} {message.location['url']}")


@contextlib.contextmanager
def visiting(browser: Browser, room: WebRoom, view: View = View()) -> Iterator[Visitor]:
    """Opens a visitor; asserts that all requests are local and that the console stays empty."""
    context = browser.new_context(
        viewport={"width": view.width, "height": 900},
        color_scheme="dark" if view.scheme == "dark" else "light",
        java_script_enabled=view.javascript,
        timezone_id="Europe/Lisbon",
    )
    context.set_default_timeout(10_000)
    visitor = Visitor(context.new_page(), room, view)
    try:
        yield visitor
        assert visitor.said == []
        assert all(url.startswith(f"{room.base}/") for url in visitor.asked)
        assert not context.cookies()
    finally:
        context.close()


def waited(found: Callable[[], T], problem: Callable[[], str]) -> T:
    """Waits until `found` returns something true, and returns that; fails after a timeout.

    Args:
        problem: returns the message of the failure.
    """
    ends = time.monotonic() + TIMEOUT
    while not (value := found()):
        assert time.monotonic() < ends, problem()
        time.sleep(0.01)
    return value


def _parsed(file: Path) -> EmailMessage:
    mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    return mail
