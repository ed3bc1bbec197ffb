"""Any text as an address, a title or a name makes one mail, with its own headers and no others.

The real code runs: addresses and captures are parsed, stored in a database, built into messages,
and sent to a server that records every command.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from email import message_from_bytes
from email.headerregistry import Address
from email.policy import default
from itertools import count

import pytest
from fast_mail_parser import parse_email
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from newsletter import formats
from newsletter.app import factories
from newsletter.app.edition_factories import owner_address
from newsletter.config.schema import Config
from newsletter.editions.notice_kinds import REPORT
from newsletter.editions.notices import Notices
from newsletter.messages.mime import Sender
from newsletter.messages.personalised import RecipientFields, edition_template
from newsletter.models import UNSUBSCRIBE, Entry, EntryKind, Rendered
from newsletter.storage.database import Database
from newsletter.subscribers import csv_import
from newsletter.subscribers.csv_columns import SubscriberRow
from newsletter.text.clean import clean
from newsletter.transports.base import OutgoingMessage, Session, Settings
from newsletter.transports.replies import ReplyKind
from newsletter.transports.table import TRANSPORTS
from newsletter.transports.wire import SmtpSettings
from tests.support.addresses import WRITTEN
from tests.support.builders import HOSTILE
from tests.support.messages import TO_ONE, check_raw, fields
from tests.support.personalised import (
    AT,
    ENCODED,
    KEY,
    NOTICE,
    SENDER,
    WEB,
    MessageFactory,
    delivery,
    edition_of,
    names,
    origin,
    rendered,
)
from tests.support.smtp_server import Options, Server
from tests.support.soak import SOAK

FUZZED = 10_000 if SOAK else 500
NUMBERS = count()
A_LIST = 5
"""Titles in one capture, because parsing and rendering them is the slow part."""

SIGNS = (
    *("\r\n", "\r", "\n", "\r\n.\r\n", "\n.\n", "\r.\r", "\r\n\r\n", "\n\n", ".", "..", ".\r\n"),
    *("\0", "\t", " ", "\x0b", "\x0c", "\x1a", "\x85", "\u2028", "\u2029", UNSUBSCRIBE, "\x1b[2J"),
    *("\r\nBcc: x@y.example\r\n", "\nRCPT TO:<x@y.example>\n", "\r\nQUIT\r\n", "\rDATA\r", "From "),
    "\r\n.\r\nMAIL FROM:<x@y.example>\r\nRCPT TO:<x@y.example>\r\nDATA\r\n\r\nx\r\n.\r\n",
    *("=?utf-8?q?=0D=0ABcc:_x@y.example?=", "=?UTF-8?B?DQpCY2M6IHhAeS5leGFtcGxl?=", "=?", "?="),
    *("=0D=0A.=0D=0A", "=\r\n", "=", "--", "\r\n--=", "{{7*7}}", "{%", "<script>", "</a>", "<!--"),
    *("\u202e", "\u2066", "\u061c", "\u200b", "\ufeff", "\ud800", "\ufffe", "e\u0301", "ä", "灯台"),
    *("🏮", "👩‍👩‍👧", "שלום", '"', "'", "\\", ",", ";", ":", "(", "<x@y.example>", "@", "%0d%0a"),
    *("x" * 10_000, "灯" * 10_000, "lamp " * 2_000, "\r\n" * 5_000, "." * 10_000),
)
SIGN = st.sampled_from(SIGNS)
HOSTILE_TEXT = st.lists(
    SIGN | SIGN | st.text(st.characters(), max_size=10) | st.sampled_from(HOSTILE),
    min_size=1,
    max_size=6,
).map("".join)
SNEAKY = st.builds(
    "{}{}{}@{}{}".format,
    st.sampled_from(["a", "", "o'hara", "zoë"]),
    SIGN,
    st.sampled_from(["b", ""]),
    st.sampled_from(["example.org", "bücher.example", "a.example"]),
    SIGN | st.just(""),
)
ADDRESSES = WRITTEN | SNEAKY


@dataclass(frozen=True)
class Wire:
    """A session and the server at its other end."""

    server: Server
    session: Session

    def send(self, message: OutgoingMessage) -> bytes:
        """Returns what arrives, after exactly the commands that one message needs."""
        self.server.commands.clear()
        self.server.received.clear()
        reply = self.session.send(message)
        assert reply.kind is ReplyKind.SENT, reply
        data = b"".join(message.pieces)
        options = f" SIZE={len(data)}"
        options += " BODY=8BITMIME" * (not data.isascii())
        options += " SMTPUTF8" * (not message.recipient.isascii())
        assert self.server.commands == [
            f"MAIL FROM:<{message.sender}>{options}",
            f"RCPT TO:<{message.recipient}>",
            "DATA",
        ]
        (received,) = self.server.received
        assert received.raw == data
        return received.content


@pytest.fixture(scope="module", params=["at once", "step by step"] if SOAK else ["at once"])
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    """One connection for all examples, so that a leftover of one message spoils the next."""
    extensions = ("8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8")
    options = Options(pipelining=request.param == "at once", extensions=extensions)
    with closing(Server(options)) as server:
        settings = SmtpSettings("127.0.0.1", server.port, "none", local_hostname="client.example")
        with closing(TRANSPORTS["smtp"](Settings(smtp=settings)).session()) as session:
            session.open()
            yield Wire(server, session)
            assert server.connections == 1


@pytest.fixture(scope="module")
def post(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MessageFactory]:
    """Builds messages for a mail server, of editions in a database."""
    path = tmp_path_factory.mktemp("injection") / "a.db"
    with Database(f"sqlite:///{path}") as database:
        yield MessageFactory(database, origin(bounces=True), "smtp")


@pytest.fixture(scope="module")
def edition(post: MessageFactory) -> int:
    """A short edition."""
    return post.edition(rendered())


def check(data: bytes, expected: list[str]) -> None:
    """Checks that several parsers see exactly these header fields."""
    assert b"\r" not in data.replace(b"\r\n", b"")
    assert b"\n" not in data.replace(b"\r\n", b"")
    assert b"\0" not in data
    if data.isascii():
        check_raw(data)
    assert sorted(name for name, _ in fields(data)) == expected
    assert sorted(name.lower() for name in message_from_bytes(data).keys()) == expected  # noqa: SIM118
    assert sorted(name.lower() for name in message_from_bytes(data, policy=default)) == expected
    other = parse_email(data, strict=data.isascii())
    assert sorted(name.lower() for name in other.headers) == expected
    assert {len(values) for values in other.headers.values()} == {1}
    assert not other.attachments


AN_EDITION = names(WEB, reply_to=False)


# --- addresses


@settings(max_examples=FUZZED)
@given(written=ADDRESSES)
@example(written="a@example.org\r\nRCPT TO:<b@example.org>")
@example(written="a@example.org>\r\nDATA")
@example(written="zoë@bücher.example")
@example(written="a@example.org\nBcc: b@example.org")
def test_an_address_is_refused_or_written_as_it_is(
    written: str, post: MessageFactory, edition: int, wire: Wire
) -> None:
    """However it came into the database, it is in `To` and in one command, and has no effect."""
    try:
        message = post.message(delivery(edition, 7, written))
    except ValueError as error:
        assert str(error) == clean(str(error))
        return
    data = wire.send(message)
    check(data, AN_EDITION)
    assert dict(fields(data))["to"].decode() == message.recipient
    assert message.recipient.count("@") == 1
    assert message.recipient.isprintable()
    assert not set(message.recipient) & set(' <>"(),:;\\')


@settings(max_examples=FUZZED // 4)
@given(cells=st.lists(ADDRESSES, min_size=1, max_size=8))
def test_an_imported_file_makes_mail_to_its_addresses(
    cells: list[str], post: MessageFactory, edition: int, wire: Wire
) -> None:
    """Each subscriber in the file gets one mail, and no other address gets any."""
    lines = ["address,cadence\n", "first@example.org\n", *(f"{cell}\n" for cell in cells)]
    rows = [row for _, row in csv_import.read(lines).rows if isinstance(row, SubscriberRow)]
    assert rows[0].address.spec == "first@example.org"
    for number, row in enumerate(rows, 1):
        message = post.message(delivery(edition, number, row.address.display))
        assert message.recipient == row.address.spec
        check(wire.send(message), AN_EDITION)


# --- text of papers


def capture(texts: list[str]) -> bytes:
    """Returns a day's list as the source sends it, with these texts in every text field."""
    rows = [
        {
            "title": text,
            "paper": {
                "id": f"2611.{number:05}",
                "title": text,
                "summary": f"{text} We light {texts[-number]}. {text}",
                "authors": [{"name": text}, {"name": texts[-number]}],
                "submittedOnDailyAt": "2026-11-20T00:00:00.000Z",
                "submittedOnDailyBy": {"fullname": text, "user": texts[-number]},
                "githubRepo": f"https://github.com/lamps/{text}",
                "projectPage": texts[-number],
                "organization": {"name": text, "fullname": text},
                "upvotes": number,
            },
        }
        for number, text in enumerate(texts, 1)
    ]
    return json.dumps(rows).encode()


