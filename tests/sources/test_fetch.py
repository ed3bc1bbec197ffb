"""Fetching a URL: what is returned, what is refused, and what is retried."""

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
    no_response,
    reply,
    reset,
    then_close,
)

Serve = Callable[..., Server]
LOCAL = FetchPolicy(allow_private=True)
IMPATIENT = FetchPolicy(allow_private=True, deadline=0.3, connect_timeout=99, read_timeout=99)


class Time:
    """A clock that only moves when `sleep` is called."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Names:
    """A name server that gives these answers for any name, one per query; the last one repeats."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(0, 0, 0, "", (address, port)) for address in addresses]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers and stops them after the test."""
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
    """A fetcher that may connect to the test servers and never really sleeps."""
    with Fetcher(LOCAL, clock=fake.clock, sleep=fake.sleep, jitter=lambda: 0.5) as made:
        yield made


@pytest.fixture
def guarded(fake: Time) -> Iterator[Fetcher]:
    """A fetcher with the default policy, which refuses private addresses."""
    with Fetcher(clock=fake.clock, sleep=fake.sleep, jitter=lambda: 0.5) as made:
        yield made


# A page


def test_a_page_is_returned_with_its_validators_and_url(serve: Serve, fetcher: Fetcher) -> None:
    """The result has the bytes, the validators and the final URL."""
    stamp = "Fri, 20 Nov 2026 07:00:00 GMT"
    server = serve(reply(b"papers", ETag='W/"abc"', Last_Modified=stamp))
    page = fetcher.get(server.url())
    assert (page.data, page.not_modified) == (b"papers", False)
    assert (page.etag, page.last_modified, page.url) == ('W/"abc"', stamp, server.url())


def test_the_request_names_the_program_and_the_accepted_encodings(
    serve: Serve, fetcher: Fetcher
) -> None:
    """The User-Agent has the version, the Host header the port."""
    server = serve(reply(b""))
    fetcher.get(server.url())
    headers = server.requests[0].headers
    assert headers["user-agent"] == f"paper-newsletter/{__version__}"
    assert headers["host"] == f"127.0.0.1:{server.port}"
    assert headers["accept-encoding"] == "gzip, deflate"
    assert "if-none-match" not in headers


def test_host_header_of_an_ipv6_address_has_brackets(serve: Serve) -> None:
    """Without them, the port could not be distinguished from the address."""
    server = serve(reply(b"papers"))
    with Fetcher(LOCAL, resolve=Names(["127.0.0.1"])) as fetcher:
        fetcher.get(server.url(host="[2606:4700::1]"))
    assert server.requests[0].headers["host"] == f"[2606:4700::1]:{server.port}"


