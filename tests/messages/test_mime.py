"""An edition as the bytes of one message: parsed strictly, and checked raw."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.headerregistry import Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.errors import EditionFaulty
from newsletter.messages.mime import (
    NO_OWNER,
    Recipient,
    Sender,
    build,
    encoded_size,
    html_for,
    mailbox,
    quoted_printable,
    text_for,
)
from newsletter.models import UNSUBSCRIBE, Rendered
from newsletter.text.clean import clean
from tests.support.builders import HOSTILE
from tests.support.messages import TO_ONE, body, fields, raw, read

NOW = datetime(2026, 11, 20, 7, 30, tzinfo=UTC)
LINK = "https://papers.example.org/unsubscribe/" + "aZ09-_" * 40
HTML = f'<html lang="en"><body><p>Lämps & 灯台</p><a href="{UNSUBSCRIBE}">Leave</a></body></html>\n'
TEXT = f"Lämps & 灯台\n\n-- \nLeave:\n{UNSUBSCRIBE}\n"


KEY = "0123456789abcdef" * 2

ANY_TEXT = st.text(st.characters())
VISIBLE = ANY_TEXT.filter(lambda text: bool(clean(text)))


def rendered(subject: str = "Lamps + 3 more", html: str = HTML, text: str = TEXT) -> Rendered:
    """Returns an edition's part as a theme renders it."""
    return Rendered(subject, html, text)


def sender(name: str = "Daily Papers", domain: str = "example.org", display: str = "") -> Sender:
    """Returns a sender with these names."""
    return Sender(
        name, Address(display or clean(name), "papers", domain), owner="keeper@example.org"
    )


def mail(
    edition: Rendered | None = None,
    by: Sender | None = None,
    to: Address | None = None,
    link: str = LINK,
) -> bytes:
    """Builds the whole message."""
    recipient = Recipient(
        to or Address("Ana Reader", "ana", "example.net"), "key.1.token@example.org", link
    )
    return build(edition or rendered(), by or sender(), recipient, NOW, KEY)


def name_in(value: bytes) -> str:
    """Returns the name before an address by RFC 2047. Python's own address parser puts
    spaces between encoded words."""
    phrase = value.decode().rpartition("<")[0].strip()
    if phrase.startswith('"'):
        return re.sub(r"\\(.)", r"\1", phrase[1:-1])
    return str(make_header(decode_header(phrase)))


# --- the whole message


def test_the_headers_are_exactly_the_intended_ones() -> None:
    """Each once, and no others."""
    assert sorted(name for name, _ in fields(mail())) == sorted(TO_ONE)


def test_a_mail_is_text_and_html() -> None:
    """HTML, the preferred part, comes last; both are UTF-8 and quoted-printable."""
    message = read(mail())
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    for part in message.iter_parts():
        assert part.get_content_charset() == "utf-8"
        assert part["Content-Transfer-Encoding"] == "quoted-printable"


def test_both_parts_are_read_back_exactly() -> None:
    """The recipient's link takes the marker's place."""
    message = read(mail())
    assert body(message, "plain") == TEXT.replace(UNSUBSCRIBE, LINK)
    assert body(message, "html") == HTML.replace(UNSUBSCRIBE, LINK)


LINES = st.text(st.characters(codec="utf-8", exclude_characters="\r\x1a"))
TRAPS = st.sampled_from(
    [
        "",
        ".\n",
        "..\n",
        "From me\n",
        "-- \n",
        "--=\n",
        "x \n",
        "x\t\n",
        "=\n",
        "=3D",
        "=?x?=",
        "ä" * 90,
    ]
)


@given(st.lists(LINES | TRAPS).map("".join), st.lists(LINES | TRAPS).map("".join))
def test_any_text_is_read_back_exactly(text: str, html: str) -> None:
    """Dots, signature separators, trailing spaces, boundaries and every script."""
    message = read(mail(rendered(text=text, html=html)))
    assert body(message, "plain") == text
    assert body(message, "html") == html


@pytest.mark.parametrize("end", [" ", "\t", "  ", " \t "])
@pytest.mark.parametrize("filling", ["x", "ä", "灯", "=", "x "])
def test_trailing_white_space_is_read_back(filling: str, end: str) -> None:
    """Encoded lines have at most 76 columns, however long the line was."""
    text = "".join(f"{filling * length}{end}\n" for length in range(160))
    assert body(read(mail(rendered(text=text))), "plain") == text


def test_the_same_message_has_the_same_bytes() -> None:
    """Nothing in it is random."""
    assert mail() == mail()


