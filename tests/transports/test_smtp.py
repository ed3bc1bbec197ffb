"""The SMTP session with a real server that fails at every possible point."""

from __future__ import annotations

import base64
import re
import shlex
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from newsletter.errors import OutputError
from newsletter.transports.base import OutgoingMessage, SessionFailed, Settings
from newsletter.transports.replies import Reply, ReplyKind
from newsletter.transports.smtp import Smtp
from newsletter.transports.smtp_checks import dot_stuffed, for_the_wire
from newsletter.transports.smtp_session import SmtpSession
from newsletter.transports.table import TRANSPORTS
from newsletter.transports.wire import SmtpSettings
from tests.support.certificates import certificate
from tests.support.smtp_server import (
    Dialogue,
    Fault,
    Options,
    Server,
    endless,
    hang_up,
    reset,
    say_and_hang_up,
    silence,
)

Serve = Callable[..., Server]
Connect = Callable[..., SmtpSession]

SENDER = "bounce+key@papers.example"
READER = "ana@example.net"
MESSAGE = b"Subject: Lamps\r\n\r\nA lamp.\r\n"
SECRET = "secret"
LARGE = MESSAGE + (b"x" * 76 + b"\r\n") * 100_000  # more than the socket buffers hold

TAKEN_AGAIN = Reply(ReplyKind.SENT, "dot", 250, "2.0.0", "250 2.0.0 taken")


class Clock:
    """A clock that moves only when a test says so, so that no machine is too slow."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.step = 0.0
        """Seconds that pass with every reading."""

    def __call__(self) -> float:
        self.now += self.step
        return self.now

    def fly(self) -> None:
        """From now on, more time passes at each reading than any timeout."""
        self.step = 3600.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers with these options; keyword arguments are `faults`."""
    servers: list[Server] = []

    def make(options: Options | None = None, **faults: list[Fault]) -> Server:
        options = options or Options()
        options.faults.update(faults)
        servers.append(Server(options))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def connect(clock: Clock) -> Iterator[Connect]:
    """Opens sessions, and closes them at the end."""
    sessions: list[SmtpSession] = []

    def make(server: Server, stop: threading.Event | None = None, **changes: Any) -> SmtpSession:
        session = SmtpSession(local(server, **changes), stop=stop, clock=clock)
        sessions.append(session)
        session.open()
        return session

    yield make
    for session in sessions:
        session.close()


def local(server: Server, **changes: Any) -> SmtpSettings:
    """Returns settings for a local server without TLS."""
    plain = SmtpSettings("127.0.0.1", server.port, "none", local_hostname="client.example")
    return replace(plain, **changes)


def send(session: SmtpSession, *pieces: bytes, to: str = READER) -> Reply:
    return session.send(SENDER, to, pieces or (MESSAGE,))


def failure(server: Server, clock: Clock | None = None, /, **changes: Any) -> Reply:
    """Returns the reply of an `open` that fails, after checking that nothing is left open."""
    session = SmtpSession(local(server, **changes), clock=clock or Clock())
    with pytest.raises(SessionFailed) as caught:
        session.open()
    assert not session.is_open
    assert isinstance(caught.value, OutputError)
    assert str(caught.value).startswith(f"127.0.0.1:{server.port}: ")
    assert send(session).kind is ReplyKind.LOST
    session.close()
    return caught.value.reply


def check_usable(session: SmtpSession, server: Server) -> None:
    """Checks that the session sends the next message, reopened if necessary."""
    before = len(server.received)
    if not session.is_open:
        session.open()
    assert send(session) == TAKEN_AGAIN
    assert [message.content for message in server.received[before:]] == [MESSAGE]


# What is sent


@pytest.mark.parametrize("pipelining", [True, False])
def test_several_messages_through_one_session(
    serve: Serve, connect: Connect, pipelining: bool
) -> None:
    """On one connection, each message has its own envelope."""
    server = serve(Options(pipelining=pipelining))
    session = connect(server)
    bodies = [b"Subject: %d\r\n\r\n%s\r\n" % (n, b"line\r\n" * n) for n in range(20)]
    for number, body in enumerate(bodies):
        assert session.send(f"b+{number}@a.example", f"r{number}@b.example", [body]).code == 250
    session.close()
    assert [message.content for message in server.received] == bodies
    assert [message.rcpt for message in server.received] == [
        f"TO:<r{number}@b.example>" for number in range(20)
    ]
    assert server.received[3].mail == f"FROM:<b+3@a.example> SIZE={len(bodies[3])}"
    assert server.connections == 1
    assert server.verbs() == ["EHLO", *["MAIL", "RCPT", "DATA"] * 20, "QUIT"]


def test_each_message_has_its_own_envelope(serve: Serve) -> None:
    """The transaction has its sender and recipient; its name is not sent."""
    server = serve()
    session = Smtp(local(server)).session()
    session.open()
    assert session.send(OutgoingMessage("k.1.t", SENDER, READER, [MESSAGE])) == TAKEN_AGAIN
    session.close()
    (received,) = server.received
    assert received.mail == f"FROM:<{SENDER}> SIZE={len(MESSAGE)}"
    assert (received.rcpt, received.content) == (f"TO:<{READER}>", MESSAGE)
    assert server.verbs() == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]


def test_sessions_of_the_transport_stop_waiting_on_request(serve: Serve) -> None:
    """The transport passes its stop event to its sessions."""
    stop = threading.Event()
    settings = local(serve(dot=[silence(stop.set)]), stop_grace=0.0)
    session = TRANSPORTS["smtp"](Settings(smtp=settings, stop=stop)).session()
    session.open()
    message = OutgoingMessage("k.1.t", SENDER, READER, [MESSAGE])
    assert session.send(message).kind is ReplyKind.UNKNOWN
    assert not session.is_open


def test_envelope_is_one_write(serve: Serve, connect: Connect) -> None:
    """With PIPELINING the three commands arrive before the first is answered."""
    seen: list[bytes] = []

    def check(dialogue: Dialogue) -> None:
        seen.append(dialogue.read(len(f"RCPT TO:<{READER}>\r\nDATA\r\n")))
        dialogue.say(b"250 ok\r\n550 5.1.1 no\r\n554 no recipients\r\n")

    server = serve(MAIL=[check])
    session = connect(server)
    assert send(session).suppress
    assert seen == [f"RCPT TO:<{READER}>\r\nDATA\r\n".encode()]