@settings(max_examples=FUZZED // A_LIST)
@given(texts=st.lists(HOSTILE_TEXT, min_size=1, max_size=A_LIST))
@example(texts=["\r\n.\r\nMAIL FROM:<x@y.example>"])
@example(texts=["Lamps =?utf-8?q?=0D=0ABcc:_x@y.example?= again"])
@example(texts=list(HOSTILE))
def test_papers_make_one_mail(texts: list[str], post: MessageFactory, wire: Wire) -> None:
    """Their titles, abstracts, names and links may contain anything."""
    papers = formats.parse(capture(texts), format="api-json").papers
    assume(papers)
    log = [Entry(n, EntryKind.NEW, one, "harbour", "api-json") for n, one in enumerate(papers, 1)]
    made = edition_of(log, WEB)
    number = post.edition(*made.parts, key=made.key + f"{next(NUMBERS):x}")
    data = wire.send(post.message(delivery(number, 7)))
    check(data, AN_EDITION)
    other = parse_email(data, strict=True)
    assert other.subject == made.parts[0].subject
    assert other.subject == clean(other.subject)
    assert len(other.text_plain) == len(other.text_html) == 1


@settings(max_examples=FUZZED)
@given(subject=HOSTILE_TEXT, text=HOSTILE_TEXT, html=HOSTILE_TEXT)
@example(subject="\r\nBcc: x@y.example", text="\r\n.\r\nQUIT\r\n", html="\n.\n")
@example(subject="Lamps", text=f"\r\n{'x' * 74} \r\nx", html=f"\r{'x' * 74} \rx")
def test_raw_text_makes_one_mail(subject: str, text: str, html: str, wire: Wire) -> None:
    """The text may even be unclean, as a custom theme might leave it."""
    subject, text, html = (
        part.encode("utf-8", "replace").decode() for part in (subject, text, html)
    )
    assume(max(map(len, clean(subject).split(" "))) < 900)  # no line of mail is longer
    template = edition_template(Rendered(subject, html, text), KEY, SENDER, WEB, ENCODED["smtp"])
    pieces = template.pieces(RecipientFields("ana@example.net", "k.1.t@example.org", "t" * 28), AT)
    data = wire.send(OutgoingMessage("k.1.t", "papers@example.org", "ana@example.net", pieces))
    check(data, sorted(TO_ONE))
    assert dict(fields(data))["to"] == b"ana@example.net"


# --- text of the operator and of servers


@settings(max_examples=FUZZED // 4)
@given(name=HOSTILE_TEXT, display=HOSTILE_TEXT)
def test_names_create_no_header(name: str, display: str, wire: Wire) -> None:
    """The names of the newsletter, the sender and the Reply-To address."""
    name, display = clean(name)[:78], clean(display)[:300].strip()
    assume(name)
    by = Sender(
        name, Address(display, "papers", "example.org"), Address(display, "k", "example.org")
    )
    template = edition_template(rendered(), KEY, by, WEB, ENCODED["smtp"])
    pieces = template.pieces(RecipientFields("ana@example.net", "k.1.t@example.org", "t" * 28), AT)
    data = wire.send(OutgoingMessage("k.1.t", "papers@example.org", "ana@example.net", pieces))
    check(data, sorted([*TO_ONE, "reply-to"]))


@settings(max_examples=FUZZED // 10)
@given(troubles=st.lists(HOSTILE_TEXT, max_size=3), name=HOSTILE_TEXT)
def test_reports_make_one_mail(
    troubles: list[str], name: str, post: MessageFactory, wire: Wire
) -> None:
    """A source or a server may have replied anything."""
    name = clean(name)[:78] or "Lamps"
    words = Notices().words(REPORT, name=name, troubles=[clean(one) for one in troubles])
    data = wire.send(post.message(post.notice(REPORT, "keeper@example.org", *words)))
    check(data, sorted(NOTICE))
    assert parse_email(data, strict=True).subject == words[0]


HOSTS = st.sampled_from(["example.org", "bücher.example", "EXAMPLE.org", "a-b.example"])
SHORT = st.text(st.characters(), max_size=20) | st.text(
    st.characters(max_codepoint=127), max_size=20
)
MAILBOXES = st.one_of(
    st.builds("{}@{}".format, SHORT, HOSTS),
    st.builds("{} <{}@{}>".format, SHORT | SIGN, SHORT | st.just("k"), HOSTS),
    st.builds('"{}" <k@{}>'.format, SHORT | SIGN, HOSTS),
)
URLS = st.builds(
    "{}{}{}".format,
    st.sampled_from(["https://", "http://localhost", "HTTPS://"]),
    HOSTS | st.sampled_from(["a.example:80", "[::1]", ""]),
    SHORT | SIGN | st.just("/{}/daily"),
)
SETTINGS = st.one_of(
    st.tuples(st.just("name"), SHORT | SIGN),
    st.tuples(st.sampled_from(["sender", "reply_to", "owner"]), MAILBOXES),
    st.tuples(st.just("base_url"), URLS),
    st.tuples(st.just("bounce_domain"), HOSTS | st.builds("{}.example".format, SHORT) | SIGN),
)


@settings(max_examples=FUZZED)
@given(setting=SETTINGS)
@example(setting=("sender", "Lab @ Home <papers@example.org>"))
@example(setting=("owner", "Papers [daily] <keeper@example.org>"))
@example(setting=("reply_to", "Papers; Daily <papers@example.org>"))
@example(setting=("base_url", "https://bücher.example"))
def test_every_accepted_configuration_makes_mail(
    setting: tuple[str, str], post: MessageFactory, edition: int, wire: Wire
) -> None:
    """A value is refused when the file is read, or every mail can be built with it."""
    field, value = setting
    try:
        config = Config.model_validate({"newsletter": {field: value}})
    except ValidationError:
        return
    assume(len(value) < 900)  # no line of mail is longer
    made = MessageFactory(post.database, factories.origin(config), "smtp")
    data = wire.send(made.message(delivery(edition, 7)))
    expected = names(config.newsletter.base_url, reply_to=bool(config.newsletter.reply_to))
    check(data, expected)
    other = parse_email(data, strict=True)
    assert other.from_
    _, _, spec = value.rpartition("<")
    local = spec.strip().partition("@")[0]
    if field == "sender" and value:
        assert other.from_.address.partition("@")[0] == local
    elif field == "reply_to" and value:
        assert [one.address.partition("@")[0] for one in other.reply_to] == [local]
    elif field == "owner" and value:
        assert owner_address(config) == spec.strip().removesuffix(">")
