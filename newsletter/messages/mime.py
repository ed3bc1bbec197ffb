"""An edition as the bytes of one mail. Sends nothing.

The stock email policy cannot be used as it is: it encodes long `List-Unsubscribe`
URLs into something no mailbox reads, and on some Python versions decodes an encoded
word in a title into a new header. `Headers` below writes what it is given, sanitised,
and `build` looks at the header names of the finished bytes.
"""

from __future__ import annotations

import hashlib
import re
from binascii import b2a_qp
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from functools import lru_cache
from html import escape
from urllib.parse import quote

import idna

from newsletter.errors import EditionFaulty
from newsletter.models import UNSUBSCRIBE, Rendered
from newsletter.text.clean import clean

NOWHERE = "newsletter.invalid"
"""Stands where no address of ours is configured."""
NO_OWNER = f"owner@{NOWHERE}"

_LINE = 76
_NAME = 60  # leaves room for the header's own name beside it
_LONGEST_LINE = 998
_ASCII_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_TOO_LONG = re.compile(r"^(.{74,75})(=[0-9A-F]{2})$", re.MULTILINE)
_VERBATIM = {
    "list-unsubscribe",
    "list-unsubscribe-post",
    "list-archive",
    "message-id",
    "date",
    "feedback-id",
}


class Headers(EmailPolicy):
    """Header values are stored and written as given; only `Subject` is encoded, by us."""

    def header_store_parse(self, name: str, value: str) -> tuple[str, str]:
        """Refuses line ends instead of parsing: a parser could find a header in a title."""
        if re.search(r"[\r\n\x00]", value):
            raise EditionFaulty("a header with a line end in it", where=name)
        return name, value

    def fold(self, name: str, value: str) -> str:
        """The header in lines, each below the limit that mail has."""
        if name.lower() == "subject":
            return f"{name}: {encoded(value, len(name) + 2)}\r\n"
        if name.lower() in _VERBATIM:
            return f"{name}: {value}\r\n".replace(">, <", ">,\r\n <")
        return f"{name}: {_folded(value, len(name) + 2)}\r\n"

    def fold_binary(self, name: str, value: str) -> bytes:
        """The same as bytes; whatever is left of other scripts by now is a fault of ours."""
        return self.fold(name, value).encode("ascii")


POLICY = Headers(linesep="\r\n", cte_type="7bit", max_line_length=None)


@dataclass(frozen=True, slots=True)
class Sender:
    """Whose newsletter it is.

    Attributes:
        name: the newsletter's name.
        address: the From address, as name and address.
        reply_to: where answers go, if elsewhere.
        owner: who takes unsubscriptions by mail.
        archive: the web page of all editions; empty where there is none.
    """

    name: str
    address: Address
    reply_to: Address | None = None
    owner: str = NO_OWNER
    archive: str = ""

    @property
    def domain(self) -> str:
        """Ours, in ASCII."""
        return ascii_domain(self.address.domain)

    @property
    def slug(self) -> str:
        """The newsletter's name as a label of a domain."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")[:40] or "papers"

    @property
    def mailto(self) -> str:
        """The link that asks the owner to be taken off."""
        return f"mailto:{quote(self.owner, safe='@')}?subject=unsubscribe"


@dataclass(frozen=True, slots=True)
class Recipient:
    """One person's copy.

    Attributes:
        address: to whom.
        message_id: without angle brackets; the same whenever this copy is made again.
        unsubscribe_url: the person's own link; without one, mail to the owner.
    """

    address: Address
    message_id: str
    unsubscribe_url: str = ""


def build(
    rendered: Rendered, sender: Sender, recipient: Recipient, now: datetime, edition: str
) -> bytes:
    """An edition's part as a mail: CRLF line ends, at most 76 columns in its bodies.

    Everybody's copy is the same but for what `recipient` and `now` say.

    Args:
        edition: its key.

    Raises:
        EditionFaulty: the finished bytes are not the headers we meant.
    """
    link = recipient.unsubscribe_url or sender.mailto
    message = EmailMessage(policy=POLICY)
    for name, value in _headers(rendered.subject, sender, recipient, now).items():
        message[name] = value
    for name, value in _list_headers(sender, recipient, edition).items():
        message[name] = value
    message["MIME-Version"] = "1.0"
    boundary = hashlib.blake2b(f"{edition} {rendered.subject}".encode(), digest_size=16).hexdigest()
    message["Content-Type"] = f'multipart/alternative; boundary="={boundary}="'
    message.set_payload(
        [
            _body("plain", text_for(rendered, link)),
            _body("html", html_for(rendered, link)),
        ]
    )
    return _checked(message)


def notice(subject: str, text: str, sender: Sender, recipient: Recipient, now: datetime) -> bytes:
    """A mail that is no edition: text alone, CRLF line ends, at most 76 columns.

    Raises:
        EditionFaulty: the finished bytes are not the headers we meant.
    """
    message = _body("plain", text)
    for name, value in _headers(subject, sender, recipient, now).items():
        message[name] = value
    message["MIME-Version"] = "1.0"
    return _checked(message)


def html_for(rendered: Rendered, unsubscribe_url: str) -> str:
    """The HTML with the person's own link in it."""
    return rendered.html.replace(UNSUBSCRIBE, escape(unsubscribe_url))