@given(LINES)
def test_the_encoded_size_is_the_size_in_the_mail(html: str) -> None:
    """Line ends count as two bytes."""
    packed = quoted_printable(html).replace("\n", "\r\n").encode()
    assert encoded_size(html) == len(packed)
    assert packed in mail(rendered(html=html))


# --- the subject


def subject_of(data: bytes) -> str:
    """Returns the subject as it is read back."""
    return str(read(data)["Subject"])


@given(VISIBLE)
def test_any_subject_is_read_back(subject: str) -> None:
    """Cleaned to one line, and otherwise unchanged."""
    data = mail(rendered(subject=subject))
    assert sorted(name for name, _ in fields(data)) == sorted(TO_ONE)
    assert subject_of(data) == clean(subject)


@pytest.mark.parametrize("subject", [title for title in HOSTILE if clean(title)])
def test_hostile_subjects_are_read_back(subject: str) -> None:
    """They have markup, templates, encoded words, control characters and bidi marks."""
    assert subject_of(mail(rendered(subject=subject))) == clean(subject)


@pytest.mark.parametrize(
    "subject",
    [
        "x" * 500,
        "lamp " * 100,
        "ä" * 500,
        "灯" * 500,
        "🏮" * 250,
        "a ä " * 125,
        "ä " + "a" * 498,
        "a" * 498 + " ä",
        "=?" * 250,
        " =?utf-8?q?hi?= there",
        "=?utf-8?q?hi?= =?utf-8?q?there?=",
        "e\u0301" * 250,
        "שלום עולם " * 50,
        "👩‍👩‍👧 " * 60,
        "-" * 76,
        "_ _=_?_ä",
    ],
)
def test_long_and_unusual_subjects_are_read_back(subject: str) -> None:
    """500 characters of any script, in encoded words of at most 75."""
    assert subject_of(mail(rendered(subject=subject))) == clean(subject)


@pytest.mark.parametrize(
    "subject",
    [
        "Report =?UTF-8?Q?=0ABcc:_x@y?= to no one",
        "Lamps\r\nBcc: x@example.org",
        "Lamps\nBcc: x@example.org",
        "Lamps\rBcc: x@example.org",
        "Lamps\u2028Bcc: x@example.org",
        "Lamps\x0bBcc: x@example.org",
        "Lamps\r\n\r\n<script>",
        "Lamps\n",
    ],
)
def test_no_subject_creates_a_header(subject: str) -> None:
    """A line end in it becomes a space, and an encoded word in it stays text."""
    data = mail(rendered(subject=subject))
    assert sorted(name for name, _ in fields(data)) == sorted(TO_ONE)
    message = read(data)
    assert message["Bcc"] is None
    assert str(message["Subject"]) == clean(subject)


# --- names and addresses


@settings(report_multiple_bugs=False)
@given(st.text(st.characters(), max_size=60).filter(lambda text: bool(clean(text))))
def test_any_display_name_is_read_back(name: str) -> None:
    """Commas, quotes, umlauts, brackets, encoded words: always one mailbox with one name."""
    data = mail(by=sender(display=clean(name)))
    (address,) = read(data)["From"].addresses
    assert address.addr_spec == "papers@example.org"
    assert name_in(raw(data, "from")) == clean(name)


@pytest.mark.parametrize(
    "name",
    [
        "Papers, Daily",
        'The "Lamp" Letter',
        "Back\\slash",
        "Müller (Harbour)",
        "Dr. Who <x@example.org>",
        "a@b",
        "Tägliche Arbeiten aus dem Hafen für Leuchtturmwärter",
        "Ежедневная рассылка научных статей о маяках",
        "灯台守のための小さなランプとその問いに答える方法",
        "שלום עולם",
        "🏮 Lamps",
        "x" * 78,
        "lamp " * 30,
        "Ж" * 23,
        "Ж" * 24,
        "=?UTF-8?Q?=0ABcc:_x@y?=",
        "me@example.org,",
    ],
)
def test_names_of_newsletter_sender_and_subscriber_are_read_back(name: str) -> None:
    """They are in From, To and List-Id, with any length and script."""
    name = clean(name)
    data = mail(by=sender(name), to=Address(name, "ana", "example.net"))
    message = read(data)
    for field, spec in (("From", "papers@example.org"), ("To", "ana@example.net")):
        (address,) = message[field].addresses
        assert address.addr_spec == spec
        assert name_in(raw(data, field.lower())) == name
    assert name_in(raw(data, "list-id")) == name
    assert sorted(found for found, _ in fields(data)) == sorted(TO_ONE)
    assert re.search(rb" ?<[a-z0-9.-]+\.example\.org>$", raw(data, "list-id"))


