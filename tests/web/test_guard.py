"""Checks before the pages: foreign forms, wrong host names, bodies that are too large or
malformed.
"""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.error import URLError

import pytest
from httpx2 import Response
from starlette.requests import Request
from starlette.routing import Route

from newsletter.errors import DatabaseLocked
from newsletter.web.server import Server, listening
from tests.support.captures import api_json, made
from tests.support.website import BASE, CHOICES, HERE, MIRA, ONE_CLICK, PUBLIC, Site, opened

LARGEST = 16 * 1024


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site with papers and no subscribers."""
    with opened(tmp_path) as one:
        yield one


# --- forms of other sites

ELSEWHERE = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Origin": BASE, "Sec-Fetch-Site": "cross-site"},
    {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://blog.example.org", "Sec-Fetch-Site": "same-site"},
    {"Origin": f"{BASE}.evil.example"},
    {"Origin": f"{BASE}:x@evil.example"},
    {"Origin": f"{BASE}:8443"},
    {"Origin": BASE.replace("https", "http")},
    {"Origin": "http://localhost:3000"},
    {"Origin": "http://["},
]


def _forms(site: Site) -> list[tuple[str, dict[str, str]]]:
    """Returns every form, with valid links."""
    number = site.joined()
    site.post(site.settings(number), CHOICES[3])
    site.subscribe("ana@example.org")
    site.work()
    return [
        ("/subscribe", {"address": "new@example.org"}),
        (site.link("confirm"), {}),
        (site.link("change"), {}),
        *((site.settings(number), dict(choice)) for choice in CHOICES),
        *((site.leaving(number), {"do": do}) for do in ("undo", "reason", "settings")),
    ]


@pytest.mark.parametrize("headers", ELSEWHERE, ids=lambda one: " ".join(one.values()) or "empty")
def test_forms_of_other_sites_are_refused(site: Site, headers: dict[str, str]) -> None:
    """Whatever they request, nothing changes."""
    forms, before = _forms(site), site.tables()
    assert {site.post(path, form, headers=headers).status_code for path, form in forms} == {403}
    assert site.tables() == before


@pytest.mark.parametrize("headers", ELSEWHERE, ids=lambda one: " ".join(one.values()) or "empty")
def test_mailboxes_may_unsubscribe(site: Site, headers: dict[str, str]) -> None:
    """One-click unsubscribing is sent from mailbox providers' servers."""
    number = site.joined()
    assert site.post(site.leaving(number), ONE_CLICK, headers=headers).status_code == 200
    assert site.person()["state"] == "unsubscribed"


def _by_browser(page: Response) -> dict[str, str]:
    """Returns the headers that browsers send with a form of this page (Fetch: append a request
    `Origin` header).
    """
    assert page.status_code == 200
    unnamed = page.headers["Referrer-Policy"] == "no-referrer" or (
        '<meta name="referrer" content="no-referrer">' in page.text
    )
    return {"Origin": "null" if unnamed else BASE, "Sec-Fetch-Site": "same-origin"}


def test_forms_of_our_own_pages_are_accepted(site: Site) -> None:
    """As browsers send them: with `Referrer-Policy: no-referrer`, `Origin` is `null` here too."""
    assert site.subscribe(headers=_by_browser(site.get("/"))).status_code == 200
    site.work()
    confirm = site.link("confirm")
    assert site.post(confirm, headers=_by_browser(site.get(confirm))).status_code == 200
    number = site.number()
    for path, form in ((site.settings(number), CHOICES[0]), (site.leaving(number), {"do": "undo"})):
        assert site.post(path, form, headers=_by_browser(site.get(path))).status_code == 200


# --- host names


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:443", "papers.example.org.evil.example", ""),
        *("papers.example.org:80@evil.example", "[::1", "localhost:80]"),
    ],
)
def test_other_host_names_are_refused(site: Site, host: str) -> None:
    """Only monitoring endpoints accept any host name."""
    path = site.leaving(site.joined())
    before = site.tables()
    for method, asked in (("GET", "/"), ("GET", "/feed.xml"), ("GET", path), ("POST", path)):
        assert site.ask(method, asked, headers={"Host": host}).status_code == 421, asked
    assert site.get("/healthz", Host=host).status_code == 200
    assert site.tables() == before


@pytest.mark.parametrize("host", ["papers.example.org:443", "Papers.Example.ORG", "localhost:9999"])
def test_links_are_made_from_the_configured_address(tmp_path: Path, host: str) -> None:
    """On pages, in feeds, mails and redirects: no request header has an influence."""
    with closing(Site(tmp_path, f"{BASE}/lab")) as site:
        site.take_in("2026-11-20.json", api_json(made("Lamps")))
        headers = {"Host": host, "Origin": BASE}
        assert site.post("/lab/subscribe", {"address": MIRA}, headers=headers).status_code == 200
        site.work()
        confirm = site.link("confirm")
        assert confirm.startswith("/lab/confirm/")
        assert site.post(confirm, headers=headers).status_code == 200
        asked = [f"/lab{path}" for path in PUBLIC]
        for path in [*asked, confirm, "/lab/archive/", "/lab/subscribe/", f"{confirm}/", "/lab"]:
            answer = site.get(path, Host=host)
            assert host not in answer.text, path
            to = answer.headers.get("location", BASE)
            assert to.startswith(f"{BASE}/lab") or to == BASE or re.match(r"/(?!/)", to), to


