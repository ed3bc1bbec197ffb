"""Fetching a URL: what comes through, what is refused, and what is tried again."""

from __future__ import annotations

import gzip
import hashlib
import ipaddress
import socket
import ssl
import subprocess
import tracemalloc
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter import __version__
from newsletter.errors import AddressRefused, FetchError
from newsletter.sources.addresses import refusal
from newsletter.sources.fetch import Fetcher, FetchPolicy
from tests.support.http_server import (
    Answer,
    Answers,
    Server,
    drip,
    idle_reason,
    reply,
    reset,
    then_close,
)

Serve = Callable[..., Server]
LOCAL = FetchPolicy(allow_private=True)
IMPATIENT = FetchPolicy(allow_private=True, deadline=0.3, connect_timeout=99, read_timeout=99)


class Time:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Names:
    """A name server: every name has the answers given, one for each question."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(0, 0, 0, "", (address, port)) for address in addresses]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers and ends them after the test."""
    servers: list[Server] = []

    def start(
        answers: Answers | Answer | list[Answer], tls: ssl.SSLContext | None = None
    ) -> Server:
        table = answers if isinstance(answers, Mapping) else {"/": answers}
        servers.append(Server(table, tls))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def fake() -> Time:
    return Time()


@pytest.fixture
def fetcher(fake: Time) -> Iterator[Fetcher]:
    """May reach the servers of the tests, and never really sleeps."""
    with Fetcher(LOCAL, clock=fake.clock, sleep=fake.sleep, jitter=lambda: 0.5) as made:
        yield made


@pytest.fixture
def guarded(fake: Time) -> Iterator[Fetcher]:
    """As it is by default: nothing private."""
    with Fetcher(clock=fake.clock, sleep=fake.sleep, jitter=lambda: 0.5) as made:
        yield made


# A page


def test_page_is_given_with_its_validators_and_address(serve: Serve, fetcher: Fetcher) -> None:
    """A plain page comes with its bytes, validators and the URL it came from."""
    stamp = "Fri, 20 Nov 2026 07:00:00 GMT"
    server = serve(reply(b"papers", ETag='W/"abc"', Last_Modified=stamp))
    page = fetcher.get(server.url())
    assert (page.data, page.not_modified) == (b"papers", False)
    assert (page.etag, page.last_modified, page.url) == ('W/"abc"', stamp, server.url())


def test_request_says_who_we_are_and_what_we_read(serve: Serve, fetcher: Fetcher) -> None:
    """The request names the program, its version, the host with port and two encodings."""
    server = serve(reply(b""))
    fetcher.get(server.url())
    headers = server.requests[0].headers
    assert headers["user-agent"] == f"paper-newsletter/{__version__}"
    assert headers["host"] == f"127.0.0.1:{server.port}"
    assert headers["accept-encoding"] == "gzip, deflate"
    assert "if-none-match" not in headers


def test_host_header_of_an_ipv6_address_has_brackets(serve: Serve) -> None:
    """Without them the port could not be told from the address."""
    server = serve(reply(b"papers"))
    with Fetcher(LOCAL, resolve=Names(["127.0.0.1"])) as fetcher:
        fetcher.get(server.url(host="[2606:4700::1]"))
    assert server.requests[0].headers["host"] == f"[2606:4700::1]:{server.port}"