@pytest.fixture(scope="module")
def lasting() -> Iterator[tuple[Server, SmtpSession]]:
    """A server and a session shared by many examples."""
    server = Server(Options(extensions=("8BITMIME",)))
    session = SmtpSession(local(server))
    session.open()
    yield server, session
    session.close()
    server.close()


LINES = st.lists(
    st.one_of(
        st.sampled_from([b"", b".", b"..", b".QUIT", b". ", b"...x"]),
        st.binary(max_size=60).map(lambda b: re.sub(rb"[\r\n]", b".", b)),
    ),
    min_size=1,
)


@given(lines=LINES, cuts=st.lists(st.integers(0, 200), max_size=5))
def test_bytes_received_are_the_bytes_sent(
    lasting: tuple[Server, SmtpSession], lines: list[bytes], cuts: list[int]
) -> None:
    """Lines may begin with anything, and the message may be cut anywhere."""
    server, session = lasting
    message = b"".join(line + b"\r\n" for line in lines)
    stuffed = dot_stuffed(message)
    edges = sorted({0, *(min(cut, len(stuffed)) for cut in cuts), len(stuffed)})
    pieces = [stuffed[a:b] for a, b in pairwise(edges)]
    assert session.send(SENDER, READER, pieces).kind is ReplyKind.SENT
    assert server.received.pop().content == message


@pytest.mark.parametrize(
    ("plain", "stuffed"),
    [
        (b"", b""),
        (b"a\r\n", b"a\r\n"),
        (b".\r\n", b"..\r\n"),
        (b".\r\n.\r\n", b"..\r\n..\r\n"),
        (b"a.\r\n.b\r\n..c\r\n", b"a.\r\n..b\r\n...c\r\n"),
    ],
)
def test_dot_stuffing(plain: bytes, stuffed: bytes) -> None:
    """A line that begins with a dot gets one more."""
    assert dot_stuffed(plain) == stuffed


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        (b"a\nb\n", b"a\r\nb\r\n"),
        (b"a\rb\r", b"a\r\nb\r\n"),
        (b"a\r\r\nb\r\n", b"a\r\n\r\nb\r\n"),
        (b"a\n\rb\r\n", b"a\r\n\r\nb\r\n"),
        (b"a\n.\nb\n", b"a\r\n..\r\nb\r\n"),
        (b"\r.\rb\r\n", b"\r\n..\r\nb\r\n"),
        (b"\n.\r\nb\r\n", b"\r\n..\r\nb\r\n"),
        (b".a\r\n", b"..a\r\n"),
    ],
)
def test_line_ends_become_crlf_before_dots_are_doubled(written: bytes, sent: bytes) -> None:
    """A dot after any kind of line end begins a line."""
    assert for_the_wire(written) == sent