def test_a_chunked_page_needs_no_content_length(serve: Serve, fetcher: Fetcher) -> None:
    """The chunks are joined."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    server = serve(head + b"3\r\npap\r\n3\r\ners\r\n0\r\n\r\n")
    assert fetcher.get(server.url()).data == b"papers"


def test_a_page_without_a_length_ends_with_the_connection(serve: Serve, fetcher: Fetcher) -> None:
    """The server closes the connection after the body, as in HTTP/1.0."""
    server = serve(then_close(b"HTTP/1.0 200 OK\r\n\r\npapers"))
    assert fetcher.get(server.url()).data == b"papers"


def test_the_connection_is_reused(serve: Serve, fetcher: Fetcher) -> None:
    """Two pages of one server need one connection."""
    server = serve(reply(b"papers"))
    fetcher.get(server.url())
    fetcher.get(server.url())
    assert len(server._connections) == 1
    assert len(server.requests) == 2


def test_proxies_of_the_environment_are_ignored(
    serve: Serve, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy would connect to addresses that were not checked."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert fetcher.get(serve(reply(b"papers")).url()).data == b"papers"


# Conditions


def test_unchanged_page_keeps_the_old_validators(serve: Serve, fetcher: Fetcher) -> None:
    """The result of a 304 has no bytes and the validators of the request."""
    server = serve(reply(status=304))
    page = fetcher.get(server.url(), etag='"a"', last_modified="yesterday")
    assert (page.data, page.not_modified) == (b"", True)
    assert (page.etag, page.last_modified) == ('"a"', "yesterday")
    assert server.requests[0].headers["if-none-match"] == '"a"'
    assert server.requests[0].headers["if-modified-since"] == "yesterday"


def test_304_to_an_unconditional_request_is_an_error(serve: Serve, fetcher: Fetcher) -> None:
    """Without a validator there is no earlier page to keep."""
    server = serve(reply(status=304))
    with pytest.raises(FetchError, match="304 Not Modified"):
        fetcher.get(server.url())
    assert len(server.requests) == 1


@pytest.mark.parametrize("etag", ['"a"\r\nX-Evil: 1', '"ш"', '"' + "a" * 2000 + '"', ""])
def test_a_validator_that_cannot_be_sent_is_omitted(
    serve: Serve, fetcher: Fetcher, etag: str
) -> None:
    """The full page is fetched instead of a failed request."""
    server = serve(reply(b"papers"))
    assert fetcher.get(server.url(), etag=etag).data == b"papers"
    assert not {"if-none-match", "x-evil"} & set(server.requests[0].headers)


def test_a_validator_is_sent_back_byte_for_byte(serve: Serve, fetcher: Fetcher) -> None:
    """Non-ASCII bytes in an ETag survive being stored as text."""
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
    """However a private address is spelled, there is no connection and no retry."""
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


def test_a_changed_answer_of_the_name_server_has_no_effect(
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


def test_the_next_address_is_tried_if_one_does_not_answer(serve: Serve) -> None:
    """The first of two addresses refuses the connection."""
    server = serve(reply(b"papers"))
    names = Names(["127.0.0.2", "127.0.0.1"])
    with Fetcher(LOCAL, resolve=names) as fetcher:
        assert fetcher.get(server.url(host="papers.example")).data == b"papers"
    assert names.asked == ["papers.example"]


def test_private_addresses_can_be_allowed_for_one_call(serve: Serve, guarded: Fetcher) -> None:
    """The open connection is not reused for a call that does not allow it."""
    server = serve(reply(b"papers"))
    assert guarded.get(server.url(), allow_private=True).data == b"papers"
    with pytest.raises(AddressRefused):
        guarded.get(server.url())
    assert len(server.requests) == 1


def test_a_name_server_that_answers_with_a_name_is_an_error(fetcher: Fetcher, fake: Time) -> None:
    """Even if private addresses are allowed, connections go only to IP addresses."""
    names = Names(["localhost"])
    with (
        Fetcher(LOCAL, resolve=names, clock=fake.clock, sleep=fake.sleep) as fetcher,
        pytest.raises(FetchError, match="no IP address"),
    ):
        fetcher.get("http://papers.example/")


def test_only_temporary_failures_of_the_name_server_are_retried(
    fetcher: Fetcher, fake: Time
) -> None:
    """EAI_NONAME, an unknown host, is permanent; EAI_AGAIN is temporary."""
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


def test_an_invalid_host_name_is_an_unknown_host(guarded: Fetcher) -> None:
    """A label is too long, or empty."""
    for host in ("a" * 64 + ".example", "a..example"):
        with pytest.raises(FetchError, match="host name “"):
            guarded.get(f"http://{host}/")


PUBLIC = [
    *("8.8.8.8", "151.101.131.42", "128.84.21.199", "100.63.255.255", "100.128.0.0"),
    *("2606:4700::1111", "2a00:1450:4001::1", "64:ff9b::808:808"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    """Ordinary servers are allowed, including those behind NAT64."""
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
    """For each kind of address that no public server has, a reason is returned."""
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
    """Every address that Python classifies as not global is refused; our rules are stricter."""
    if not address.is_global or address.is_multicast:
        assert refusal(str(address))


@given(st.ip_addresses(v=4), st.sampled_from(sorted(EMBEDDINGS)))
def test_no_embedding_makes_a_private_address_public(
    address: ipaddress.IPv4Address, embedding: str
) -> None:
    """A refused IPv4 address is also refused inside every kind of IPv6 address."""
    if not address.is_global or refusal(str(address)):
        assert refusal(EMBEDDINGS[embedding](int(address)))


@given(st.text())
def test_text_is_not_an_address(text: str) -> None:
    """Any text from a name server is refused without an exception."""
    assert refusal(f"x{text}")


# URLs


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "gopher://a/1", "ftp://a/b", "data:,x", "javascript:1", "ws://a/", "/x"],
)
def test_other_schemes_are_refused(guarded: Fetcher, url: str) -> None:
    """Only http and https are fetched."""
    with pytest.raises(AddressRefused, match=r"is not supported|has no scheme"):
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
    """The error is one short line, not a traceback."""
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
    """The message shows the URL, but no key."""
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
    """This holds for every response, even one that repeats the request."""
    server = serve({HIDDEN: answer})
    with pytest.raises(FetchError) as caught:
        fetcher.get(server.url(HIDDEN))
    message = str(caught.value)
    assert "hunter2" not in message
    assert "9f86d081884c7d65" not in message
    assert SHOWN in message or "h.example" in message
    assert server.paths()[0] == HIDDEN


def test_a_timeout_does_not_show_a_secret(serve: Serve) -> None:
    """Neither does the error for an unknown host."""
    server = serve({HIDDEN: no_response})
    with Fetcher(IMPATIENT) as impatient, pytest.raises(FetchError) as caught:
        impatient.get(server.url(HIDDEN))
    assert f"{SHOWN}: timed out after" in str(caught.value)
    with Fetcher(LOCAL) as local, pytest.raises(FetchError) as caught:
        local.get(f"http://{'h' * 70}.example{HIDDEN}")
    assert f"{SHOWN}: the host name “" in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_fetched_or_refused(text: str) -> None:
    """No other exception is raised."""

    def unknown_host(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    with Fetcher(resolve=unknown_host) as fetcher:
        for url in (text, f"http://{text}", f"https://a/{text}"):
            with pytest.raises(FetchError):
                fetcher.get(url)


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(serve: Serve, fetcher: Fetcher, status: int) -> None:
    """The page is returned with its own URL, without the fragment."""
    server = serve({"/": reply(status=status, Location="new?a=b#part"), "/new?a=b": reply(b"x")})
    page = fetcher.get(server.url(), etag='"a"')
    assert (page.data, page.url) == (b"x", server.url("/new?a=b"))
    assert server.requests[1].headers["if-none-match"] == '"a"'


def test_a_location_header_may_contain_raw_utf8(serve: Serve, fetcher: Fetcher) -> None:
    """It is interpreted as browsers do."""
    location = "/é".encode().decode("latin-1")
    server = serve({"/": reply(status=302, Location=location), "/%C3%A9": reply(b"x")})
    assert fetcher.get(server.url()).data == b"x"


def test_the_number_of_redirects_is_limited(serve: Serve, fetcher: Fetcher) -> None:
    """Three redirects are followed, the fourth is too many."""
    hops: Answers = {f"/{n}": reply(status=302, Location=f"/{n + 1}") for n in range(4)}
    server = serve({**hops, "/4": reply(b"x")})
    assert fetcher.get(server.url("/1")).data == b"x"
    with pytest.raises(FetchError, match="redirects more than 3 times"):
        fetcher.get(server.url("/0"))
    assert server.paths() == ["/1", "/2", "/3", "/4", "/0", "/1", "/2", "/3"]


def test_a_redirect_loop_is_an_error(serve: Serve, fetcher: Fetcher) -> None:
    """It is detected after one round."""
    server = serve({"/": reply(status=302, Location="/b"), "/b": reply(status=302, Location="/")})
    with pytest.raises(FetchError, match="form a loop"):
        fetcher.get(server.url())
    assert server.paths() == ["/", "/b"]


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("file:///etc/passwd", "the scheme 'file' is not supported"),
        ("gopher://127.0.0.1/", "the scheme 'gopher' is not supported"),
        ("http://me:hunter2@127.0.0.1/", "user name or password"),
        ("http://[::1/", "an invalid URL"),
        ("http://a:99999/", "no usable host or port"),
    ],
)
def test_redirects_to_invalid_urls_are_refused(
    serve: Serve, fetcher: Fetcher, location: str, message: str
) -> None:
    """The target of a redirect is checked like a configured URL."""
    server = serve(reply(status=302, Location=location))
    with pytest.raises(FetchError, match=message) as caught:
        fetcher.get(server.url())
    assert "hunter2" not in str(caught.value)
    assert len(server.requests) == 1


def test_redirect_to_a_private_address_is_refused(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A public page cannot redirect into the private network."""
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
    """The redirect has no target, or several."""
    server = serve(answer)
    with pytest.raises(FetchError, match="the server answers 30"):
        fetcher.get(server.url())
    assert len(server.requests) == 1