def test_chunked_page_without_length(serve: Serve, fetcher: Fetcher) -> None:
    """A body in chunks needs no Content-Length."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    server = serve(head + b"3\r\npap\r\n3\r\ners\r\n0\r\n\r\n")
    assert fetcher.get(server.url()).data == b"papers"


def test_page_that_ends_with_the_connection(serve: Serve, fetcher: Fetcher) -> None:
    """A body without any length ends where the server closes."""
    server = serve(then_close(b"HTTP/1.0 200 OK\r\n\r\npapers"))
    assert fetcher.get(server.url()).data == b"papers"


def test_connection_is_used_again(serve: Serve, fetcher: Fetcher) -> None:
    """Two pages of one server need one connection and one look-up."""
    server = serve(reply(b"papers"))
    fetcher.get(server.url())
    fetcher.get(server.url())
    assert len(server._connections) == 1
    assert len(server.requests) == 2


def test_proxies_of_the_environment_are_ignored(
    serve: Serve, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy would connect for us, to addresses nobody checked."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert fetcher.get(serve(reply(b"papers")).url()).data == b"papers"


# Conditions


def test_unchanged_page_keeps_the_old_validators(serve: Serve, fetcher: Fetcher) -> None:
    """304 gives no bytes and the validators we came with."""
    server = serve(reply(status=304))
    page = fetcher.get(server.url(), etag='"a"', last_modified="yesterday")
    assert (page.data, page.not_modified) == (b"", True)
    assert (page.etag, page.last_modified) == ('"a"', "yesterday")
    assert server.requests[0].headers["if-none-match"] == '"a"'
    assert server.requests[0].headers["if-modified-since"] == "yesterday"


def test_unchanged_without_a_question_is_an_error(serve: Serve, fetcher: Fetcher) -> None:
    """304 to a request without a validator leaves us with nothing."""
    server = serve(reply(status=304))
    with pytest.raises(FetchError, match="304 Not Modified"):
        fetcher.get(server.url())
    assert len(server.requests) == 1


@pytest.mark.parametrize("etag", ['"a"\r\nX-Evil: 1', '"ш"', '"' + "a" * 2000 + '"', ""])
def test_validator_that_cannot_be_sent_is_left_out(
    serve: Serve, fetcher: Fetcher, etag: str
) -> None:
    """A validator that would break the request costs a whole page, not the fetch."""
    server = serve(reply(b"papers"))
    assert fetcher.get(server.url(), etag=etag).data == b"papers"
    assert not {"if-none-match", "x-evil"} & set(server.requests[0].headers)


def test_validator_goes_back_byte_for_byte(serve: Serve, fetcher: Fetcher) -> None:
    """Odd bytes in an ETag survive being stored as text."""
    server = serve(reply(b"", ETag='"\xe9\xff"'))
    etag = fetcher.get(server.url()).etag
    fetcher.get(server.url(), etag=etag)
    assert server.requests[1].headers["if-none-match"] == '"\xe9\xff"'


# Addresses

REFUSED_URLS = [
    "http://127.0.0.1:{port}/",
    "http://localhost:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f.1:{port}/",
    "http://017700000001:{port}/",
    "http://127.1:{port}/",
    "http://0:{port}/",
    "http://127。0。0。1:{port}/",
    "http://[::1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/",
    "http://10.0.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://100.64.0.1/",
    "http://[fd00::1]/",
    "http://[fe80::1]/",
]


@pytest.mark.parametrize("url", REFUSED_URLS)
def test_private_addresses_are_refused(serve: Serve, guarded: Fetcher, url: str) -> None:
    """However a private address is spelt, nothing is connected to and nothing tried again."""
    server = serve(reply(b"secret"))
    with pytest.raises(AddressRefused, match="allow_private") as caught:
        guarded.get(url.format(port=server.port))
    assert server._connections == []
    assert caught.value.where.startswith("http://")


def test_every_address_of_a_name_is_checked(serve: Serve, fake: Time) -> None:
    """One private address among public ones is enough to refuse the name."""
    names = Names(["93.184.216.34", "127.0.0.1"])
    with (
        Fetcher(resolve=names, sleep=fake.sleep) as fetcher,
        pytest.raises(AddressRefused, match=r"leads to 127\.0\.0\.1, a loopback address"),
    ):
        fetcher.get("http://papers.example/")
    assert names.asked == ["papers.example"]
    assert fake.slept == []


def test_changing_answer_of_the_name_server_has_no_effect(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection goes to the address that was checked; the name is resolved once."""
    server = serve(reply(b"papers"))
    connect, connected = socket.create_connection, []

    def redirected(address: tuple[str, int], *args: Any, **more: Any) -> socket.socket:
        connected.append(address[0])
        return connect(("127.0.0.1", server.port), *args, **more)

    monkeypatch.setattr(socket, "create_connection", redirected)
    names = Names(["93.184.216.34"], ["127.0.0.1"])
    with Fetcher(resolve=names) as fetcher:
        assert fetcher.get("http://papers.example/").data == b"papers"
    assert names.asked == ["papers.example"]
    assert connected == ["93.184.216.34"]
    assert server.requests[0].headers["host"] == "papers.example"


def test_next_address_is_tried_when_one_does_not_answer(serve: Serve) -> None:
    """A host is reached through the second of its addresses when the first is dead."""
    server = serve(reply(b"papers"))
    names = Names(["127.0.0.2", "127.0.0.1"])
    with Fetcher(LOCAL, resolve=names) as fetcher:
        assert fetcher.get(server.url(host="papers.example")).data == b"papers"
    assert names.asked == ["papers.example"]


def test_private_addresses_can_be_allowed_for_one_call(serve: Serve, guarded: Fetcher) -> None:
    """Permission lasts for its call: the open connection serves no call without it."""
    server = serve(reply(b"papers"))
    assert guarded.get(server.url(), allow_private=True).data == b"papers"
    with pytest.raises(AddressRefused):
        guarded.get(server.url())
    assert len(server.requests) == 1


def test_name_server_that_answers_with_a_name(fetcher: Fetcher, fake: Time) -> None:
    """Even where private addresses are allowed, only an address is connected to."""
    names = Names(["localhost"])
    with (
        Fetcher(LOCAL, resolve=names, clock=fake.clock, sleep=fake.sleep) as fetcher,
        pytest.raises(FetchError, match="no IP address"),
    ):
        fetcher.get("http://papers.example/")