SMUGGLED = b"\nMAIL FROM:<x@x.example>\r\nRCPT TO:<y@y.example>\r\nDATA\r\n"
ENDS = [b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r.\r\n", b"\r\n.\r", b"\r\n.\r\n"]
"""Each of these ends a message for some server."""
RAW = st.lists(st.sampled_from([b"\r", b"\n", b".", b"a", *ENDS, SMUGGLED]), max_size=30).map(
    b"".join
)
CUTS = st.lists(st.integers(0, 200), max_size=5)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cuts the data into pieces, some of them empty."""
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def check_one_message(server: Server, before: int) -> bytes:
    """Checks that one message was sent, with CRLF line ends and one end. Returns its raw bytes."""
    assert server.verbs()[before:] == ["MAIL", "RCPT", "DATA"]
    raw = server.received.pop().raw
    lines = (raw + b".\r\n").split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert [number for number, line in enumerate(lines, 1) if line == b"."] == [len(lines) - 1]
    return raw


@pytest.mark.parametrize("end", ENDS)
@given(text=RAW, cuts=CUTS)
def test_no_text_ends_a_message(
    lasting: tuple[Server, SmtpSession], end: bytes, text: bytes, cuts: list[int]
) -> None:
    """Whatever its line ends, and wherever its pieces meet, one message is sent."""
    server, session = lasting
    message = b"A" + end + SMUGGLED + text + b"\r\n"
    before = len(server.commands)
    pieces = cut(Smtp(local(server)).encoded(message), cuts)
    assert session.send(SENDER, READER, pieces).kind is ReplyKind.SENT
    raw = check_one_message(server, before)
    assert raw.replace(b"\r\n..", b"\r\n.") == re.sub(rb"\r\n|\r|\n", b"\r\n", message)


@given(pieces=st.lists(st.one_of(RAW, st.just(b"x" * 2_000 + b"\r\n")), max_size=4))
@example(pieces=[b"a\n", b".\nQUIT\n"])
@example(pieces=[b"a\r", b"\n", b".\r", b"\nQUIT\r\n"])
@example(pieces=[b"a\r", b"\nb\r\n"])
def test_pieces_that_were_not_prepared_for_the_wire(
    lasting: tuple[Server, SmtpSession], pieces: list[bytes]
) -> None:
    """They are sent as one message, or not at all."""
    server, session = lasting
    before = len(server.commands)
    reply = session.send(SENDER, READER, pieces)
    if reply.kind is ReplyKind.SENT:
        assert check_one_message(server, before) == b"".join(pieces)
    else:
        assert (reply.kind, reply.stage) == (ReplyKind.OURS, "data")
        assert len(server.commands) == before


@pytest.mark.parametrize(
    ("before", "after"), [(b"a\r", b"b\r\n"), (b"a", b"\nb\r\n"), (b"", b"\nb\r\n")]
)
def test_a_known_piece_beside_a_bare_line_end(
    serve: Serve, connect: Connect, before: bytes, after: bytes
) -> None:
    """Each message is checked where its pieces meet, and a CRLF cut in two counts as one."""
    server = serve()
    session = connect(server)
    tail = b"\n" + b"abc\r\n" * 500 + b"abc"
    head = b"abc\r\n" + b"x" * 2_000 + b"\r\nab\r"
    assert session.send(SENDER, READER, [head, tail, b"\r\n"]).kind is ReplyKind.SENT
    assert session.send(SENDER, READER, [head, tail, b"\r\n"]).kind is ReplyKind.SENT
    assert session.send(SENDER, READER, [before, tail, b"\r\n"]).kind is (
        ReplyKind.SENT if before.endswith(b"\r") else ReplyKind.OURS
    )
    assert session.send(SENDER, READER, [head, after]).kind is (
        ReplyKind.SENT if after.startswith(b"\n") else ReplyKind.OURS
    )


@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (b"a\nb\r\n",),
        (b"a\rb\r\n",),
        (b"a\n.\nb\r\n",),
        (b"a\r", b".\rb\r\n"),
        (b"a", b"\n", b".\r\nMAIL FROM:<evil@x.example>\r\n"),
        (b"",),
        (b"no line end",),
        (b"bare\n",),
        (b".\r\n",),
        (b"early end\r\n.\r\nMAIL FROM:<evil@x.example>\r\n",),
        (b"early end\r\n", b".\r\n", b"RCPT TO:<x@x.example>\r\n"),
        (b"x" * 5000 + b"\r\n.", b"\r\n"),
    ],
)
def test_message_that_ends_early_is_not_sent(
    serve: Serve, connect: Connect, pieces: tuple[bytes, ...]
) -> None:
    """Otherwise what follows its end could be read as commands; nothing is written at all."""
    server = serve()
    session = connect(server)
    reply = session.send(SENDER, READER, pieces)
    assert (reply.kind, reply.stage, reply.code) == (ReplyKind.OURS, "data", None)
    check_usable(session, server)
    assert server.verbs() == ["EHLO", "MAIL", "RCPT", "DATA"]


def test_known_pieces_are_checked_where_they_meet(serve: Serve, connect: Connect) -> None:
    """A large piece that was sent before is not scanned again, except its ends."""
    server = serve()
    session = connect(server)
    head, tail = b"x" * 5000 + b"\r\n", b".\r\n" + b"y" * 5000 + b"\r\n"
    assert session.send(SENDER, READER, [head, b"token\r\n." + tail]).code == 250
    assert session.send(SENDER, READER, [b"z", tail]).code == 250
    assert session.send(SENDER, READER, [head, b"token\r\n"]).code == 250
    assert session.send(SENDER, READER, [head, b"a", tail]).code == 250
    assert session.send(SENDER, READER, [head, tail]).kind is ReplyKind.OURS
    assert session.send(SENDER, READER, [tail, head]).kind is ReplyKind.OURS
    assert len(server.received) == 4


# Messages that cannot be sent


@pytest.mark.parametrize("size", ["", "0", "many"])
def test_size_without_a_limit(serve: Serve, connect: Connect, size: str) -> None:
    """A server may offer SIZE without a number."""
    server = serve(Options(size=size))
    session = connect(server)
    check_usable(session, server)


def test_message_above_the_size_is_not_sent(serve: Serve, connect: Connect) -> None:
    """A message that is larger than the server accepts is not started."""
    server = serve(Options(size=str(len(MESSAGE))))
    session = connect(server)
    reply = send(session, b"x" + MESSAGE)
    assert (reply.kind, reply.stage, reply.code) == (ReplyKind.OURS, "mail", None)
    check_usable(session, server)
    assert server.verbs() == ["EHLO", "MAIL", "RCPT", "DATA"]


def test_server_without_extensions(serve: Serve, connect: Connect) -> None:
    """Without SIZE, PIPELINING and 8BITMIME, plain commands are sent."""
    server = serve(Options(pipelining=False, size=None, extensions=()))
    session = connect(server)
    check_usable(session, server)
    assert server.received[0].mail == f"FROM:<{SENDER}>"
    reply = send(session, "ä\r\n".encode())
    assert (reply.kind, reply.stage) == (ReplyKind.OURS, "mail")


BAD_ADDRESSES = [
    "",
    "ana",
    "@example.net",
    "ana@",
    "ana@example.net\r\nRCPT TO:<x@x.example>",
    "ana@example.net\n",
    "ana@example.net\0",
    "ana@example.net>",
    "<ana@example.net",
    "ana @example.net",
    "ana\u2028@example.net",
    "ana\ud800@example.net",
    "ana\x85@example.net",
    "ana@bücher.example",
    f"{'a' * 250}@example.net",
]


@pytest.mark.parametrize("address", BAD_ADDRESSES, ids=ascii)
def test_bad_recipient_is_refused_without_sending(
    serve: Serve, connect: Connect, address: str
) -> None:
    """An address that could end its command is refused; the next message is sent."""
    server = serve(Options(extensions=("SMTPUTF8", "8BITMIME")))
    session = connect(server)
    reply = send(session, to=address)
    assert (reply.kind, reply.stage, reply.code) == (ReplyKind.REFUSED, "rcpt", None)
    assert not reply.suppress
    check_usable(session, server)
    assert server.verbs() == ["EHLO", "MAIL", "RCPT", "DATA"]


@pytest.mark.parametrize("address", [*BAD_ADDRESSES[4:], "jürgen@example.net"], ids=ascii)
def test_bad_sender_is_ours(serve: Serve, connect: Connect, address: str) -> None:
    """The sender is the same for all recipients, so none of them is to blame."""
    server = serve()
    session = connect(server)
    reply = session.send(address, READER, [MESSAGE])
    assert (reply.kind, reply.stage) == (ReplyKind.OURS, "mail")
    assert server.verbs() == ["EHLO"]


@given(sender=st.text(), name=st.text(), domain=st.sampled_from(["@example.net", ""]))
def test_no_address_creates_a_command(
    lasting: tuple[Server, SmtpSession], sender: str, name: str, domain: str
) -> None:
    """Whatever the addresses, the server receives only the intended commands."""
    server, session = lasting
    server.commands.clear()
    session.send(sender, name + domain, [MESSAGE])
    assert server.verbs() in ([], ["MAIL", "RCPT", "DATA"])
    if server.commands:
        assert server.commands[0] == f"MAIL FROM:<{sender}> SIZE={len(MESSAGE)}"
        assert server.commands[1] == f"RCPT TO:<{name + domain}>"


def test_an_empty_sender_is_the_null_path(serve: Serve, connect: Connect) -> None:
    """A message that must not be answered has an empty envelope sender."""
    server = serve()
    assert connect(server).send("", READER, [MESSAGE]).kind is ReplyKind.SENT
    assert server.received[0].mail.startswith("FROM:<> ")


def test_address_beyond_ascii(serve: Serve, connect: Connect) -> None:
    """It is sent if the server supports SMTPUTF8, and otherwise refused without sending."""
    modern, old = serve(Options(extensions=("SMTPUTF8", "8BITMIME"))), serve()
    message = "To: jürgen@example.net\r\n\r\n".encode()
    session = connect(modern)
    assert send(session, message, to="jürgen@example.net").kind is ReplyKind.SENT
    assert modern.received[0].rcpt == "TO:<jürgen@example.net>"
    options = f"SIZE={len(message)} BODY=8BITMIME SMTPUTF8"
    assert modern.received[0].mail == f"FROM:<{SENDER}> {options}"
    assert send(session).kind is ReplyKind.SENT
    assert modern.received[1].mail == f"FROM:<{SENDER}> SIZE={len(MESSAGE)}"

    reply = send(connect(old), message, to="jürgen@example.net")
    assert (reply.kind, reply.suppress) == (ReplyKind.REFUSED, False)
    assert old.verbs() == ["EHLO"]


# Refusals by the server

CODES = ["421", "450", "451", "452", "535", "550", "552", "554", "571"]
EXPECTED = {
    "MAIL": "lost deferred deferred deferred ours ours ours ours ours",
    "RCPT": "lost deferred deferred deferred ours refused deferred refused ours",
    "DATA": "lost deferred deferred deferred ours refused deferred refused ours",
    "dot": "deferred deferred deferred deferred ours refused deferred refused ours",
}


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("place", EXPECTED)
@pytest.mark.parametrize("code", CODES)
def test_refusal_at_each_verb(
    serve: Serve, connect: Connect, code: str, place: str, pipelining: bool
) -> None:
    """Each code at each command is classified, and the session continues with the next message."""
    server = serve(Options(pipelining=pipelining), **{place: [f"{code} no\r\n".encode()]})
    session = connect(server)
    reply = send(session)
    assert reply.kind == EXPECTED[place].split()[CODES.index(code)]
    assert (reply.stage, reply.code) == (place.lower(), int(code))
    assert (reply.text, reply.suppress) == (f"{code} no", False)
    assert session.is_open == (code != "421")
    assert not server.received
    check_usable(session, server)
    assert server.connections == 1 + (code == "421")


@pytest.mark.parametrize("pipelining", [True, False])
def test_no_such_mailbox(serve: Serve, connect: Connect, pipelining: bool) -> None:
    """Refused at RCPT by its enhanced code, also in several lines: suppressed."""
    reply = b"550-5.1.1 No such\r\n550 5.1.1 user\r\n"
    server = serve(Options(pipelining=pipelining), RCPT=[reply])
    session = connect(server)
    assert send(session) == Reply(
        ReplyKind.REFUSED, "rcpt", 550, "5.1.1", "550 5.1.1 No such user", True
    )
    check_usable(session, server)


@pytest.mark.parametrize(
    "answer", [None, b"250 2.0.0 fine\r\n", b"451 4.0.0 hm\r\n", b"421 4.0.0 bye\r\n", hang_up]
)
def test_data_accepted_without_a_recipient(serve: Serve, connect: Connect, answer: Fault) -> None:
    """354 despite a refused recipient (RFC 2920 3.1): an empty message without one ends it."""
    server = serve(
        Options(data_without_recipient=True), RCPT=[b"550 5.1.1 no\r\n"], no_recipient=[answer]
    )
    session = connect(server)
    reply = send(session)
    assert (reply.kind, reply.stage, reply.suppress) == (ReplyKind.REFUSED, "rcpt", True)
    assert not server.received
    check_usable(session, server)


def test_data_accepted_without_a_sender(serve: Serve, connect: Connect) -> None:
    """MAIL is refused, RCPT and DATA are not: an empty message would arrive, so we hang up."""
    server = serve(MAIL=[say_and_hang_up(b"451 no\r\n250 ok\r\n354 go\r\n")])
    session = connect(server)
    reply = send(session)
    assert (reply.kind, reply.stage) == (ReplyKind.DEFERRED, "mail")
    assert not session.is_open
    check_usable(session, server)


def test_connection_ends_after_a_refusal(serve: Serve, connect: Connect) -> None:
    """The reply about the recipient counts, although the server then hangs up."""
    server = serve(RCPT=[say_and_hang_up(b"550 5.1.1 no\r\n")])
    session = connect(server)
    assert send(session).suppress
    assert not session.is_open
    check_usable(session, server)


def test_server_closes_after_a_refusal(serve: Serve, connect: Connect) -> None:
    """The same with 421 in reply to the remaining commands."""
    server = serve(RCPT=[say_and_hang_up(b"550 5.1.1 no\r\n421 4.3.2 closing\r\n")])
    session = connect(server)
    assert send(session).suppress
    assert not session.is_open
    check_usable(session, server)


@pytest.mark.parametrize("answer", [b"500 what?\r\n", b"421 4.3.2 closing\r\n", hang_up])
def test_server_that_refuses_rset(serve: Serve, connect: Connect, answer: Fault) -> None:
    """The next message would join the previous one, so a new connection is opened."""
    server = serve(RCPT=[b"550 no\r\n"], RSET=[answer])
    session = connect(server)
    assert send(session).kind is ReplyKind.REFUSED
    reply = send(session)
    assert (reply.kind, reply.stage) == (ReplyKind.LOST, "mail")
    assert reply.code == (int(answer[:3]) if isinstance(answer, bytes) else None)
    check_usable(session, server)


# Lost connections

PLACES = [("MAIL", "mail"), ("RCPT", "rcpt"), ("DATA", "data"), ("dot", "dot")]
ENDINGS = {
    "hang up": hang_up,
    "reset": reset,
    "half a reply": say_and_hang_up(b"250-hm"),
    "nonsense": say_and_hang_up(b"hello\r\n"),
    "other code": say_and_hang_up(b"250-a\r\n550 b\r\n"),
    "endless lines": endless(b"", b"250-more\r\n" * 1000),
    "endless line": endless(b"250 ", b"x" * 100_000),
}


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(("place", "stage"), PLACES)
def test_connection_lost_at_each_verb(
    serve: Serve, connect: Connect, place: str, stage: str, ending: str, pipelining: bool
) -> None:
    """Before the final dot, certainly nothing was sent; after it, the result is unknown."""
    server = serve(Options(pipelining=pipelining), **{place: [ENDINGS[ending]]})
    session = connect(server)
    reply = send(session)
    assert reply.kind is (ReplyKind.UNKNOWN if place == "dot" else ReplyKind.LOST)
    assert (reply.code, reply.suppress) == (None, False)
    assert reply.text
    if not (pipelining and ending == "reset"):  # a reset takes unread replies with it
        assert reply.stage == stage
    assert not session.is_open
    check_usable(session, server)
    assert server.connections == 2


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize(("place", "stage"), PLACES)
def test_server_stalls(
    serve: Serve, connect: Connect, clock: Clock, place: str, stage: str, pipelining: bool
) -> None:
    """A reply does not arrive in time."""
    server = serve(Options(pipelining=pipelining), **{place: [silence(clock.fly)]})
    session = connect(server)
    reply = send(session)
    assert reply.kind is (ReplyKind.UNKNOWN if place == "dot" else ReplyKind.LOST)
    assert reply.stage == stage
    assert reply.text == f"no reply within {600 if place == 'dot' else 30} s"
    clock.step = 0.0
    check_usable(session, server)


def test_slow_bytes_do_not_extend_the_timeout(serve: Serve, connect: Connect, clock: Clock) -> None:
    """The time limit is for the whole reply, not for each byte."""

    def drip(dialogue: Dialogue) -> None:
        clock.step = 100.0
        while not dialogue.server.over.wait(0.01):
            dialogue.say(b"2")

    reply = send(connect(serve(dot=[drip])))
    assert (reply.kind, reply.text) == (ReplyKind.UNKNOWN, "no reply within 600 s")


def test_slow_reply_to_the_dot_is_awaited(serve: Serve, connect: Connect, clock: Clock) -> None:
    """The reply to the final dot has a longer limit."""

    def late(dialogue: Dialogue) -> None:
        clock.now += 599.0
        dialogue.say(b"250 2.0.0 at last\r\n")

    server = serve(dot=[late])
    assert send(connect(server)).kind is ReplyKind.SENT


@pytest.mark.parametrize(("place", "stage"), PLACES)
def test_stop_shortens_the_wait(serve: Serve, connect: Connect, place: str, stage: str) -> None:
    """Once the stop event is set, the session does not wait for the whole timeout."""
    stop = threading.Event()
    server = serve(**{place: [silence(stop.set)]})
    reply = send(connect(server, stop, stop_grace=0.0))
    assert reply.kind is (ReplyKind.UNKNOWN if place == "dot" else ReplyKind.LOST)
    assert (reply.stage, reply.code) == (stage, None)


def test_stop_leaves_time_for_a_reply(serve: Serve, connect: Connect, clock: Clock) -> None:
    """A message that is being sent may still be accepted."""
    stop = threading.Event()

    def late(dialogue: Dialogue) -> None:
        stop.set()
        clock.now += 4.0
        dialogue.say(b"250 2.0.0 taken\r\n")

    server = serve(dot=[late])
    session = connect(server, stop)
    assert send(session).kind is ReplyKind.SENT
    check_usable(session, server)


def test_connection_lost_within_the_content(serve: Serve, connect: Connect) -> None:
    """The final dot was not sent, so the message cannot have been accepted."""
    server = serve(content=[hang_up])
    session = connect(server)
    reply = send(session, LARGE)
    assert (reply.kind, reply.stage, reply.code) == (ReplyKind.LOST, "data", None)
    check_usable(session, server)


def test_reply_within_the_content(serve: Serve, connect: Connect) -> None:
    """The server's reason for hanging up is reported; it has not accepted a partial message."""
    for said, kind in [
        (b"552 5.3.4 too long\r\n", ReplyKind.OURS),
        (b"451 4.3.0 full\r\n", ReplyKind.DEFERRED),
        (b"550 5.7.1 spam\r\n", ReplyKind.OURS),
        (b"421 4.3.2 closing\r\n", ReplyKind.LOST),
        (b"250 2.0.0 taken\r\n", ReplyKind.LOST),
    ]:
        server = serve(content=[say_and_hang_up(said, after=1000)])
        session = connect(server)
        reply = send(session, LARGE)
        assert (reply.kind, reply.stage) == (kind, "data")
        assert not session.is_open
        check_usable(session, server)


def test_server_that_stops_reading(serve: Serve, connect: Connect) -> None:
    """A message that cannot be written in time was not sent."""
    server = serve(content=[silence()])
    session = connect(server, timeout=0.5)  # the only wait here that takes real time
    reply = send(session, LARGE)
    assert (reply.kind, reply.stage) == (ReplyKind.LOST, "data")
    check_usable(session, server)


def test_message_larger_than_the_buffers(serve: Serve, connect: Connect) -> None:
    """It is written in portions, each byte once."""
    server = serve()
    session = connect(server)
    assert send(session, LARGE).kind is ReplyKind.SENT
    assert server.received.pop().content == LARGE
    check_usable(session, server)


def test_hanging_up_instead_of_reading(serve: Serve, connect: Connect) -> None:
    """A small message may be written before this is noticed: lost or unknown, but never sent."""
    server = serve(content=[hang_up])
    session = connect(server)
    assert send(session).kind in (ReplyKind.LOST, ReplyKind.UNKNOWN)
    check_usable(session, server)


@pytest.mark.parametrize(
    ("place", "answer"),
    [("DATA", b"354 go\r\n250 2.0.0 taken\r\n"), ("DATA", b"354 go\r\n421 4.3.2 closing\r\n")],
)
def test_unexpected_reply_is_not_taken_for_an_answer(
    serve: Serve, connect: Connect, place: str, answer: bytes
) -> None:
    """A 250 before the content is written is not the reply to its final dot."""
    server = serve(**{place: [say_and_hang_up(answer)]})
    session = connect(server)
    reply = send(session)
    assert (reply.kind, reply.stage) == (ReplyKind.LOST, "data")
    assert "unexpected" in reply.text
    check_usable(session, server)


def test_extra_reply_after_the_dot(serve: Serve, connect: Connect) -> None:
    """The message was accepted; the next one must not inherit a 250."""
    server = serve(dot=[b"250 2.0.0 taken\r\n250 2.0.0 taken\r\n"])
    session = connect(server)
    assert send(session).kind is ReplyKind.SENT
    assert send(session).kind is ReplyKind.LOST
    check_usable(session, server)


def test_idle_connection_was_closed(serve: Serve, connect: Connect) -> None:
    """The server hung up after a timeout, so the message is sent on a new connection."""
    server = serve(dot=[say_and_hang_up(b"250 2.0.0 taken\r\n")])
    session = connect(server)
    assert send(session).kind is ReplyKind.SENT
    assert send(session).kind is ReplyKind.LOST
    check_usable(session, server)


def test_interruption_ends_the_session(serve: Serve, clock: Clock) -> None:
    """After an exception in the middle of a message, no further command is sent."""

    def interrupted() -> float:
        if stop.is_set():
            raise KeyboardInterrupt
        return clock()

    stop = threading.Event()
    server = serve(dot=[silence(stop.set)])
    session = SmtpSession(local(server), clock=interrupted)
    session.open()
    with pytest.raises(KeyboardInterrupt):
        send(session)
    assert not session.is_open
    session.close()
    assert server.verbs() == ["EHLO", "MAIL", "RCPT", "DATA"]


# Closing


def test_close_sends_quit_once(serve: Serve) -> None:
    """It may be called often; `with` opens and closes the session."""
    server = serve()
    with SmtpSession(local(server)) as session:
        assert session.is_open
    assert not session.is_open
    session.close()
    assert server.verbs() == ["EHLO", "QUIT"]


def test_open_again_closes_what_was_open(serve: Serve, connect: Connect) -> None:
    """A session has one connection."""
    server = serve()
    session = connect(server)
    session.open()
    check_usable(session, server)
    assert server.verbs() == ["EHLO", "QUIT", "EHLO", "MAIL", "RCPT", "DATA"]


@pytest.mark.parametrize("ending", [*ENDINGS, "stall", "refusal"])
def test_close_never_raises(serve: Serve, connect: Connect, clock: Clock, ending: str) -> None:
    """The server may answer anything to QUIT."""
    answers = {"stall": silence(clock.fly), "refusal": b"500 no\r\n", **ENDINGS}
    session = connect(serve(QUIT=[answers[ending]]))
    session.close()
    assert not session.is_open


def test_close_without_open() -> None:
    """A session that was never opened can be closed, and sends nothing."""
    session = SmtpSession(SmtpSettings("", 25))
    session.close()
    assert send(session).kind is ReplyKind.LOST


# Connections that fail


@pytest.mark.parametrize("place", ["connect", "EHLO"])
@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("421 4.3.2 closing", ReplyKind.LOST),
        ("450 4.7.1 busy", ReplyKind.DEFERRED),
        ("550 5.7.1 blocked", ReplyKind.OURS),
        ("554 no service", ReplyKind.OURS),
    ],
)
def test_server_refuses_the_connection_or_login(
    serve: Serve, place: str, said: str, kind: ReplyKind
) -> None:
    """Before there is a recipient, a permanent refusal is about us."""
    server = serve(**{place: [f"{said}\r\n".encode()]})
    reply = failure(server)
    assert (reply.kind, reply.stage, reply.text) == (kind, place.lower(), said)