# Responses without a page


@pytest.mark.parametrize("status", [201, 202, 204, 206, 400, 401, 403, 404, 410, 418, 501, 999])
def test_permanent_failures_are_not_retried(serve: Serve, fetcher: Fetcher, status: int) -> None:
    """They are reported after one request, with a hint."""
    server = serve(reply(b"" if status == 204 else b"x", status=status))
    with pytest.raises(FetchError, match=f"the server answers {status}") as caught:
        fetcher.get(server.url())
    assert len(server.requests) == 1
    assert caught.value.hint
    assert caught.value.where == server.url()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 520])
def test_temporary_failures_are_retried(
    serve: Serve, fetcher: Fetcher, fake: Time, status: int
) -> None:
    """The pauses grow, and the third attempt may succeed."""
    server = serve([reply(status=status), reply(status=status), reply(b"papers")])
    assert fetcher.get(server.url()).data == b"papers"
    assert len(server.requests) == 3
    assert fake.slept == [1.0, 2.0]


def test_the_number_of_attempts_is_limited(serve: Serve, fetcher: Fetcher, fake: Time) -> None:
    """After three attempts the last error is raised."""
    server = serve(reply(status=500))
    with pytest.raises(FetchError, match="500 Internal Server Error"):
        fetcher.get(server.url())
    assert len(server.requests) == 3
    assert fake.slept == [1.0, 2.0]


