"""Checks on a message before it is sent to a server, its line ends, and dot-stuffing.

A message that the server cannot accept as a whole is not started. Nothing is sent here; the
SMTP conversation is in `smtp_session`.

Servers disagree about a carriage return or a line feed alone: to some, `LF . LF` ends a message,
and what follows are commands (SMTP smuggling). So neither is ever sent: `for_the_wire` replaces
them in the whole message, and `ContentCheck` refuses a message that still has one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from newsletter.transports.replies import Reply, ReplyKind, without_reply
from newsletter.transports.wire import Wire

FINAL_DOT = b".\r\n"
_END = b"\r\n.\r\n"
_LONGEST_ADDRESS = 254  # octets (RFC 5321 4.5.3.1.3, without the brackets)
_LARGE = 1024  # bytes; larger pieces are shared by many messages
_LINE_END = re.compile(rb"\r\n|\r|\n")
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_UNSAFE = re.compile(r"[\s<>\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Characters that could end an address, or the command that contains it."""


def for_the_wire(data: bytes) -> bytes:
    """Returns a whole message with CRLF as its only line ends, and `dot_stuffed`.

    To be called once for all copies of a message, because it takes as long as reading it.
    """
    return dot_stuffed(_LINE_END.sub(b"\r\n", data) if _BARE.search(data) else data)


def dot_stuffed(data: bytes) -> bytes:
    """Returns the message with each leading dot of a line doubled (RFC 5321 4.5.2).

    Takes a whole message with CRLF line ends, before it is cut into pieces: whether a dot begins
    a line depends on the bytes before it.
    """
    stuffed = data.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


def address_fault(wire: Wire, sender: str, recipient: str) -> Reply | None:
    """Returns why these addresses cannot be used in commands, or `None` if they can."""
    if not sender.isascii() or _UNSAFE.search(sender) or len(sender) > _LONGEST_ADDRESS:
        what = "the sender's address cannot be used in a command"
        return without_reply(ReplyKind.OURS, "mail", what)
    name, _, domain = recipient.rpartition("@")
    what = ""
    if not name or not domain or _UNSAFE.search(recipient):
        what = "the address cannot be used in a command"
    elif len(recipient.encode()) > _LONGEST_ADDRESS:
        what = "the address is too long"
    elif not domain.isascii():
        what = "the address's domain is not in its ASCII form"
    elif not name.isascii() and not wire.has_extn("smtputf8"):
        what = "the address is not ASCII, and the server does not support SMTPUTF8"
    return without_reply(ReplyKind.REFUSED, "rcpt", what) if what else None


class ContentCheck:
    """Checks the messages of one session; large pieces that repeat are cheap."""

    def __init__(self) -> None:
        self._known: dict[int, bytes] = {}  # large pieces already checked, by id

    def fault(self, wire: Wire, pieces: Sequence[bytes], content: bytes) -> Reply | None:
        """Returns why the server would reject or misread the message, or `None`.

        Args:
            wire: the connection, which knows the extensions that the server offers.
            pieces: the message, made `for_the_wire` as a whole and then cut.
            content: the same pieces joined, with the final dot.
        """
        size, limit = len(content) - len(FINAL_DOT), _size_limit(wire)
        if limit and size > limit:
            what = f"the message has {size} bytes; the server accepts {limit}"
            return without_reply(ReplyKind.OURS, "mail", what)
        if not content.isascii() and not wire.has_extn("8bitmime"):
            what = "the message is not ASCII, and the server does not support 8BITMIME"
            return without_reply(ReplyKind.OURS, "mail", what)
        what = self._line_fault(pieces)
        return without_reply(ReplyKind.OURS, "data", what) if what else None

    def _line_fault(self, pieces: Sequence[bytes]) -> str:
        """Returns what is wrong with the line ends; empty if the message ends once, at its end.

        The server would read anything after an earlier end as commands.

        Scanning 70 KB costs as much as sending it, so a large piece is scanned in full only
        once; after that only its first and last bytes are checked.
        """
        parts = [
            _edges(piece) if self._known.get(id(piece)) is piece else piece for piece in pieces
        ]
        whole = b"".join((b"\r\n", *parts, FINAL_DOT))
        if whole.find(_END) != len(whole) - len(_END) or len(whole) == len(_END):
            return "the message has an end marker within it, or no line end at its end"
        if _BARE.search(whole):
            return "the message has a line end other than CRLF"
        self._known = {id(piece): piece for piece in pieces if len(piece) >= _LARGE}
        return ""


def _edges(piece: bytes) -> bytes:
    """Returns the first and last bytes of a checked piece, cut between line ends, not within."""
    first, last = piece[:4], piece[-4:]
    return first.removesuffix(b"\r") + b"-" + last.removeprefix(b"\n")


def _size_limit(wire: Wire) -> int:
    """Returns the server's message size limit in bytes, or 0 if it announces none."""
    announced = str(wire.esmtp_features.get("size", ""))
    return int(announced) if re.fullmatch(r"[0-9]{1,18}", announced) else 0