@pytest.mark.parametrize("place", ["connect", "EHLO"])
@pytest.mark.parametrize("ending", [*ENDINGS, "stall"])
def test_connection_ends_during_the_greeting(
    serve: Serve, clock: Clock, place: str, ending: str
) -> None:
    """Another attempt may succeed."""
    fault = {"stall": silence(clock.fly), **ENDINGS}[ending]
    reply = failure(serve(**{place: [fault]}), clock)
    assert (reply.kind, reply.stage, reply.code) == (ReplyKind.LOST, place.lower(), None)


def test_session_opens_after_it_failed(serve: Serve) -> None:
    """A session that could not be opened can be opened later."""
    server = serve(connect=[b"450 busy\r\n"])
    session = SmtpSession(local(server))
    with pytest.raises(SessionFailed, match="450 busy; check host"):
        session.open()
    check_usable(session, server)
    session.close()


def test_connection_refused() -> None:
    """There is no server, but it may come back."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    session = SmtpSession(SmtpSettings("127.0.0.1", port, "none"))
    with pytest.raises(SessionFailed, match="Connection refused") as caught:
        session.open()
    assert (caught.value.reply.kind, caught.value.reply.stage) == (ReplyKind.LOST, "connect")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"host": ""}, "no host"),
        ({"host": "mail.example"}, "this machine itself"),
        ({"host": "a" * 64 + ".example", "security": "tls"}, "host name is not valid"),
        ({"ca_file": "missing.pem"}, "missing.pem: No such file"),
        ({"username": "papers", "password": "secret"}, "never sent in clear"),
        ({"username": "papers", "token_command": "echo secret"}, "never sent in clear"),
    ],
)
def test_unacceptable_settings(serve: Serve, changes: dict[str, Any], words: str) -> None:
    """Only the operator can fix them; no password is sent or shown."""
    server = serve()
    session = SmtpSession(local(server, **changes))
    with pytest.raises(SessionFailed, match=words) as caught:
        session.open()
    assert caught.value.reply.kind is ReplyKind.OURS
    assert "secret" not in str(caught.value)
    assert "AUTH" not in server.verbs()


def test_settings_do_not_show_their_secrets() -> None:
    """Even a traceback does not show them."""
    shown = repr(SmtpSettings("h", 1, password=SECRET, token_command=f"echo {SECRET}"))
    assert "secret" not in shown


def test_own_name_is_acceptable_to_servers(serve: Serve, connect: Connect) -> None:
    """Without a configured name it is this machine's, or an address if the machine has none."""
    server = serve()
    connect(server, local_hostname=None)
    assert re.fullmatch(
        r"ehlo ([A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+|\[127\.0\.0\.1])", server.commands[0]
    )