def test_name_that_does_not_exist(fetcher: Fetcher, fake: Time) -> None:
    """An unknown host is an error at once; a name server in trouble is asked again."""
    for code, pauses in ((socket.EAI_NONAME, 0), (socket.EAI_AGAIN, 2)):

        def fail(*_: Any, code: int = code, **__: Any) -> list[tuple[Any, ...]]:
            raise socket.gaierror(code, "not known")

        fake.slept.clear()
        with (
            Fetcher(resolve=fail, clock=fake.clock, sleep=fake.sleep) as fetcher,
            pytest.raises(FetchError, match=r"“papers\.example” cannot be found"),
        ):
            fetcher.get("http://papers.example/")
        assert len(fake.slept) == pauses


def test_name_that_no_name_server_takes(guarded: Fetcher) -> None:
    """A label that is too long or empty is the same as an unknown host."""
    for host in ("a" * 64 + ".example", "a..example"):
        with pytest.raises(FetchError, match="host name “"):
            guarded.get(f"http://{host}/")


PUBLIC = [
    *("8.8.8.8", "151.101.131.42", "128.84.21.199", "100.63.255.255", "100.128.0.0"),
    *("2606:4700::1111", "2a00:1450:4001::1", "64:ff9b::808:808"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    """The guard lets ordinary servers through, also those behind NAT64."""
    assert refusal(address) is None


PRIVATE = [
    *("0.0.0.1", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1", "169.254.169.254"),
    *("172.31.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
    *("168.63.129.16", "::", "::1", "::10.0.0.1", "::ffff:8.8.8.8", "64:ff9b:1::1", "100::1"),
    *("2001::1", "2001:2::1", "2001:20::1", "2001:db8::1", "2002:0a00:0001::1", "3fff::1"),
    *("5f00::1", "fc00::1", "fd12::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1"),
    *("2606:4700::5efe:10.0.0.1", "2606:4700::200:5efe:a00:1", "64:ff9b::a00:1", "localhost", ""),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_other_addresses_are_refused(address: str) -> None:
    """Each kind of address that is no public server's has a reason."""
    assert refusal(address)


def _v6(number: int) -> str:
    return str(ipaddress.IPv6Address(number))


EMBEDDINGS: dict[str, Callable[[int], str]] = {
    "as it is": lambda v4: str(ipaddress.IPv4Address(v4)),
    "mapped": lambda v4: _v6(0xFFFF << 32 | v4),
    "compatible": _v6,
    "translated": lambda v4: _v6(0xFFFF << 48 | v4),
    "6to4": lambda v4: _v6(0x2002 << 112 | v4 << 80 | 1),
    "Teredo": lambda v4: _v6(0x2001 << 112 | (v4 ^ 0xFFFFFFFF)),
    "Teredo server": lambda v4: _v6(0x2001 << 112 | v4 << 64),
    "NAT64": lambda v4: _v6(0x64_FF9B << 96 | v4),
    "local NAT64": lambda v4: _v6(0x64_FF9B_0001 << 80 | v4),
    "ISATAP": lambda v4: _v6(0x2606_4700 << 96 | 0x5EFE << 32 | v4),
}


@given(st.ip_addresses())
def test_no_address_that_is_not_global_is_accepted(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """What Python knows not to be global is refused; ours may only be stricter."""
    if not address.is_global or address.is_multicast:
        assert refusal(str(address))


@given(st.ip_addresses(v=4), st.sampled_from(sorted(EMBEDDINGS)))
def test_no_embedding_makes_a_private_address_public(
    address: ipaddress.IPv4Address, embedding: str
) -> None:
    """An IPv4 address that is refused is refused inside every kind of IPv6 address."""
    if not address.is_global or refusal(str(address)):
        assert refusal(EMBEDDINGS[embedding](int(address)))


@given(st.text())
def test_text_is_no_address(text: str) -> None:
    """Whatever a name server answers, judging it raises nothing."""
    assert refusal(f"x{text}")


# URLs


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "gopher://a/1", "ftp://a/b", "data:,x", "javascript:1", "ws://a/", "/x"],
)
def test_other_schemes_are_refused(guarded: Fetcher, url: str) -> None:
    """Only http and https are fetched."""
    with pytest.raises(AddressRefused, match="is not fetched"):
        guarded.get(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///x",
        "http://a:0/",
        "http://a:65536/",
        "http://a:-5/",
        "http://a:b/",
        "http://[::1/",
        "http://256.1.1.1/",
        "http://a/\x00",
        "http://a/\udcff",
        "http://a/" + "b" * 70_000,
    ],
)
def test_malformed_urls_are_errors(guarded: Fetcher, url: str) -> None:
    """A URL that makes no sense is a short error of one line, not a bug."""
    with pytest.raises(FetchError) as caught:
        guarded.get(url)
    message = str(caught.value)
    assert len(message) < 500
    assert message.isprintable()


def test_user_name_and_password_are_refused_and_not_shown(guarded: Fetcher) -> None:
    """A URL with credentials is refused without repeating them."""
    with pytest.raises(FetchError, match="user name or password") as caught:
        guarded.get("http://me:hunter2@papers.example/")
    assert "hunter2" not in str(caught.value)
    assert "papers.example" in str(caught.value)


def test_keys_in_the_query_are_not_shown(serve: Serve, fetcher: Fetcher) -> None:
    """A message shows where it happened, but no key."""
    server = serve(reply())
    with pytest.raises(FetchError) as caught:
        fetcher.get(server.url("/x?date=2026-11-20&api_key=hunter2&page=3"))
    assert "/x?date=2026-11-20&api_key=***&page=3: the server answers 404" in str(caught.value)
    assert server.paths() == ["/x?date=2026-11-20&api_key=hunter2&page=3"]


HIDDEN = "/9f86d081884c7d659a2feaa0c55ad015/rss?token=hunter2&date=2026-11-20"
SHOWN = "/***/rss?token=***&date=2026-11-20"
ECHO = f"GET {HIDDEN} is what you asked for".encode()


@pytest.mark.parametrize(
    "answer",
    [
        reply(status=404),
        reply(status=500),
        reply(status=503, Retry_After="1"),
        reply(status=302, Location=HIDDEN),
        reply(status=302, Location=f"http://h.example:{HIDDEN}"),
        reply(status=302, Location=f"http://me:hunter2/x@h.example{HIDDEN}"),
        reply(status=302, Location=f"gopher://h.example{HIDDEN}"),
        reply(b"x", Content_Encoding=ECHO.decode()),
        reply(b"x", Content_Length=ECHO.decode()),
        reply(b"x", Content_Encoding="gzip"),
        reply(b"x", Content_Length="999999999"),
        then_close(reply(b"x", Content_Length="9")),
        then_close(ECHO),
        then_close(b"HTTP/1.1 200 OK\r\n" + ECHO + b"\r\n\r\n"),
        then_close(ECHO[:20] + b"\r\n" * 3),
        reset,
        then_close(b""),
    ],
)
def test_no_failure_shows_the_secrets_of_its_url(
    serve: Serve, fetcher: Fetcher, answer: Answer
) -> None:
    """Whatever the server answers, even if it repeats what it was asked for."""
    server = serve({HIDDEN: answer})
    with pytest.raises(FetchError) as caught:
        fetcher.get(server.url(HIDDEN))
    message = str(caught.value)
    assert "hunter2" not in message
    assert "9f86d081884c7d65" not in message
    assert SHOWN in message or "h.example" in message
    assert server.paths()[0] == HIDDEN


def test_a_timeout_shows_no_secret_either(serve: Serve) -> None:
    """Nor does a host that has no name."""
    server = serve({HIDDEN: idle_reason})
    with Fetcher(IMPATIENT) as impatient, pytest.raises(FetchError) as caught:
        impatient.get(server.url(HIDDEN))
    assert f"{SHOWN}: timed out after" in str(caught.value)
    with Fetcher(LOCAL) as local, pytest.raises(FetchError) as caught:
        local.get(f"http://{'h' * 70}.example{HIDDEN}")
    assert f"{SHOWN}: the host name “" in str(caught.value)


@given(st.text(max_size=40))
def test_no_url_is_a_bug(text: str) -> None:
    """Any text is fetched or refused; nothing else comes out."""

    def nobody(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    with Fetcher(resolve=nobody) as fetcher:
        for url in (text, f"http://{text}", f"https://a/{text}"):
            with pytest.raises(FetchError):
                fetcher.get(url)


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(serve: Serve, fetcher: Fetcher, status: int) -> None:
    """The page behind a redirect comes with its own URL, without the fragment."""
    server = serve({"/": reply(status=status, Location="new?a=b#part"), "/new?a=b": reply(b"x")})
    page = fetcher.get(server.url(), etag='"a"')
    assert (page.data, page.url) == (b"x", server.url("/new?a=b"))
    assert server.requests[1].headers["if-none-match"] == '"a"'


def test_location_may_hold_raw_utf8(serve: Serve, fetcher: Fetcher) -> None:
    """A redirect written in UTF-8 is read as a browser reads it."""
    location = "/é".encode().decode("latin-1")
    server = serve({"/": reply(status=302, Location=location), "/%C3%A9": reply(b"x")})
    assert fetcher.get(server.url()).data == b"x"


def test_redirects_are_counted(serve: Serve, fetcher: Fetcher) -> None:
    """Three redirects are followed, the fourth is too many."""
    hops: Answers = {f"/{n}": reply(status=302, Location=f"/{n + 1}") for n in range(4)}
    server = serve({**hops, "/4": reply(b"x")})
    assert fetcher.get(server.url("/1")).data == b"x"
    with pytest.raises(FetchError, match="redirects more than 3 times"):
        fetcher.get(server.url("/0"))
    assert server.paths() == ["/1", "/2", "/3", "/4", "/0", "/1", "/2", "/3"]


def test_redirects_in_a_circle_end(serve: Serve, fetcher: Fetcher) -> None:
    """A circle is named as such, after one round."""
    server = serve({"/": reply(status=302, Location="/b"), "/b": reply(status=302, Location="/")})
    with pytest.raises(FetchError, match="in a circle"):
        fetcher.get(server.url())
    assert server.paths() == ["/", "/b"]


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("file:///etc/passwd", "'file' is not fetched"),
        ("gopher://127.0.0.1/", "'gopher' is not fetched"),
        ("http://me:hunter2@127.0.0.1/", "user name or password"),
        ("http://[::1/", "no URL"),
        ("http://a:99999/", "no usable host or port"),
    ],
)
def test_redirects_to_nowhere_are_refused(
    serve: Serve, fetcher: Fetcher, location: str, message: str
) -> None:
    """A redirect is judged as a URL that the user had written."""
    server = serve(reply(status=302, Location=location))
    with pytest.raises(FetchError, match=message) as caught:
        fetcher.get(server.url())
    assert "hunter2" not in str(caught.value)
    assert len(server.requests) == 1


def test_redirect_to_a_private_address_is_refused(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A public page cannot send us into the private network."""
    inside = serve(reply(b"secret"))
    outside = serve(reply(status=302, Location=inside.url()))
    connect = socket.create_connection

    def redirected(address: tuple[str, int], *args: Any, **more: Any) -> socket.socket:
        assert address[0] == "93.184.216.34"
        return connect(("127.0.0.1", outside.port), *args, **more)

    monkeypatch.setattr(socket, "create_connection", redirected)
    names = Names(["93.184.216.34"], ["127.0.0.1"])
    with Fetcher(resolve=names) as fetcher, pytest.raises(AddressRefused) as caught:
        fetcher.get("http://papers.example/")
    assert len(outside.requests) == 1
    assert inside._connections == []
    assert caught.value.where == inside.url()


@pytest.mark.parametrize("answer", [reply(status=302), reply(status=300, Location="/x")])
def test_other_redirects_are_errors(serve: Serve, fetcher: Fetcher, answer: bytes) -> None:
    """A redirect without a target, or with a choice, gives no page."""
    server = serve(answer)
    with pytest.raises(FetchError, match="the server answers 30"):
        fetcher.get(server.url())
    assert len(server.requests) == 1


# Answers without a page


@pytest.mark.parametrize("status", [201, 202, 204, 206, 400, 401, 403, 404, 410, 418, 501, 999])
def test_lasting_answers_are_errors_at_once(serve: Serve, fetcher: Fetcher, status: int) -> None:
    """What will be the same in a moment is not asked for twice, and comes with a hint."""
    server = serve(reply(b"" if status == 204 else b"x", status=status))
    with pytest.raises(FetchError, match=f"the server answers {status}") as caught:
        fetcher.get(server.url())
    assert len(server.requests) == 1
    assert caught.value.hint
    assert caught.value.where == server.url()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 520])
def test_passing_answers_are_tried_again(
    serve: Serve, fetcher: Fetcher, fake: Time, status: int
) -> None:
    """Trouble is waited out with growing pauses; the third attempt may succeed."""
    server = serve([reply(status=status), reply(status=status), reply(b"papers")])
    assert fetcher.get(server.url()).data == b"papers"
    assert len(server.requests) == 3
    assert fake.slept == [1.0, 2.0]


def test_attempts_are_counted(serve: Serve, fetcher: Fetcher, fake: Time) -> None:
    """After three attempts the error is the last one."""
    server = serve(reply(status=500))
    with pytest.raises(FetchError, match="500 Internal Server Error"):
        fetcher.get(server.url())
    assert len(server.requests) == 3
    assert fake.slept == [1.0, 2.0]


def test_pauses_have_jitter(serve: Serve, fake: Time) -> None:
    """Many installations do not come back in the same instant."""
    server = serve(reply(status=500))
    with (
        Fetcher(LOCAL, clock=fake.clock, sleep=fake.sleep, jitter=lambda: 0.25) as fetcher,
        pytest.raises(FetchError),
    ):
        fetcher.get(server.url())
    assert fake.slept == [0.75, 1.5]


@pytest.mark.parametrize("status", [429, 503])
def test_server_says_when_to_come_back(
    serve: Serve, fetcher: Fetcher, fake: Time, status: int
) -> None:
    """Retry-After is a number of seconds or a date on the server's own clock."""
    late = reply(
        status=status,
        Date="Fri, 20 Nov 2026 07:00:00 GMT",
        Retry_After="Fri, 20 Nov 2026 07:00:09 GMT",
    )
    server = serve([reply(status=status, Retry_After="7"), late, reply(b"papers")])
    assert fetcher.get(server.url()).data == b"papers"
    assert fake.slept == [7.0, 9.0]


@pytest.mark.parametrize("value", ["0", "Thu, 01 Jan 1970 00:00:00 GMT", "soon", "-5", "", "²"])
def test_useless_retry_after_leaves_the_usual_pause(
    serve: Serve, fetcher: Fetcher, fake: Time, value: str
) -> None:
    """A time that is over or unreadable never makes us come back sooner than usual."""
    server = serve([reply(status=503, Retry_After=value), reply(b"papers")])
    assert fetcher.get(server.url()).data == b"papers"
    assert fake.slept == [1.0]


def test_pause_is_never_shorter_than_usual(serve: Serve, fetcher: Fetcher, fake: Time) -> None:
    """A server that keeps asking for one second is still left alone for longer each time."""
    busy = reply(status=429, Retry_After="1")
    assert fetcher.get(serve([busy, busy, reply(b"papers")]).url()).data == b"papers"
    assert fake.slept == [1.0, 2.0]


@pytest.mark.parametrize("value", ["120", "9" * 400])
def test_long_retry_after_is_passed_on(
    serve: Serve, fetcher: Fetcher, fake: Time, value: str
) -> None:
    """A wait that does not fit is not waited for; the caller learns how long it is."""
    server = serve(reply(status=429, Retry_After=value))
    with pytest.raises(FetchError, match="try again in") as caught:
        fetcher.get(server.url())
    assert caught.value.retry_after is not None
    assert 120.0 <= caught.value.retry_after < 1e9
    assert len(server.requests) == 1
    assert fake.slept == []


# Connections that break


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(reset, id="reset"),
        pytest.param(then_close(b""), id="closed"),
        pytest.param(then_close(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npap"), id="short"),
        pytest.param(
            then_close(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\npap\r\n"),
            id="chunks without end",
        ),
        pytest.param(then_close(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), id="not HTTP"),
        pytest.param(then_close(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000), id="endless header"),
    ],
)
def test_broken_answers_are_tried_again(
    serve: Serve, fetcher: Fetcher, fake: Time, broken: Answer
) -> None:
    """Half an answer is none: it is asked for again, and then it is an error."""
    server = serve({"/": [broken, reply(b"papers")], "/always": broken})
    assert fetcher.get(server.url()).data == b"papers"
    assert fake.slept == [1.0]
    with pytest.raises(FetchError):
        fetcher.get(server.url("/always"))
    assert server.paths() == ["/", "/", "/always", "/always", "/always"]


def test_refused_connection_is_tried_again(fetcher: Fetcher, fake: Time) -> None:
    """Nobody listening may be a server that restarts."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(FetchError, match=": connection refused; "):
        fetcher.get(f"http://127.0.0.1:{port}/")
    assert fake.slept == [1.0, 2.0]


def test_silent_server_is_tried_again(serve: Serve, fake: Time) -> None:
    """No answer within the read timeout is trouble that may pass."""
    server = serve([idle_reason, reply(b"papers")])
    policy = FetchPolicy(allow_private=True, read_timeout=0.1)
    with Fetcher(policy, clock=fake.clock, sleep=fake.sleep) as fetcher:
        assert fetcher.get(server.url()).data == b"papers"
    assert len(server.requests) == 2


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "slow",
    [
        pytest.param(idle_reason, id="silence"),
        pytest.param(drip(b"", b"H"), id="status line"),
        pytest.param(drip(HEAD, b"X: y\r\n"), id="headers"),
        pytest.param(drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), id="100 Continue"),
        pytest.param(drip(HEAD + b"Content-Length: 1000\r\n\r\n"), id="body"),
        pytest.param(drip(HEAD + b"\r\n"), id="body without end"),
        pytest.param(
            drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"), id="chunks"
        ),
    ],
)
def test_deadline_ends_everything(serve: Serve, slow: Answer) -> None:
    """A byte now and then does not keep us: the time is counted for the whole."""
    server = serve(slow)
    with Fetcher(IMPATIENT) as fetcher, pytest.raises(FetchError, match=r"timed out after 0\.3 s"):
        fetcher.get(server.url())
    assert len(server.requests) == 1


@pytest.mark.timeout(20)
def test_deadline_ends_a_tls_greeting(serve: Serve) -> None:
    """A server that never speaks TLS does not keep us either."""
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        Fetcher(IMPATIENT) as fetcher,
        pytest.raises(FetchError, match=r"timed out after 0\.3 s"),
    ):
        fetcher.get(f"https://127.0.0.1:{mute.getsockname()[1]}/")


def test_deadline_covers_the_pauses(serve: Serve, fake: Time) -> None:
    """A pause that would go past the deadline is not begun."""
    server = serve(reply(status=500))
    policy = FetchPolicy(allow_private=True, deadline=2.5)
    with (
        Fetcher(policy, clock=fake.clock, sleep=fake.sleep, jitter=lambda: 0.5) as fetcher,
        pytest.raises(FetchError, match="500"),
    ):
        fetcher.get(server.url())
    assert fake.slept == [1.0]
    assert len(server.requests) == 2


# Sizes and encodings

SMALL = FetchPolicy(allow_private=True, max_bytes=100_000)


@pytest.fixture
def small(fake: Time) -> Iterator[Fetcher]:
    """Takes at most 100,000 bytes."""
    with Fetcher(SMALL, clock=fake.clock, sleep=fake.sleep) as made:
        yield made


NOISE = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(2800))  # packs to no less


def deflate(data: bytes) -> bytes:
    """A deflate stream without its wrapper, as some servers send it."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "bare deflate": ("deflate", deflate),
    "identity": ("identity", bytes),
}


@pytest.mark.parametrize("packing", PACKED)
def test_packed_pages_are_unpacked(serve: Serve, small: Fetcher, packing: str) -> None:
    """gzip and both kinds of deflate give the same bytes, up to the very limit."""
    name, pack = PACKED[packing]
    pages = [b"", b"x", b"papers " * 14_000, NOISE, b"a" * 100_000]
    for page in pages:
        server = serve(reply(pack(page), Content_Encoding=name))
        assert small.get(server.url()).data == page


@pytest.mark.parametrize("packing", ["gzip", "deflate", "bare deflate"])
def test_packed_pages_may_come_byte_by_byte(serve: Serve, small: Fetcher, packing: str) -> None:
    """Where the network cuts does not matter."""
    name, pack = PACKED[packing]
    body = pack(b"papers " * 20)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {name}\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(b"1\r\n" + bytes([byte]) + b"\r\n" for byte in body)
    server = serve(head.encode() + chunks + b"0\r\n\r\n")
    assert small.get(server.url()).data == b"papers " * 20


def test_empty_body_may_be_called_packed(serve: Serve, small: Fetcher) -> None:
    """Nothing, packed, is nothing."""
    assert small.get(serve(reply(b"", Content_Encoding="gzip")).url()).data == b""


def test_announced_size_is_enough_to_refuse(serve: Serve, small: Fetcher) -> None:
    """A page that says it is too large is not read at all."""
    server = serve(drip(HEAD + b"Content-Length: 100001\r\n\r\n"))
    with pytest.raises(FetchError, match="larger than 100,000 bytes"):
        small.get(server.url())
    assert len(server.requests) == 1


def test_endless_page_is_cut_off(serve: Serve, small: Fetcher) -> None:
    """A page without a length ends at the limit, and is an error."""
    server = serve(drip(HEAD + b"\r\n", b"x" * 60_000, pause=0))
    with pytest.raises(FetchError, match="larger than 100,000 bytes"):
        small.get(server.url())
    assert len(server.requests) == 1


@pytest.mark.parametrize("packing", ["gzip", "deflate", "bare deflate"])
def test_bomb_is_cut_off(serve: Serve, small: Fetcher, packing: str) -> None:
    """A small page that unpacks to 100 MB stops at the limit and never fills the memory."""
    name, pack = PACKED[packing]
    body = pack(bytes(100_000_000))
    assert len(body) < 100_000
    server = serve(reply(body, Content_Encoding=name))
    tracemalloc.start()
    try:
        with pytest.raises(FetchError, match="larger than 100,000 bytes"):
            small.get(server.url())
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
    assert len(server.requests) == 1


def test_packed_nothing_without_end_is_cut_off(serve: Serve, small: Fetcher) -> None:
    """Blocks that unpack to nothing count as well: what came over the wire has the same limit."""
    head = HEAD + b"Content-Encoding: deflate\r\n\r\n"
    server = serve(drip(head, b"\x00\x00\x00\xff\xff" * 10_000, pause=0))
    with pytest.raises(FetchError, match="larger than 100,000 bytes"):
        small.get(server.url())


@pytest.mark.parametrize("name", ["br", "zstd", "gzip, gzip", "compress", "x" * 500])
def test_encodings_we_did_not_ask_for_are_errors(serve: Serve, small: Fetcher, name: str) -> None:
    """A page in an encoding we do not read is refused once."""
    server = serve(reply(b"papers", Content_Encoding=name))
    with pytest.raises(FetchError, match="which we did not ask for") as caught:
        small.get(server.url())
    assert len(server.requests) == 1
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"papers", id="not packed at all"),
        pytest.param(gzip.compress(b"papers", mtime=0) + b"more", id="bytes behind its end"),
    ],
)
def test_page_that_is_not_packed_as_it_says(serve: Serve, small: Fetcher, body: bytes) -> None:
    """Bytes that are no gzip, or more than one, are an error instead of half a page."""
    server = serve(reply(body, Content_Encoding="gzip"))
    with pytest.raises(FetchError, match="does not unpack as gzip"):
        small.get(server.url())
    assert len(server.requests) == 1


