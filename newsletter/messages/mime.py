"""Builds an edition or a notice as the bytes of one message. Sends nothing.

Python's own email policies cannot be used as they are: they encode long `List-Unsubscribe`
URLs into something that no mail provider reads, and on some Python versions decode an encoded
word in a title into a new header. `Headers` below writes the values it is given, sanitised,
and `build` checks the header names of the finished bytes.
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
from newsletter.messages.feedback_id import sender_id
from newsletter.models import UNSUBSCRIBE, Rendered
from newsletter.text.clean import clean

NOWHERE = "newsletter.invalid"
"""The domain used where no address is configured."""
NO_OWNER = f"owner@{NOWHERE}"

_LINE = 76
_NAME = 60  # leaves room for the header's own name on the line
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
    """Stores and writes header values as given; only `Subject` is encoded, by `fold`."""

    def header_store_parse(self, name: str, value: str) -> tuple[str, str]:
        """Rejects line ends instead of parsing: a parser could find a header in a title."""
        if re.search(r"[\r\n\x00]", value):
            raise EditionFaulty("a header contains a line end", where=name)
        return name, value

    def fold(self, name: str, value: str) -> str:
        """Returns the header folded into lines within the length limit of mail."""
        if name.lower() == "subject":
            return f"{name}: {encoded(value, len(name) + 2)}\r\n"
        if name.lower() in _VERBATIM:
            return f"{name}: {value}\r\n".replace(">, <", ">,\r\n <")
        return f"{name}: {_folded(value, len(name) + 2)}\r\n"

    def fold_binary(self, name: str, value: str) -> bytes:
        """Returns the same as bytes. Non-ASCII text that is left at this point is a bug."""
        return self.fold(name, value).encode("ascii")


POLICY = Headers(linesep="\r\n", cte_type="7bit", max_line_length=None)


@dataclass(frozen=True, slots=True)
class Sender:
    """The newsletter that a message comes from.

    Attributes:
        name: the newsletter's name.
        address: the From address, with a display name.
        reply_to: the Reply-To address; `None` if replies go to `address`.
        owner: the address that takes unsubscribe requests by mail.
        archive: URL of the web archive of editions; empty if there is none.
    """

    name: str
    address: Address
    reply_to: Address | None = None
    owner: str = NO_OWNER
    archive: str = ""

    @property
    def domain(self) -> str:
        """The domain of the From address, in ASCII."""
        return ascii_domain(self.address.domain)

    @property
    def slug(self) -> str:
        """The newsletter's name as a domain label."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")[:40] or "papers"

    @property
    def mailto(self) -> str:
        """The link to unsubscribe by mail to the owner."""
        return f"mailto:{quote(self.owner, safe='@')}?subject=unsubscribe"


@dataclass(frozen=True, slots=True)
class Recipient:
    """The recipient's values in a message.

    Attributes:
        address: the recipient's address.
        message_id: without angle brackets; the same whenever this message is built again.
        unsubscribe_url: the subscriber's unsubscribe link; if empty, mail to the owner is used.
    """

    address: Address
    message_id: str
    unsubscribe_url: str = ""


def build(
    rendered: Rendered, sender: Sender, recipient: Recipient, now: datetime, edition: str
) -> bytes:
    """Builds the message of an edition's part, with CRLF line ends and bodies 76 columns wide.

    The messages of all subscribers differ only in the values of `recipient` and `now`.

    Args:
        edition: the edition's key.

    Raises:
        EditionFaulty: the finished bytes do not have exactly the intended headers.
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
    """Builds a notice: plain text only, CRLF line ends, at most 76 columns.

    Raises:
        EditionFaulty: the finished bytes do not have exactly the intended headers.
    """
    message = _body("plain", text)
    for name, value in _headers(subject, sender, recipient, now).items():
        message[name] = value
    message["MIME-Version"] = "1.0"
    return _checked(message)


def html_for(rendered: Rendered, unsubscribe_url: str) -> str:
    """Returns the HTML with the subscriber's unsubscribe link filled in."""
    return rendered.html.replace(UNSUBSCRIBE, escape(unsubscribe_url))


def text_for(rendered: Rendered, unsubscribe_url: str) -> str:
    """Returns the text with the subscriber's unsubscribe link filled in."""
    return rendered.text.replace(UNSUBSCRIBE, unsubscribe_url)


def encoded_size(html: str) -> int:
    """Returns the size of the HTML in the message, in bytes."""
    packed = quoted_printable(html)
    return len(packed) + packed.count("\n")


def quoted_printable(text: str) -> str:
    """Encodes the text as quoted-printable; all line ends become `\\n`."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    packed = b2a_qp(text.encode(), istext=True).decode("ascii")
    # White space at the end of a full line is encoded past the limit: break the line before it.
    return _TOO_LONG.sub(r"\1=\n\2", packed)


def mailbox(address: Address) -> str:
    """Formats `Name <address>` for a header: name encoded if needed, domain in ASCII."""
    spec = f"{address.username}@{ascii_domain(address.domain)}"
    if not address.username or not spec.isascii() or re.search(r"[\s<>,;:\"()]", spec):
        raise EditionFaulty("the address cannot be written in a header", where=spec)
    name = clean(address.display_name)
    return f"{phrase(name)} <{spec}>" if name else spec


@lru_cache(maxsize=1_000)
def ascii_domain(domain: str) -> str:
    """Returns the domain in ASCII (IDNA), as mail needs it.

    Raises:
        EditionFaulty: it is not a valid domain.
    """
    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError as exc:
        raise EditionFaulty(f"not a valid domain ({exc})", where=domain) from exc


def phrase(name: str) -> str:
    """Formats a name for a header: plain, quoted or encoded, as needed."""
    if _ASCII_PHRASE.fullmatch(name) and "=?" not in name:
        return name
    if name.isascii() and "=?" not in name:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    words = Header(name, "utf-8", maxlinelen=_NAME).encode(linesep="\r\n")
    return words.replace("\r\n", "")  # folded with its header


def encoded(value: str, indent: int) -> str:
    """Formats free text for a header: ASCII folded at spaces, other text as encoded words.

    Text that looks like an encoded word is encoded as well, so that it is read back as text.
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
        # Edition, newsletter, kind of mail and sender; nothing about the subscriber.
        "Feedback-ID": f"{edition[:16]}:{sender.slug}:edition:{sender_id(sender.domain)}",
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
    """Folds ASCII text at spaces so that lines stay within 76 columns."""
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
        raise EditionFaulty("its headers are not the intended ones", where="message")
    if max(map(len, data.split(b"\r\n"))) > _LONGEST_LINE:
        raise EditionFaulty("a line is too long for mail", where="message")
    return data