# TLS


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for this machine's address."""
    return certificate(tmp_path_factory.mktemp("tls"), "IP:127.0.0.1")


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for another name."""
    return certificate(tmp_path_factory.mktemp("tls"), "DNS:mail.example")


def secured(path: Path, **options: Any) -> Options:
    """Returns options of a server with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return Options(tls=context, **options)


WAYS = pytest.mark.parametrize("security", ["tls", "starttls"])


@WAYS
def test_messages_over_tls(serve: Serve, connect: Connect, right: Path, security: str) -> None:
    """TLS starts at once or by STARTTLS, and no part of a message is ever unencrypted."""
    server = serve(secured(right, starttls=security == "starttls"))
    session = connect(server, security=security, ca_file=right)
    check_usable(session, server)
    assert send(session, LARGE).kind is ReplyKind.SENT
    assert server.received[1].content == LARGE
    session.close()
    plain = ["ehlo client.example", "STARTTLS"] if security == "starttls" else []
    assert server.in_clear == plain


@WAYS
@pytest.mark.parametrize("place", ["MAIL", "content", "dot"])
def test_connection_lost_over_tls(
    serve: Serve, connect: Connect, right: Path, security: str, place: str
) -> None:
    """The results are the same as without TLS."""
    server = serve(secured(right, starttls=security == "starttls"), **{place: [hang_up]})
    session = connect(server, security=security, ca_file=right)
    reply = send(session, LARGE)
    assert reply.kind is (ReplyKind.UNKNOWN if place == "dot" else ReplyKind.LOST)
    check_usable(session, server)