@pytest.mark.parametrize("packing", ["gzip", "deflate", "bare deflate"])
def test_packed_page_that_ends_too_early_is_tried_again(
    serve: Serve, small: Fetcher, packing: str
) -> None:
    """A packed page knows its end, also where the connection does not."""
    name, pack = PACKED[packing]
    body = pack(b"papers " * 20)
    cuts: list[Answer] = [reply(body[:n], Content_Encoding=name) for n in (1, len(body) - 1)]
    server = serve([*cuts, reply(body, Content_Encoding=name)])
    assert small.get(server.url()).data == b"papers " * 20
    assert len(server.requests) == 3


# Certificates


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for papers.example that nobody signed, with its key in one file."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    key = path.with_name("key.pem")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=papers.example"),
            *("-addext", "subjectAltName=DNS:papers.example"),
            *("-keyout", str(key), "-out", str(path)),
        ],
        check=True,
        capture_output=True,
    )
    path.write_bytes(path.read_bytes() + key.read_bytes())
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_unknown_certificate_is_refused_at_once(
    serve: Serve, fetcher: Fetcher, fake: Time, tls: ssl.SSLContext
) -> None:
    """A certificate nobody vouches for is named, and not tried again."""
    server = serve(reply(b"papers"), tls)
    with pytest.raises(FetchError, match=r"certificate is not valid: self.signed"):
        fetcher.get(server.url())
    assert server.requests == []
    assert len(server._connections) == 1
    assert fake.slept == []