def test_forwarded_headers_are_not_trusted_by_default(site: Site) -> None:
    """The client is the peer of the connection, unless `trusted_hops` says that there are
    proxies.
    """
    wire = listening("127.0.0.1", 0)
    server = Server(site.pages, wire)
    server.start()
    try:
        address = f"http://127.0.0.1:{wire.getsockname()[1]}/subscribe"
        headers = {"X-Forwarded-For": "198.51.100.7"}
        asked = urllib.request.Request(address, b"address=mira@example.org", headers)
        assert _answered(asked) == 200
    finally:
        server.stop(5.0)
    assert site.rows("SELECT network FROM requests") == [("127.0.0.0/24",)]


def _answered(asked: urllib.request.Request) -> int:
    ends = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:
                return int(answer.status)
        except URLError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.05)


# --- large and malformed bodies


@pytest.mark.parametrize("how", ["said", "unsaid", "misstated"])
def test_large_forms_are_refused(site: Site, how: str) -> None:
    """Whether or not their length is declared; smaller ones are read."""
    number = site.joined()
    paths = ["/subscribe", site.settings(number), site.leaving(number)]
    kind = {**HERE, "Content-Type": "application/x-www-form-urlencoded"}
    before = site.tables()
    for path in paths:
        body = b"do=unsubscribe&x=".ljust(LARGEST + 1, b"x")
        headers = {**kind, "Content-Length": "9"} if how == "misstated" else kind
        content = body if how != "unsaid" else iter([body[:9000], body[9000:]])
        assert site.ask("POST", path, headers=headers, content=content).status_code == 413
    assert site.tables() == before
    fits = site.ask("POST", "/subscribe", headers=kind, content=b"x=".ljust(LARGEST, b"x"))
    assert fits.status_code == 422


@pytest.mark.parametrize("charset", ["unicode_escape", "utf-7", "undefined", "idna", "punycode"])
@pytest.mark.parametrize("words", [b"\\ud800", b"+2AA-", b"\xff", b"a" * 70])
def test_odd_texts_are_read_or_refused(site: Site, charset: str, words: bytes) -> None:
    """Also in an encoding in which they contain half a character."""
    kind = f"multipart/form-data; boundary=x; charset={charset}"
    rows = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    number = site.joined()
    for path, names in (
        ("/subscribe", (b"address", b"time_zone", b"started")),
        (site.settings(number), (b"do", b"topics", b"until")),
        (site.leaving(number), (b"reason", b"do")),
    ):
        body = b"".join(rows % (name, words) for name in names) + b"--x--\r\n"
        answer = site.ask("POST", path, headers={**HERE, "Content-Type": kind}, content=body)
        assert answer.status_code < 500, path


def test_security_headers(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages, feeds, refusals and errors; personal pages are not cached, and no cookie is set."""

    def raising(_request: Request) -> Response:
        raise RuntimeError("a fault of ours")

    site.restart(Route("/fault", raising))
    number = site.joined()
    own = [site.link("confirm"), site.settings(number), site.leaving(number)]
    own += [f"{own[1]}/export", *("/confirm/x", "/preferences/x", "/unsubscribe/x")]
    private = [site.get(path) for path in own] + [site.post(path) for path in own]
    assert {answer.headers["Cache-Control"] for answer in private} == {"no-store"}
    answers = private + [site.get(path) for path in PUBLIC]
    answers += [site.ask("HEAD", "/"), site.post("/"), site.get("/", Host="x"), site.get("/fault")]
    answers += [site.subscribe("x"), site.subscribe(headers=ELSEWHERE[0]), site.subscribe()]
    answers += [site.ask("POST", "/subscribe", content=b"x" * (LARGEST + 1)), site.get("/archive/")]

    def locked() -> None:
        raise DatabaseLocked("busy")

    monkeypatch.setattr(site.database, "read", locked)
    answers.append(site.get("/archive/2026-11-20"))
    assert {403, 404, 405, 413, 421, 422, 500, 503} < {answer.status_code for answer in answers}
    for answer in answers:
        where = f"{answer.status_code} {answer.request.url.path}"
        assert answer.headers["X-Content-Type-Options"] == "nosniff", where
        assert answer.headers["X-Frame-Options"] == "DENY", where
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000", where
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin", where
        assert answer.headers["Referrer-Policy"] in ("no-referrer", "same-origin"), where
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy, where
        assert "unsafe" not in policy, where
        assert "Set-Cookie" not in answer.headers, where