def text_for(rendered: Rendered, unsubscribe_url: str) -> str:
    """The text with the person's own link in it."""
    return rendered.text.replace(UNSUBSCRIBE, unsubscribe_url)


def encoded_size(html: str) -> int:
    """Bytes the HTML takes in the mail."""
    packed = quoted_printable(html)
    return len(packed) + packed.count("\n")


def quoted_printable(text: str) -> str:
    """The text in quoted-printable, `\\n` line ends whatever it has."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    packed = b2a_qp(text.encode(), istext=True).decode("ascii")
    # White space at the end of a full line is encoded past the limit: broken before it.
    return _TOO_LONG.sub(r"\1=\n\2", packed)


def mailbox(address: Address) -> str:
    """`Name <address>` for a header: the name encoded where needed, the domain in ASCII."""
    spec = f"{address.username}@{ascii_domain(address.domain)}"
    if not address.username or not spec.isascii() or re.search(r"[\s<>,;:\"()]", spec):
        raise EditionFaulty("an address that no header can hold", where=spec)
    name = clean(address.display_name)
    return f"{phrase(name)} <{spec}>" if name else spec


@lru_cache(maxsize=1_000)
def ascii_domain(domain: str) -> str:
    """The domain in ASCII letters, as mail needs it.

    Raises:
        EditionFaulty: it is none.
    """
    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError as exc:
        raise EditionFaulty(f"no domain ({exc})", where=domain) from exc


def phrase(name: str) -> str:
    """A name in a header: plain, quoted or encoded, whichever it needs."""
    if _ASCII_PHRASE.fullmatch(name) and "=?" not in name:
        return name
    if name.isascii() and "=?" not in name:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    words = Header(name, "utf-8", maxlinelen=_NAME).encode(linesep="\r\n")
    return words.replace("\r\n", "")  # folded where it stands


def encoded(value: str, indent: int) -> str:
    """Free text in a header: ASCII folded at spaces, anything else as encoded words.

    What looks like an encoded word is encoded itself, so that it is read back as text.
    """
    value = clean(value)
    if value.isascii() and "=?" not in value:
        return _folded(value, indent)
    header = Header(value, "utf-8", maxlinelen=_LINE, header_name="x" * (indent - 2))
    return header.encode(linesep="\r\n")


def _headers(subject: str, sender: Sender, recipient: Recipient, now: datetime) -> dict[str, str]:
    headers = {
        "From": mailbox(sender.address),
        "To": mailbox(recipient.address),
        "Subject": clean(subject),
        "Date": format_datetime(now),
        "Message-ID": f"<{recipient.message_id}>",
        "Auto-Submitted": "auto-generated",
    }
    if sender.reply_to:
        headers["Reply-To"] = mailbox(sender.reply_to)
    return headers


def _list_headers(sender: Sender, recipient: Recipient, edition: str) -> dict[str, str]:
    headers = {
        "List-Id": f"{phrase(clean(sender.name))} <{sender.slug}.{sender.domain}>",
        "List-Unsubscribe": f"<{sender.mailto}>",
        # Which edition, whose newsletter, what kind of mail, who sends; nothing of the reader.
        "Feedback-ID": f"{edition[:16]}:{sender.slug}:edition:{sender.domain}",
    }
    if recipient.unsubscribe_url:
        headers["List-Unsubscribe"] = f"<{recipient.unsubscribe_url}>, <{sender.mailto}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    if sender.archive:
        headers["List-Archive"] = f"<{sender.archive}>"
    return headers


def _body(subtype: str, text: str) -> EmailMessage:
    part = EmailMessage(policy=POLICY)
    part["Content-Type"] = f'text/{subtype}; charset="utf-8"'
    part["Content-Transfer-Encoding"] = "quoted-printable"
    part.set_payload(quoted_printable(text))
    return part


def _folded(value: str, indent: int) -> str:
    """ASCII text broken at spaces where a line would pass 76 columns."""
    lines: list[str] = []
    line = ""
    for word in value.split(" "):
        room = _LINE - (indent if not lines else 1)
        if line and len(line) + 1 + len(word) > room:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return "\r\n ".join([*lines, line])


def _checked(message: EmailMessage) -> bytes:
    data = message.as_bytes()
    names = sorted(name.lower().encode() for name, _ in message.items())
    lines = data.split(b"\r\n\r\n", 1)[0].split(b"\r\n")
    found = [line.split(b":", 1)[0].lower() for line in lines if line[:1] not in b" \t"]
    if sorted(found) != names:
        raise EditionFaulty("its headers are not the ones we meant", where="message")
    if max(map(len, data.split(b"\r\n"))) > _LONGEST_LINE:
        raise EditionFaulty("a line too long for mail", where="message")
    return data