def test_certificate_is_checked_by_name(
    serve: Serve, tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """We connect to an address and still ask for the name: SNI and certificate are the host's."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    asked: list[str | None] = []
    tls.sni_callback = lambda _socket, name, _context: asked.append(name)
    server = serve(reply(b"papers"), tls)
    names = Names(["127.0.0.1"])
    with Fetcher(LOCAL, resolve=names) as fetcher:
        assert fetcher.get(server.url(host="papers.example")).data == b"papers"
        with pytest.raises(FetchError, match="certificate is not valid: Hostname mismatch"):
            fetcher.get(server.url(host="other.example"))
    assert asked == ["papers.example", "other.example"]
    assert names.asked == ["papers.example", "other.example"]


def test_tls_to_a_server_without_it(serve: Serve, fetcher: Fetcher) -> None:
    """https to a port that speaks http is an error of one line."""
    server = serve(then_close(reply(b"papers")))
    with pytest.raises(FetchError, match=r"no secure .*\(wrong version number\)") as caught:
        fetcher.get(server.url().replace("http:", "https:"))
    assert str(caught.value).isprintable()


# Politeness


def test_arxiv_is_asked_every_three_seconds(serve: Serve, fake: Time) -> None:
    """All hosts of arxiv.org share one pause; others need none."""
    server = serve({"/": reply(b"papers"), "/old": reply(status=302, Location="/")})
    with Fetcher(
        LOCAL, resolve=Names(["127.0.0.1"]), clock=fake.clock, sleep=fake.sleep
    ) as fetcher:
        fetcher.get(server.url(host="export.arxiv.org"))
        assert fake.slept == []
        fetcher.get(server.url(host="rss.arxiv.org"))
        assert fake.slept == [3.0]
        for host in ("papers.example", "notarxiv.org", "arxiv.org.papers.example"):
            fetcher.get(server.url(host=host))
        fake.now += 1.0
        fetcher.get(server.url("/old", host="ARXIV.org."))
        assert fake.slept == [3.0, 2.0, 3.0]


def test_arxiv_pause_fits_the_deadline(serve: Serve, fake: Time) -> None:
    """A turn that comes too late is an error instead of a wait."""
    server = serve(reply(b"papers"))
    policy = FetchPolicy(allow_private=True, deadline=2.0)
    with Fetcher(
        policy, resolve=Names(["127.0.0.1"]), clock=fake.clock, sleep=fake.sleep
    ) as fetcher:
        fetcher.get(server.url(host="arxiv.org"))
        with pytest.raises(FetchError, match="timed out after 2 s"):
            fetcher.get(server.url(host="arxiv.org"))
    assert len(server.requests) == 1
    assert fake.slept == []