def test_pauses_have_jitter(serve: Serve, fake: Time) -> None:
    """Many installations do not retry at the same instant."""
    server = serve(reply(status=500))
    with (
        Fetcher(LOCAL, clock=fake.clock, sleep=fake.sleep, jitter=lambda: 0.25) as fetcher,
        pytest.raises(FetchError),
    ):
        fetcher.get(server.url())
    assert fake.slept == [0.75, 1.5]


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_respected(serve: Serve, fetcher: Fetcher, fake: Time, status: int) -> None:
    """It is a number of seconds, or a date on the server's own clock."""
    late = reply(
        status=status,
        Date="Fri, 20 Nov 2026 07:00:00 GMT",
        Retry_After="Fri, 20 Nov 2026 07:00:09 GMT",
    )
    server = serve([reply(status=status, Retry_After="7"), late, reply(b"papers")])
    assert fetcher.get(server.url()).data == b"papers"
    assert fake.slept == [7.0, 9.0]


@pytest.mark.parametrize("value", ["0", "Thu, 01 Jan 1970 00:00:00 GMT", "soon", "-5", "", "²"])
def test_an_unusable_retry_after_leaves_the_usual_pause(
    serve: Serve, fetcher: Fetcher, fake: Time, value: str
) -> None:
    """A time that has passed or cannot be parsed never shortens the pause."""
    server = serve([reply(status=503, Retry_After=value), reply(b"papers")])
    assert fetcher.get(server.url()).data == b"papers"
    assert fake.slept == [1.0]


def test_retry_after_never_shortens_the_pause(serve: Serve, fetcher: Fetcher, fake: Time) -> None:
    """The pauses grow even if the server asks for one second each time."""
    busy = reply(status=429, Retry_After="1")
    assert fetcher.get(serve([busy, busy, reply(b"papers")]).url()).data == b"papers"
    assert fake.slept == [1.0, 2.0]


@pytest.mark.parametrize("value", ["120", "9" * 400])
def test_a_retry_after_beyond_the_deadline_is_returned_to_the_caller(
    serve: Serve, fetcher: Fetcher, fake: Time, value: str
) -> None:
    """There is no wait; the error has the delay."""
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
            id="unterminated chunks",
        ),
        pytest.param(then_close(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), id="not HTTP"),
        pytest.param(then_close(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000), id="endless header"),
    ],
)
def test_broken_responses_are_retried(
    serve: Serve, fetcher: Fetcher, fake: Time, broken: Answer
) -> None:
    """If every attempt fails, it is an error."""
    server = serve({"/": [broken, reply(b"papers")], "/always": broken})
    assert fetcher.get(server.url()).data == b"papers"
    assert fake.slept == [1.0]
    with pytest.raises(FetchError):
        fetcher.get(server.url("/always"))
    assert server.paths() == ["/", "/", "/always", "/always", "/always"]