@pytest.mark.parametrize(
    ("domain", "ascii_form"),
    [
        ("bücher.example", "xn--bcher-kva.example"),
        ("Example.ORG", "example.org"),
        ("例え.example", "xn--r8jz45g.example"),
    ],
)
def test_domains_are_written_in_ascii(domain: str, ascii_form: str) -> None:
    """IDNA is used in From, To and List-Id."""
    data = mail(by=sender(domain=domain), to=Address("", "ana", domain))
    message = read(data)
    assert message["From"].addresses[0].addr_spec == f"papers@{ascii_form}"
    assert message["To"].addresses[0].addr_spec == f"ana@{ascii_form}"
    assert raw(data, "list-id") == f"Daily Papers <daily-papers.{ascii_form}>".encode()


def test_an_address_without_a_name_has_no_quotes() -> None:
    """It has no angle brackets either."""
    assert mailbox(Address("", "ana", "example.net")) == "ana@example.net"


@pytest.mark.parametrize(
    "address",
    [
        Address("Ana", "jürgen", "example.org"),
        Address("Ana", "a b", "example.org"),
        Address("Ana", "a", "my_host.example"),
        Address("Ana", "a", "x" * 64 + ".example"),
        Address("Ana", "a", "a..example"),
        Address("Ana", "a", "-a.example"),
    ],
)
def test_an_address_that_cannot_be_written_in_a_header_is_refused(address: Address) -> None:
    """The error is always one of ours."""
    with pytest.raises(EditionFaulty):
        mailbox(address)


def test_reply_to_is_the_configured_address() -> None:
    """There is no `Reply-To` unless it is configured."""
    by = Sender(
        "Lamps", Address("Lamps", "p", "example.org"), Address("Küster", "k", "example.org")
    )
    message = read(mail(by=by))
    assert message["Reply-To"].addresses[0].display_name == "Küster"
    assert read(mail())["Reply-To"] is None


def test_date_and_message_id_are_written_as_given() -> None:
    """The Message-ID is the same whenever the message is built again."""
    data = mail()
    assert raw(data, "date") == b"Fri, 20 Nov 2026 07:30:00 +0000"
    assert raw(data, "message-id") == b"<key.1.token@example.org>"
    assert raw(data, "auto-submitted") == b"auto-generated"


@pytest.mark.parametrize("message_id", ["a@b.example\r\nBcc: x@y", "a@b.example\n", "a\x00@b"])
def test_a_line_end_in_a_message_id_is_refused(message_id: str) -> None:
    """We create it, so a line end is a bug and is not cleaned."""
    with pytest.raises(EditionFaulty):
        build(rendered(), sender(), Recipient(Address("", "a", "b.example"), message_id), NOW, KEY)


# --- unsubscribing


def test_a_long_unsubscribe_link_stays_verbatim() -> None:
    """It is neither encoded nor folded, so that one-click works."""
    data = mail()
    value = raw(data, "list-unsubscribe").decode()
    assert value.startswith(f"<{LINK}>, <mailto:keeper@example.org?subject=")
    assert LINK.encode() in data.split(b"\r\n\r\n")[0]
    assert raw(data, "list-unsubscribe-post") == b"List-Unsubscribe=One-Click"


def test_without_web_pages_unsubscribing_is_a_mail_to_the_owner() -> None:
    """Header and body have the mail address, and there is no one-click."""
    data = mail(link="")
    mailto = sender().mailto
    assert mailto.startswith("mailto:keeper@example.org?subject=unsubscribe")
    assert raw(data, "list-unsubscribe").decode() == f"<{mailto}>"
    assert "list-unsubscribe-post" not in [name for name, _ in fields(data)]
    message = read(data)
    assert mailto in body(message, "plain")
    assert mailto in body(message, "html")


def test_without_an_owner_a_domain_that_cannot_exist_is_used() -> None:
    """No real address is invented."""
    by = Sender("Lamps", Address("Lamps", "p", "example.org"))
    assert NO_OWNER.endswith("@newsletter.invalid")
    assert f"<mailto:{NO_OWNER}?".encode() in mail(by=by, link="")


@given(VISIBLE)
def test_any_name_makes_a_mailto_in_ascii(name: str) -> None:
    """The newsletter's name may be any text."""
    by = Sender(clean(name)[:78], Address("", "p", "example.org"), owner="keeper@example.org")
    assert re.fullmatch(r"mailto:[A-Za-z0-9@.%?=_~-]+", by.mailto)


def test_a_link_with_an_ampersand_is_escaped_in_html_only() -> None:
    """The text part has it unescaped."""
    link = "https://papers.example.org/u?a=1&b=2"
    assert 'href="https://papers.example.org/u?a=1&amp;b=2"' in html_for(rendered(), link)
    assert link in text_for(rendered(), link)