@WAYS
def test_stall_over_tls(
    serve: Serve, connect: Connect, clock: Clock, right: Path, security: str
) -> None:
    """Waiting in short intervals does not harm the connection."""

    def late(dialogue: Dialogue) -> None:
        with pytest.raises(TimeoutError):
            dialogue.connection.settimeout(0.3)
            dialogue.connection.recv(1)
        dialogue.connection.settimeout(None)
        dialogue.say(b"250 2.0.0 taken\r\n")

    server = serve(secured(right, starttls=security == "starttls"), dot=[late, silence(clock.fly)])
    session = connect(server, security=security, ca_file=right)
    assert send(session).kind is ReplyKind.SENT
    assert send(session).kind is ReplyKind.UNKNOWN


@WAYS
def test_large_message_over_tls(serve: Serve, connect: Connect, right: Path, security: str) -> None:
    """If the connection accepts no more for a moment, the rest follows later, each byte once."""
    server = serve(secured(right, starttls=security == "starttls"))
    session = connect(server, security=security, ca_file=right)
    assert send(session, LARGE).kind is ReplyKind.SENT
    assert server.received.pop().content == LARGE
    check_usable(session, server)


@WAYS
def test_wrong_certificate(serve: Serve, wrong: Path, right: Path, security: str) -> None:
    """Unknown issuer or another name: nothing is sent, not even unencrypted."""
    for path, ca_file, words in [(right, None, "self.signed"), (wrong, wrong, "not valid for")]:
        server = serve(secured(path, starttls=security == "starttls"))
        reply = failure(server, security=security, ca_file=ca_file)
        assert reply.kind is ReplyKind.OURS
        assert reply.stage == ("connect" if security == "tls" else "starttls")
        assert re.search(f"certificate is not valid: .*{words}", reply.text)
        assert set(server.verbs()) <= {"EHLO", "STARTTLS"}