def test_a_refused_connection_is_retried(fetcher: Fetcher, fake: Time) -> None:
    """The server may be restarting."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(FetchError, match=": connection refused; "):
        fetcher.get(f"http://127.0.0.1:{port}/")
    assert fake.slept == [1.0, 2.0]


def test_a_server_that_does_not_respond_is_retried(serve: Serve, fake: Time) -> None:
    """A read timeout is a temporary failure."""
    server = serve([no_response, reply(b"papers")])
    policy = FetchPolicy(allow_private=True, read_timeout=0.1)
    with Fetcher(policy, clock=fake.clock, sleep=fake.sleep) as fetcher:
        assert fetcher.get(server.url()).data == b"papers"
    assert len(server.requests) == 2


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "slow",
    [
        pytest.param(no_response, id="silence"),
        pytest.param(drip(b"", b"H"), id="status line"),
        pytest.param(drip(HEAD, b"X: y\r\n"), id="headers"),
        pytest.param(drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), id="100 Continue"),
        pytest.param(drip(HEAD + b"Content-Length: 1000\r\n\r\n"), id="body"),
        pytest.param(drip(HEAD + b"\r\n"), id="unterminated body"),
        pytest.param(
            drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"), id="chunks"
        ),
    ],
)
def test_the_deadline_covers_the_whole_response(serve: Serve, slow: Answer) -> None:
    """A server that sends a byte now and then cannot extend it."""
    server = serve(slow)
    with Fetcher(IMPATIENT) as fetcher, pytest.raises(FetchError, match=r"timed out after 0\.3 s"):
        fetcher.get(server.url())
    assert len(server.requests) == 1


@pytest.mark.timeout(20)
def test_the_deadline_covers_the_tls_handshake(serve: Serve) -> None:
    """The server accepts the connection and never sends anything."""
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        Fetcher(IMPATIENT) as fetcher,
        pytest.raises(FetchError, match=r"timed out after 0\.3 s"),
    ):
        fetcher.get(f"https://127.0.0.1:{mute.getsockname()[1]}/")


def test_the_deadline_covers_the_pauses(serve: Serve, fake: Time) -> None:
    """A pause that would end after the deadline is not started."""
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
    """A fetcher that accepts at most 100,000 bytes."""
    with Fetcher(SMALL, clock=fake.clock, sleep=fake.sleep) as made:
        yield made


NOISE = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(2800))  # not compressible


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
def test_compressed_pages_are_decompressed(serve: Serve, small: Fetcher, packing: str) -> None:
    """gzip and both kinds of deflate yield the same bytes, up to exactly the limit."""
    name, pack = PACKED[packing]
    pages = [b"", b"x", b"papers " * 14_000, NOISE, b"a" * 100_000]
    for page in pages:
        server = serve(reply(pack(page), Content_Encoding=name))
        assert small.get(server.url()).data == page


@pytest.mark.parametrize("packing", ["gzip", "deflate", "bare deflate"])
def test_compressed_pages_may_arrive_byte_by_byte(
    serve: Serve, small: Fetcher, packing: str
) -> None:
    """The boundaries of network packets do not matter."""
    name, pack = PACKED[packing]
    body = pack(b"papers " * 20)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {name}\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(b"1\r\n" + bytes([byte]) + b"\r\n" for byte in body)
    server = serve(head.encode() + chunks + b"0\r\n\r\n")
    assert small.get(server.url()).data == b"papers " * 20


def test_an_empty_body_may_be_declared_as_compressed(serve: Serve, small: Fetcher) -> None:
    """The page is empty."""
    assert small.get(serve(reply(b"", Content_Encoding="gzip")).url()).data == b""


def test_a_page_with_a_content_length_over_the_limit_is_not_read(
    serve: Serve, small: Fetcher
) -> None:
    """The header alone is enough to refuse it."""
    server = serve(drip(HEAD + b"Content-Length: 100001\r\n\r\n"))
    with pytest.raises(FetchError, match="larger than 100,000 bytes"):
        small.get(server.url())
    assert len(server.requests) == 1


def test_an_endless_page_stops_at_the_limit(serve: Serve, small: Fetcher) -> None:
    """A page without a length is an error at the limit."""
    server = serve(drip(HEAD + b"\r\n", b"x" * 60_000, pause=0))
    with pytest.raises(FetchError, match="larger than 100,000 bytes"):
        small.get(server.url())
    assert len(server.requests) == 1


@pytest.mark.parametrize("packing", ["gzip", "deflate", "bare deflate"])
def test_a_decompression_bomb_stops_at_the_limit(
    serve: Serve, small: Fetcher, packing: str
) -> None:
    """A small page that would expand to 100 MB never fills the memory."""
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


def test_endless_empty_blocks_stop_at_the_limit(serve: Serve, small: Fetcher) -> None:
    """The compressed bytes have the same limit as the page."""
    head = HEAD + b"Content-Encoding: deflate\r\n\r\n"
    server = serve(drip(head, b"\x00\x00\x00\xff\xff" * 10_000, pause=0))
    with pytest.raises(FetchError, match="larger than 100,000 bytes"):
        small.get(server.url())


@pytest.mark.parametrize("name", ["br", "zstd", "gzip, gzip", "compress", "x" * 500])
def test_encodings_that_were_not_requested_are_errors(
    serve: Serve, small: Fetcher, name: str
) -> None:
    """The page is refused without a retry."""
    server = serve(reply(b"papers", Content_Encoding=name))
    with pytest.raises(FetchError, match="which was not requested") as caught:
        small.get(server.url())
    assert len(server.requests) == 1
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"papers", id="not compressed"),
        pytest.param(gzip.compress(b"papers", mtime=0) + b"more", id="bytes after its end"),
    ],
)
def test_a_wrong_content_encoding_is_an_error(serve: Serve, small: Fetcher, body: bytes) -> None:
    """Half a page is never returned."""
    server = serve(reply(body, Content_Encoding="gzip"))
    with pytest.raises(FetchError, match="cannot be decompressed as gzip"):
        small.get(server.url())
    assert len(server.requests) == 1


@pytest.mark.parametrize("packing", ["gzip", "deflate", "bare deflate"])
def test_a_truncated_compressed_page_is_retried(serve: Serve, small: Fetcher, packing: str) -> None:
    """The end of the compressed stream is missing, although the response is complete."""
    name, pack = PACKED[packing]
    body = pack(b"papers " * 20)
    cuts: list[Answer] = [reply(body[:n], Content_Encoding=name) for n in (1, len(body) - 1)]
    server = serve([*cuts, reply(body, Content_Encoding=name)])
    assert small.get(server.url()).data == b"papers " * 20
    assert len(server.requests) == 3


# Certificates


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for papers.example, in one file with its key."""
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


