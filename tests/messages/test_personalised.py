"""Personalised messages have the bytes of a message built for one recipient; parsed by others."""

from __future__ import annotations

import functools
import itertools
import os
import re
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email.headerregistry import Address
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from fast_mail_parser import PyMail, parse_email
from hypothesis import example, given, settings
from hypothesis import strategies as st

from newsletter import formats
from newsletter.app.inspection import sample
from newsletter.delivery.personalise import Origin
from newsletter.editions import preview
from newsletter.editions.build import Edition
from newsletter.editions.notice_kinds import REPORT, TEST
from newsletter.editions.notices import Notices
from newsletter.messages import mime, tokens
from newsletter.messages.mime import Recipient, Sender
from newsletter.messages.personalised import (
    RecipientFields,
    edition_template,
    notice_template,
    unsubscribe_links,
)
from newsletter.models import UNSUBSCRIBE, Entry, EntryKind, Rendered
from newsletter.storage.database import Database
from newsletter.text.clean import without_isolates
from tests.support.builders import entries, paper
from tests.support.messages import body, check_raw, fields, raw, read
from tests.support.personalised import (
    AT,
    ENCODED,
    KEY,
    LINK_KEY,
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
from tests.support.soak import SOAK

LARGE = 1024
"""Bytes of a piece that many messages should share."""


def whole(
    edition: Rendered, copy: RecipientFields, at: datetime, base_url: str = WEB, by: Sender = SENDER
) -> bytes:
    """Builds the whole message for one recipient."""
    local, _, domain = copy.to.rpartition("@")
    link = f"{base_url}/unsubscribe/{copy.token}" if base_url else ""
    to = Recipient(Address("", local, domain), copy.message_id, link)
    return mime.build(edition, by, to, at, KEY)


# --- a personalised message is the whole message

TRAPS = (
    *(
        ".\n",
        "..\n",
        ".",
        "\n.",
        "From me\n",
        "-- \n",
        "--=\n",
        " \n",
        "\t\n",
        "=\n",
        "=3D",
        "=\n.",
    ),
    *("<reader@newsletter.invalid>", "newsletter.invalid", "Sat, 01 Jan 2000 00:00:00 +0000"),
    *("Date: Thu, 01 Jan 1970 00:00:00 +0000\n", "To: ana@example.net\n", "{}", "{{}}", "\\1"),
)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\r\x1a"))
FILLING = st.builds(
    str.__mul__, st.sampled_from(["x", ".", " ", "ä", "灯", "=", "x."]), st.integers(0, 90)
)
TEXTS = st.lists(
    WORDS | FILLING | FILLING | st.sampled_from(TRAPS) | st.just(UNSUBSCRIBE), max_size=12
).map("".join)
LOCALS = st.from_regex(r"\A[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,64}\Z")
TOKENS = st.text("AZaz09-_", min_size=tokens.TOKEN_LENGTH, max_size=tokens.TOKEN_LENGTH)
COPIES = st.builds(
    RecipientFields,
    to=st.builds("{}@{}".format, LOCALS, st.sampled_from(["a.example", "x" * 60 + ".example"])),
    message_id=st.builds(
        "{}.{}@example.org".format, st.text("0123456789abcdef", max_size=32), LOCALS
    ),
    token=TOKENS,
)
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
BASES = st.sampled_from(
    ["", WEB, "http://localhost:8000", f"{WEB}/{{}}/{{0}}/{{x", f"{WEB}/{'a.' * 60}", f"{WEB}/'"]
)
SENDERS = st.sampled_from(
    [
        SENDER,
        Sender("Ä", Address("Küster", "k", "bücher.example"), Address("Ö", "o", "o.example")),
        replace(SENDER, archive=f"{WEB}/archive", owner="x" * 60 + "@example.org"),
    ]
)


@settings(max_examples=5_000 if SOAK else 150)
@given(TEXTS, TEXTS, TEXTS, st.lists(COPIES, min_size=1, max_size=3), TIMES, BASES, SENDERS)
@example(
    "S",
    "",
    "Sat, 01 Jan 2000 00:00:00 +0000",
    [RecipientFields("a@b.example", "m@x", "t" * 28)],
    AT,
    WEB,
    SENDER,
)
def test_a_personalised_message_equals_one_built_for_its_recipient(
    subject: str,
    text: str,
    html: str,
    personaliser: list[RecipientFields],
    at: datetime,
    base_url: str,
    by: Sender,
) -> None:
    """Byte for byte, in the form of every transport, whatever the edition contains."""
    edition = rendered(subject, html, text)
    expected = [whole(edition, copy, at, base_url, by) for copy in personaliser]
    for kind, encode in ENCODED.items():
        template = edition_template(edition, KEY, by, base_url, encode)
        for copy, one in zip(personaliser, expected, strict=True):
            assert b"".join(template.pieces(copy, at)) == encode(one), kind


@pytest.mark.parametrize("base_url", [WEB, f"{WEB}/{'a.b-' * 20}", "https://a.example"])
@pytest.mark.parametrize("kind", ENCODED)
def test_a_soft_line_break_may_be_anywhere_in_a_link(kind: str, base_url: str) -> None:
    """It may be at each character of the token, in both parts, also before a dot."""
    text = "".join(f"{'x' * length}{UNSUBSCRIBE}--\n" for length in range(160))
    edition = rendered(html=text, text=text)
    template = edition_template(edition, KEY, SENDER, base_url, ENCODED[kind])
    for token in ("A" * 28, "Zz_-09" * 4 + "tail", tokens.token(LINK_KEY, tokens.UNSUBSCRIBE, 7)):
        copy = RecipientFields("ana@example.net", "k.1.t@example.org", token)
        made = b"".join(template.pieces(copy, AT))
        plain = whole(edition, copy, AT, base_url)
        assert made == ENCODED[kind](plain)
        for cut in range(1, len(token)):
            parted = f"{token[:cut]}=\r\n{token[cut:]}--\r\n".encode()
            assert plain.count(parted) >= 2, f"no line ends after {cut} of its characters"
        assert plain.count(token.encode()) > 100


@given(TEXTS, TEXTS, COPIES, TIMES)
def test_a_personalised_notice_equals_one_built_for_its_recipient(
    subject: str, text: str, copy: RecipientFields, at: datetime
) -> None:
    """This holds for any recipient."""
    local, _, domain = copy.to.rpartition("@")
    to = Recipient(Address("", local, domain), copy.message_id)
    expected = mime.notice(subject, text, SENDER, to, at)
    for kind, encode in ENCODED.items():
        made = b"".join(notice_template(subject, text, SENDER, encode).pieces(copy, at))
        assert made == encode(expected), kind


def test_the_date_is_written_in_utc() -> None:
    """The given time may have any time zone."""
    template = edition_template(rendered(), KEY, SENDER, WEB, ENCODED["eml"])
    copy = RecipientFields("ana@example.net", "k.1.t@example.org", "t" * 28)
    elsewhere = AT.astimezone(timezone(timedelta(hours=-11, minutes=-30)))
    assert b"".join(template.pieces(copy, elsewhere)) == b"".join(template.pieces(copy, AT))


@pytest.mark.parametrize("kind", ENCODED)
def test_large_pieces_are_shared(kind: str) -> None:
    """All messages have the same objects as large pieces; the rest is a few lines."""
    part = sample_edition(WEB).parts[0]
    template = edition_template(part, KEY, SENDER, WEB, ENCODED[kind])
    personaliser = [
        RecipientFields(f"a{n}@example.net", f"k.{n}@example.org", f"{n:028}") for n in range(50)
    ]
    first, *others = [template.pieces(copy, AT) for copy in personaliser]
    assert sum(map(len, first)) > 20_000
    for pieces in others:
        assert len(pieces) == len(first) < 40
        own = [one for one, other in zip(pieces, first, strict=True) if one is not other]
        assert sum(map(len, own)) < LARGE
    assert sum(len(piece) >= LARGE for piece in first) >= 1


def test_unsubscribe_links() -> None:
    """The token comes last; braces in the base URL are not replaced."""
    assert unsubscribe_links(WEB).format("t") == f"{WEB}/unsubscribe/t"
    assert unsubscribe_links(f"{WEB}/{{}}").format("t") == f"{WEB}/{{}}/unsubscribe/t"
    assert unsubscribe_links("") == ""


# --- messages from a database


@functools.cache
def sample_edition(base_url: str) -> Edition:
    """Returns the bundled sample edition as it would be sent."""
    papers = [one for path in sample() for one in formats.parse(path.read_bytes()).papers]
    once = {one.arxiv_id: one for one in papers}
    log = [
        Entry(position, EntryKind.NEW, one, "sample", "api-json")
        for position, one in enumerate(once.values(), 1)
    ]
    return edition_of(log, base_url)


@functools.cache
def long_edition(base_url: str) -> Edition:
    """Returns an edition that does not fit into one message."""
    return edition_of(entries([paper(number) for number in range(1, 601)]), base_url)


def read_by_another(data: bytes) -> PyMail:
    """Parses a message with a parser that shares no code with Python's."""
    check_raw(data)
    return parse_email(data, strict=True)


def lines(text: str) -> str:
    """Returns the text with LF line ends only."""
    return text.replace("\r\n", "\n")


all_active = pytest.mark.parametrize(
    ("base_url", "reply_to", "bounces"),
    list(itertools.product([WEB, ""], [False, True], [False, True])),
)


@all_active
def test_a_delivered_edition_has_exactly_the_intended_headers(
    base_url: str, reply_to: bool, bounces: bool, database: Database
) -> None:
    """Each once and no others, by two parsers and in the raw bytes."""
    post = MessageFactory(database, origin(base_url, reply_to=reply_to, bounces=bounces))
    part = sample_edition(base_url).parts[0]
    data = post.mail(delivery(post.edition(part)))
    expected = names(base_url, reply_to=reply_to)
    assert sorted(name for name, _ in fields(data)) == expected
    assert sorted(name.lower() for name in read(data)) == expected
    other = read_by_another(data)
    assert sorted(name.lower() for name in other.headers) == expected
    assert all(len(values) == 1 for values in other.headers.values())


@all_active
def test_a_delivered_edition_has_the_intended_content(
    base_url: str, reply_to: bool, bounces: bool, database: Database
) -> None:
    """Sender, recipient, date and the edition itself, by two parsers."""
    post = MessageFactory(database, origin(base_url, reply_to=reply_to, bounces=bounces))
    part = sample_edition(base_url).parts[0]
    data = post.mail(delivery(post.edition(part), 7, "Ana@Bücher.example"))
    one, other = read(data), read_by_another(data)
    assert str(one["Subject"]) == other.subject == part.subject
    assert [address.address for address in other.to] == ["Ana@xn--bcher-kva.example"]
    assert [address.addr_spec for address in one["To"].addresses] == ["Ana@xn--bcher-kva.example"]
    assert other.from_
    assert (other.from_.display_name, other.from_.address) == ("Daily Papers", "papers@example.org")
    answers = ["kuester@example.org"] if reply_to else []
    assert [address.address for address in other.reply_to] == answers
    assert one["Date"].datetime == other.date_parsed == AT
    assert not other.cc
    assert not other.bcc
    assert not other.attachments
    (text,), (html,) = other.text_plain, other.text_html
    assert body(one, "plain") == lines(text)
    assert body(one, "html") == lines(html)
    token = tokens.token(database.keys.links, tokens.UNSUBSCRIBE, 7)
    link = f"{base_url}/unsubscribe/{token}" if base_url else post.origin.sender.mailto
    assert lines(text) == mime.text_for(part, link)
    assert lines(html) == mime.html_for(part, link)
    for encoding in (found["Content-Transfer-Encoding"] for found in one.iter_parts()):
        assert encoding == "quoted-printable"


@pytest.mark.parametrize("base_url", [WEB, f"{WEB}/{'deep/' * 150}x", f"{WEB}/=?utf-8?q?x?=,b"])
def test_the_unsubscribe_headers_are_not_encoded(base_url: str, database: Database) -> None:
    """They have no encoded word and no line end in a URL, and offer one-click and mail."""
    post = MessageFactory(database, origin(base_url, own_key=True))
    data = post.mail(delivery(post.edition(rendered()), 7))
    token = tokens.token(LINK_KEY, tokens.UNSUBSCRIBE, 7)
    assert tokens.number_of([LINK_KEY], tokens.UNSUBSCRIBE, token) == 7
    head = data.split(b"\r\n\r\n")[0] + b"\r\n"
    mailto = "mailto:keeper@example.org?subject=unsubscribe"
    expected = f"List-Unsubscribe: <{base_url}/unsubscribe/{token}>,\r\n <{mailto}>\r\n"
    assert expected.encode() in head
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in head
    assert f"\r\nList-Archive: <{base_url}/archive>\r\n".encode() in head
    other = parse_email(data, strict=True)
    assert f"{base_url}/unsubscribe/{token}" in other.text_plain[0]


def test_without_web_pages_unsubscribing_is_by_mail(database: Database) -> None:
    """There is no token, no page and no one-click."""
    post = MessageFactory(database, origin(""))
    data = post.mail(delivery(post.edition(rendered())))
    assert raw(data, "list-unsubscribe") == b"<mailto:keeper@example.org?subject=unsubscribe>"
    assert b"https:" not in data
    assert b"/unsubscribe" not in data


PAGE = re.compile(r"https://huggingface\.co/papers/[0-9]{4}\.[0-9]{5}")


def check_both_have(titles: Sequence[str], data: bytes) -> None:
    """Checks that text and HTML have these papers, all of them and in this order."""
    other = read_by_another(data)
    soup = BeautifulSoup(other.text_html[0], "html.parser")
    for element in soup(["style", "title"]):
        element.extract()
    for said in (other.text_plain[0], soup.get_text()):
        text, at = " ".join(without_isolates(said).split()), 0
        for title in titles:
            at = text.find(title, at) + len(title)
            assert at >= len(title), title
    links = [str(link["href"]) for link in soup.select("a[href]")]
    pages = list(dict.fromkeys(filter(PAGE.fullmatch, links)))
    assert list(dict.fromkeys(PAGE.findall(other.text_plain[0]))) == pages
    assert len(pages) == len(titles)


@pytest.mark.parametrize("base_url", [WEB, ""])
def test_both_parts_have_the_same_papers(base_url: str, database: Database) -> None:
    """The message as it arrives has them in the same order."""
    post = MessageFactory(database, origin(base_url))
    edition = sample_edition(base_url)
    assert len(edition.titles) == 17
    check_both_have(edition.titles, post.mail(delivery(post.edition(*edition.parts))))


def test_all_parts_together_have_all_papers(database: Database) -> None:
    """Each once; an unknown part is not replaced by another one."""
    post = MessageFactory(database, origin(""))
    edition = long_edition("")
    number = post.edition(*edition.parts)
    assert len(edition.parts) > 1
    pages: list[str] = []
    for part in range(1, len(edition.parts) + 1):
        data = post.mail(delivery(number, part=part))
        mine = list(dict.fromkeys(PAGE.findall(lines(read_by_another(data).text_plain[0]))))
        check_both_have(edition.titles[len(pages) : len(pages) + len(mine)], data)
        assert str(read(data)["Subject"]).endswith(f"({part}/{len(edition.parts)})")
        pages += mine
    assert len(set(pages)) == len(pages) == len(edition.entries)


def test_a_message_is_what_the_preview_shows(database: Database, tmp_path: Path) -> None:
    """Except for the recipient's address, Message-ID, date and link."""
    edition = sample_edition(WEB)
    post = MessageFactory(database, origin(own_key=True))
    data = post.mail(delivery(post.edition(*edition.parts, key=edition.key), 7))
    later = AT + timedelta(hours=1)
    preview.PreviewWriter(post.origin.sender, WEB, lambda: later).write(edition, tmp_path)
    shown = (tmp_path / "edition.eml").read_bytes().replace(b"=\r\n", b"")
    own = {
        "To: reader@newsletter.invalid": "To: ana@example.net",
        "Date: Fri, 20 Nov 2026 08:30:00 +0000": "Date: Fri, 20 Nov 2026 07:30:00 +0000",
        f"<{edition.key[:16]}.1.preview@": f"<{post.message(delivery(1, 7)).name}@",
        preview.TOKEN: tokens.token(LINK_KEY, tokens.UNSUBSCRIBE, 7),
    }
    for theirs, mine in own.items():
        assert theirs.encode() in shown
        shown = shown.replace(theirs.encode(), mine.encode())
    assert data.replace(b"=\r\n", b"") == shown


# --- values of one recipient


def test_a_message_id_belongs_to_one_message(database: Database) -> None:
    """It is always the same for one message, and differs by edition, part and subscriber."""
    post = MessageFactory(database, origin())
    numbers = [
        post.edition(rendered(), rendered("2"), key=key * 8) for key in ("0123", "0124", "a123")
    ]
    waiting = [
        delivery(edition, subscriber, part=part)
        for edition in numbers
        for subscriber in (1, 2, 256)
        for part in (1, 2)
    ]
    ids = [raw(post.mail(one), "message-id") for one in waiting]
    assert len(set(ids)) == len(ids)
    assert all(
        re.fullmatch(rb"<[0-9a-f]{16}\.[12]\.[a-z2-7]{16}@example\.org>", one) for one in ids
    )
    again = MessageFactory(database, origin(""), "smtp")
    for one, known in zip(waiting, ids, strict=True):
        later = replace(one, id=one.id + 1_000, attempts=5, first_at=AT, address="new@example.net")
        assert raw(again.mail(later, AT + timedelta(days=2)), "message-id") == known


def test_a_message_id_reveals_nothing(database: Database, tmp_path: Path) -> None:
    """Another database has another one for the same subscriber; file names contain it."""
    waiting = delivery(1)
    post = MessageFactory(database, origin())
    post.edition(rendered())
    with Database(f"sqlite:///{tmp_path}/other.db") as second:
        other = MessageFactory(second, origin())
        other.edition(rendered())
        assert raw(other.mail(waiting), "message-id") != raw(post.mail(waiting), "message-id")
    message = post.message(waiting)
    assert raw(post.mail(waiting), "message-id") == f"<{message.name}@example.org>".encode()
    assert re.fullmatch(r"[A-Za-z0-9_=.-]+", message.name)


ADDRESSES = {
    number: f"{name}@{domain}"
    for number, (name, domain) in enumerate(
        itertools.product(["ana", "bruno.x", "o'hara", "zoë"], ["a.example", "bücher.example"]), 1
    )
}


@pytest.mark.parametrize("base_url", [WEB, ""])
def test_no_message_reveals_another_subscriber(base_url: str, database: Database) -> None:
    """Neither the address nor the link of one is in another's message, in any encoding."""
    post = MessageFactory(database, origin(base_url, bounces=True, own_key=True))
    number = post.edition(rendered(), rendered("2"))
    made = {}
    for part, (subscriber, address) in itertools.product((1, 2), ADDRESSES.items()):
        message = post.message(delivery(number, subscriber, address, part))
        made[part, subscriber] = message.sender.encode() + b" " + b"".join(message.pieces)
    for (_, subscriber), data in made.items():
        for other, address in ADDRESSES.items():
            if other == subscriber:
                continue
            local = address.partition("@")[0]
            token = tokens.token(LINK_KEY, tokens.UNSUBSCRIBE, other)
            signs = [f"{local}@", address, token, b64encode(address.encode()).decode()]
            same = ADDRESSES[subscriber].startswith(f"{local}@")
            assert not [sign for sign in signs[same:] if sign.encode() in data]


def test_an_address_is_in_one_place_only(database: Database) -> None:
    """It is in `To`, and not in the link, the Message-ID or the envelope sender."""
    post = MessageFactory(database, origin(bounces=True))
    message = post.message(delivery(post.edition(sample_edition(WEB).parts[0])))
    data = b"".join(message.pieces)
    assert message.recipient == "ana@example.net"
    elsewhere = post.message(delivery(1, address="Ana@Bücher.example"))
    assert elsewhere.recipient == "Ana@xn--bcher-kva.example"
    assert data.count(b"ana@example.net") == 1
    assert raw(data, "to") == b"ana@example.net"
    assert b"ana" not in message.sender.encode() + message.name.encode()


def test_each_delivery_has_its_own_bounce_address(database: Database) -> None:
    """Only we can create it, and it is the same for the same delivery."""
    post = MessageFactory(database, origin(bounces=True))
    number = post.edition(rendered())
    senders = [post.message(delivery(number, id=one)).sender for one in (1, 2, 10**9)]
    assert senders == [post.message(delivery(number, id=one)).sender for one in (1, 2, 10**9)]
    assert len({one.partition(".")[2] for one in senders}) == 3
    for one, sender in zip((1, 2, 10**9), senders, strict=True):
        assert re.fullmatch(rf"bounce\+{one}\.[a-z2-7]{{8}}@bounces\.example\.org", sender)


def test_without_a_bounce_domain_bounces_go_to_the_sender(database: Database) -> None:
    """The envelope sender has its domain in ASCII."""
    by = replace(SENDER, address=Address("Küster", "papers", "bücher.example"))
    post = MessageFactory(database, Origin(by))
    assert post.message(delivery(post.edition(rendered()))).sender == "papers@xn--bcher-kva.example"


@pytest.mark.parametrize(
    "address", ["", "ana", "ana@b.example\r\nBcc: x@y.example", "a b@c.example"]
)
def test_no_message_is_built_for_an_invalid_address(address: str, database: Database) -> None:
    """The address may have got into the database in any way."""
    post = MessageFactory(database, origin())
    number = post.edition(rendered())
    with pytest.raises(ValueError, match=r"address|@"):
        post.message(delivery(number, address=address))


def test_messages_of_many_editions_are_not_mixed_up(database: Database) -> None:
    """Parts are not mixed up either, even if there are more than are kept in memory."""
    post = MessageFactory(database, origin())
    numbers = [
        post.edition(rendered(f"E{n} one"), rendered(f"E{n} two"), key=f"{n:032x}")
        for n in range(40)
    ]
    for _ in range(2):
        for n, number in enumerate(numbers):
            for part, name in ((1, "one"), (2, "two")):
                assert (
                    str(read(post.mail(delivery(number, part=part)))["Subject"]) == f"E{n} {name}"
                )


# --- notices

WORDS_OF = {
    "test": Notices().words(
        TEST, name="Daily Papers", at="2026-11-20 07:30 UTC", through="mail.example.org:465"
    ),
    "report": Notices().words(
        REPORT,
        name="Daily Papers",
        troubles=[
            "Snapshot 3 of harbour is held: an error page saved as data. "
            "`newsletter snapshots release 3` or `reject` it.",
            "The source gazette fails: https://example.org/daily says 404.",
        ],
    ),
    "well": Notices().words(REPORT, name="Daily Papers", troubles=[]),
}


@pytest.mark.parametrize("bounces", [False, True])
@pytest.mark.parametrize("reply_to", [False, True])
@pytest.mark.parametrize("kind", WORDS_OF)
def test_a_delivered_notice(kind: str, reply_to: bool, bounces: bool, database: Database) -> None:
    """It has its own headers and words, by two parsers, and no unsubscribe header."""
    subject, text = WORDS_OF[kind]
    post = MessageFactory(database, origin(reply_to=reply_to, bounces=bounces))
    data = post.mail(post.notice(kind, "keeper@example.org", subject, text))
    expected = sorted([*NOTICE, *["reply-to"] * reply_to])
    assert sorted(name for name, _ in fields(data)) == expected
    one, other = read(data), read_by_another(data)
    assert sorted(name.lower() for name in other.headers) == expected
    assert one.get_content_type() == "text/plain"
    assert str(one["Subject"]) == other.subject == subject
    assert body(one, "plain") == lines(other.text_plain[0]) == text
    assert not other.text_html
    assert [address.address for address in other.to] == ["keeper@example.org"]
    assert other.date_parsed == AT
    assert other.headers["Content-Transfer-Encoding"] == ["quoted-printable"]


def test_every_notice_has_its_own_message_id(database: Database) -> None:
    """It is never that of an edition."""
    post = MessageFactory(database, origin())
    waiting = [post.notice(kind, "k@example.org", "S", "T") for kind in (TEST, TEST, REPORT)]
    editions_of = [delivery(post.edition(rendered()), subscriber) for subscriber in (1, 2, 3)]
    ids = [raw(post.mail(one), "message-id") for one in (*waiting, *editions_of)]
    assert len(set(ids)) == len(ids)
    assert ids[:3] == [raw(post.mail(one), "message-id") for one in waiting]


# --- the spam filter

SCORE = re.compile(
    r"^X-Spam-Status: .*? score=(-?[0-9.]+) .*?tests=(.*?)\s*autolearn", re.MULTILINE | re.DOTALL
)
MOST = 1.0
"""Points that our mail may have; mail with 5 or more counts as spam."""
SPAM = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


def points(data: bytes, home: Path) -> tuple[float, str]:
    """Returns the points that SpamAssassin gives a mail, and its report."""
    program = shutil.which("spamassassin")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("no SpamAssassin here: install the package spamassassin")
        pytest.skip("no SpamAssassin here: install it to see what it says")
    done = subprocess.run(
        [program, "--local", "--test-mode"],
        input=data,
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        check=True,
        timeout=120,
    )
    match = SCORE.search(done.stdout.decode("utf-8", "replace"))
    assert match, done.stderr
    return float(match[1]), "".join(match[2].split())


@pytest.mark.parametrize("base_url", [WEB, ""])
def test_an_edition_is_not_spam(base_url: str, database: Database, tmp_path: Path) -> None:
    """The bundled sample, as delivered."""
    post = MessageFactory(database, origin(base_url, bounces=True))
    waiting = delivery(post.edition(*sample_edition(base_url).parts), 7)
    score, rules = points(post.mail(waiting), tmp_path)
    assert score < MOST, rules


@pytest.mark.parametrize("kind", WORDS_OF)
def test_a_notice_is_not_spam(kind: str, database: Database, tmp_path: Path) -> None:
    """It consists of our own words only."""
    post = MessageFactory(database, origin())
    waiting = post.notice(kind, "keeper@example.org", *WORDS_OF[kind])
    score, rules = points(post.mail(waiting), tmp_path)
    assert score < MOST, rules


def test_the_spam_filter_recognises_spam(database: Database, tmp_path: Path) -> None:
    """A message that is spam by definition is recognised."""
    post = MessageFactory(database, origin())
    score, rules = points(post.mail(delivery(post.edition(rendered(text=SPAM)))), tmp_path)
    assert score > 100, rules
    assert "GTUBE" in rules