def test_starttls_is_not_offered(serve: Serve) -> None:
    """There is no fallback: nothing is sent after EHLO."""
    server = serve()
    reply = failure(server, security="starttls", username="papers", password=SECRET)
    assert (reply.kind, reply.stage) == (ReplyKind.OURS, "starttls")
    assert server.verbs() == ["EHLO"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"421 4.3.2 closing\r\n", ReplyKind.LOST),
        (b"454 4.7.0 not now\r\n", ReplyKind.DEFERRED),
        (b"550 5.7.1 no\r\n", ReplyKind.OURS),
        (b"502 5.5.1 what?\r\n", ReplyKind.OURS),
        (b"250 2.0.0 go\r\n", ReplyKind.LOST),
        (say_and_hang_up(b"220 go\r\n"), ReplyKind.LOST),
        (hang_up, ReplyKind.LOST),
        (reset, ReplyKind.LOST),
    ],
)
def test_starttls_is_refused(serve: Serve, right: Path, answer: Fault, kind: ReplyKind) -> None:
    """There is no fallback here either."""
    server = serve(secured(right, starttls=True), STARTTLS=[answer])
    reply = failure(server, security="starttls", ca_file=right)
    assert (reply.kind, reply.stage) == (kind, "starttls")
    assert server.verbs() == ["EHLO", "STARTTLS"]


def test_reply_injected_before_tls(serve: Serve, right: Path) -> None:
    """A reply added after the unencrypted 220 is not taken for one received over TLS."""

    def slip(dialogue: Dialogue) -> None:
        dialogue.say(b"220 go\r\n250 AUTH PLAIN\r\n")
        dialogue.secure()

    server = serve(secured(right, starttls=True), STARTTLS=[slip])
    reply = failure(server, security="starttls", ca_file=right)
    assert (reply.kind, reply.stage) == (ReplyKind.LOST, "starttls")
    assert server.verbs() == ["EHLO", "STARTTLS"]