def test_a_self_signed_certificate_is_refused(
    serve: Serve, fetcher: Fetcher, fake: Time, tls: ssl.SSLContext
) -> None:
    """The error names it, and there is no retry."""
    server = serve(reply(b"papers"), tls)
    with pytest.raises(FetchError, match=r"certificate is not valid: self.signed"):
        fetcher.get(server.url())
    assert server.requests == []
    assert len(server._connections) == 1
    assert fake.slept == []


def test_the_certificate_is_checked_for_the_host_name(
    serve: Serve, tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection goes to an address, but SNI and the certificate are for the host."""
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


def test_tls_to_a_plain_http_server_is_an_error(serve: Serve, fetcher: Fetcher) -> None:
    """The error is one line."""
    server = serve(then_close(reply(b"papers")))
    with pytest.raises(FetchError, match=r"no secure .*\(wrong version number\)") as caught:
        fetcher.get(server.url().replace("http:", "https:"))
    assert str(caught.value).isprintable()


# Crawl delays


def test_requests_to_arxiv_are_three_seconds_apart(serve: Serve, fake: Time) -> None:
    """All hosts of arxiv.org share one crawl delay; other hosts have none."""
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


def test_a_crawl_delay_beyond_the_deadline_is_an_error(serve: Serve, fake: Time) -> None:
    """There is no wait."""
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