def test_tls_with_a_server_that_does_not_use_it(serve: Serve) -> None:
    """The error says that the setting does not fit the port."""
    reply = failure(serve(), security="tls")
    assert (reply.kind, reply.stage) == (ReplyKind.OURS, "connect")
    assert "TLS with the server failed" in reply.text


def test_server_stalls_before_tls(serve: Serve) -> None:
    """A TLS handshake that times out may succeed later."""
    server = serve(connect=[silence()])
    reply = failure(server, security="tls", timeout=0.2)  # the only real wait in this test
    assert (reply.kind, reply.stage) == (ReplyKind.LOST, "connect")


# Login


def prints(text: str, status: int = 0) -> str:
    """Returns a command that prints this text."""
    code = f"import sys; sys.stdout.write({text!r}); sys.exit({status})"
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}"


@WAYS
@pytest.mark.parametrize("mechanisms", ["PLAIN LOGIN XOAUTH2", "LOGIN", "PLAIN", "XOAUTH2"])
def test_login(serve: Serve, connect: Connect, right: Path, mechanisms: str, security: str) -> None:
    """It uses a password or a token, over TLS; a password may have any characters."""
    password = "tokén" if mechanisms != "XOAUTH2" else "ya29.token-_"
    options = secured(right, starttls=security == "starttls", auth=mechanisms, password=password)
    server = serve(options)
    changes: dict[str, Any] = {"password": password}
    if mechanisms == "XOAUTH2":
        changes = {"token_command": prints(f"{password}\nanother line\n")}
    session = connect(server, security=security, ca_file=right, username="papers", **changes)
    check_usable(session, server)
    assert server.verbs().count("AUTH") == 1
    assert not [command for command in server.in_clear if command.startswith("AUTH")]


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_wrong_password(serve: Serve, right: Path, mechanism: str) -> None:
    """The fault is ours, the login is tried once, and the reply does not show the password."""
    server = serve(secured(right, auth=mechanism))
    reply = failure(server, security="tls", ca_file=right, username="papers", password=SECRET + "s")
    assert reply == Reply(ReplyKind.OURS, "auth", 535, "5.7.8", "535 5.7.8 bad credentials", False)
    assert server.verbs().count("AUTH") == 1


def test_wrong_token(serve: Serve, right: Path) -> None:
    """The server's challenge is answered with an empty line, and its reason is reported."""
    server = serve(secured(right, auth="XOAUTH2"))
    command = prints("old-token\n")
    reply = failure(server, security="tls", ca_file=right, username="papers", token_command=command)
    assert (reply.kind, reply.stage, reply.code) == (ReplyKind.OURS, "auth", 535)
    assert reply.text == '535 5.7.8 bad credentials {"status": "401"}'


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"421 4.7.0 too many\r\n", ReplyKind.LOST),
        (b"454 4.7.0 not now\r\n", ReplyKind.OURS),
        (b"535 5.7.8 no\r\n", ReplyKind.OURS),
        (b"550 no\r\n", ReplyKind.OURS),
        (b"334 \r\n", ReplyKind.LOST),
        (hang_up, ReplyKind.LOST),
    ],
)
def test_login_fails(serve: Serve, right: Path, answer: Fault, kind: ReplyKind) -> None:
    """Possible replies to a correct password."""
    server = serve(secured(right, auth="PLAIN"), AUTH=[answer])
    reply = failure(server, security="tls", ca_file=right, username="papers", password=SECRET)
    assert (reply.kind, reply.stage) == (kind, "auth")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "XOAUTH2"])
def test_a_secret_is_never_shown(serve: Serve, right: Path, mechanism: str) -> None:
    """It is hidden even if the server repeats it, in plain text or encoded."""
    proofs = {
        "PLAIN": f"\0papers\0{SECRET}",
        "LOGIN": SECRET,
        "XOAUTH2": f"user=papers\x01auth=Bearer {SECRET}\x01\x01",
    }
    proof = base64.b64encode(proofs[mechanism].encode()).decode()
    said = f"535 5.7.8 no: {proof} {SECRET} no\r\n".encode()
    server = serve(secured(right, auth=mechanism), AUTH=[said])
    server.options = replace(server.options, password=SECRET)
    secret = {"token_command": prints(SECRET)} if mechanism == "XOAUTH2" else {"password": SECRET}
    reply = failure(server, security="tls", ca_file=right, username="papers", **secret)
    assert reply.text == "535 5.7.8 no: [hidden] [hidden] no"


@pytest.mark.parametrize(
    ("offered", "changes"),
    [
        ("", {"password": "secret"}),
        ("GSSAPI CRAM-MD5", {"password": "secret"}),
        ("XOAUTH2", {"password": "secret"}),
        ("PLAIN", {"token_command": "echo token"}),
        ("XOAUTH2", {"token_command": prints("")}),
        ("XOAUTH2", {"token_command": prints("two words")}),
        ("XOAUTH2", {"token_command": prints("tok\x01en")}),
        ("XOAUTH2", {"token_command": prints("secret", status=3)}),
        ("XOAUTH2", {"token_command": "no-such-command-anywhere secret"}),
        ("XOAUTH2", {"token_command": "unbalanced 'secret"}),
        ("XOAUTH2", {"token_command": " "}),
    ],
)
def test_no_common_login_method_or_token(
    serve: Serve, right: Path, offered: str, changes: dict[str, str]
) -> None:
    """No login is attempted, and no secret is shown."""
    server = serve(secured(right, auth=offered))
    reply = failure(server, security="tls", ca_file=right, username="papers", **changes)
    assert (reply.kind, reply.stage, reply.code) == (ReplyKind.OURS, "auth", None)
    assert "secret" not in reply.text
    assert "AUTH" not in server.verbs()


def test_token_command_that_does_not_finish(serve: Serve, right: Path) -> None:
    """It has as much time as a reply."""
    server = serve(secured(right, auth="XOAUTH2"))
    command = f"{shlex.quote(sys.executable)} -c 'import time; time.sleep(60)'"
    reply = failure(
        server,
        security="tls",
        ca_file=right,
        username="papers",
        token_command=command,
        timeout=1.0,
    )
    assert (reply.kind, reply.text) == (
        ReplyKind.OURS,
        "token_command did not finish within 1 s",
    )
