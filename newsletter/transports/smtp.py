"""Mail to a server: the SMTP session through which finished messages leave.

Messages are written as bytes, on a connection that is secured and logged in. What a session
must be exact about is the moment from which a message may have been taken: when its final
dot is written. A connection that ends before has sent nothing (`LOST`); one that ends after,
without a reply, may have (`UNKNOWN`).
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Self

from newsletter.transports.base import NOT_OPEN, Letter, SessionFailed
from newsletter.transports.opening import opened
from newsletter.transports.replies import Outcome, Stage, Verdict, classify, without_reply
from newsletter.transports.wire import BROKEN, SmtpSettings, Wire, words_for

__all__ = [
    "Outcome",
    "Session",
    "SessionFailed",
    "Smtp",
    "SmtpSettings",
    "Verdict",
    "dot_stuffed",
]

_DOT = b".\r\n"
_END = b"\r\n.\r\n"
_FAREWELL = 2.0  # seconds a server may take to say goodbye
_LONGEST_ADDRESS = 254  # octets (RFC 5321 4.5.3.1.3, without the brackets)
_LARGE = 1024  # bytes; a piece above it is shared by many messages
_UNSAFE = re.compile(r"[\s<>\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""In an address each of these could end it, or the command that it stands in."""

_Commands = Sequence[tuple[Stage, bytes]]


class Session:
    """One connection, used for many messages. Not for several threads.

    A session that lost its connection says so (`is_open`) and can be opened again.

    Args:
        settings: the server.
        stop: once set, no reply is awaited for more than a few seconds.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        settings: SmtpSettings,
        *,
        stop: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._clock = clock
        self._wire: Wire | None = None
        self._stage: Stage = "connect"
        self._unclean = False  # the server may still have half a transaction
        self._known: dict[int, bytes] = {}  # large pieces that were looked at, by id

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether the next message can go through."""
        return self._wire is not None

    def open(self) -> None:
        """Connects, secures the connection and logs in; an older one is closed.

        Raises:
            SessionFailed: `outcome` says why. `LOST` and `DEFERRED` may pass, `OURS` will not.
        """
        self.close()
        self._unclean = False
        self._wire = opened(self._settings, self._stop, self._clock)

    def send(self, sender: str, recipient: str, pieces: Sequence[bytes]) -> Outcome:
        """Sends one message; whatever happens is an outcome.

        Args:
            sender: the envelope's sender, ASCII; empty for a mail nobody answers.
            recipient: the address, its domain in ASCII.
            pieces: the encoded message in CRLF lines, `dot_stuffed` as a whole, without the
                final dot. Pieces that come again as the same objects cost less.
        """
        wire = self._wire
        if wire is None:
            return NOT_OPEN
        content = b"".join((*pieces, _DOT))
        fault = _address_fault(wire, sender, recipient)
        if fault := fault or self._content_fault(wire, pieces, content):
            return fault
        try:
            outcome = self._transaction(wire, _commands(wire, sender, recipient, content), content)
        except BaseException:
            self._drop()  # nobody knows what the server waits for
            raise
        if outcome.code == 421 or outcome.verdict in (Verdict.LOST, Verdict.UNKNOWN):
            self._drop()
        return outcome

    def close(self) -> None:
        """Says goodbye if it can, and lets go. Never raises."""
        if self._wire is not None:
            with contextlib.suppress(*BROKEN):
                self._wire.write(b"QUIT\r\n")
                self._wire.reply(min(_FAREWELL, self._settings.timeout))
        self._drop()

    def _drop(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            with contextlib.suppress(OSError):
                wire.close()

    def _transaction(self, wire: Wire, commands: _Commands, content: bytes) -> Outcome:
        try:
            refused = self._clean(wire) or self._envelope(wire, commands)
            if not refused:
                wire.expect_silence()
        except BROKEN as error:
            return without_reply(Verdict.LOST, self._stage, words_for(error))
        if refused:
            self._unclean = True
            return refused
        try:
            wire.write(content)
        except BROKEN as error:
            return self._last_words(wire, error)
        try:
            reply = wire.reply(self._settings.reply_timeout)
        except BROKEN as error:
            return without_reply(Verdict.UNKNOWN, "dot", words_for(error))
        return classify("dot", reply.code, reply.text)

    def _clean(self, wire: Wire) -> Outcome | None:
        """Makes the server forget what is left of a refused message."""
        self._stage = "mail"
        if self._unclean:
            wire.write(b"RSET\r\n")
            reply = wire.reply(self._settings.timeout)
            if reply.code // 100 != 2:
                return replace(classify("mail", reply.code, reply.text), verdict=Verdict.LOST)
            self._unclean = False
        return None

    def _envelope(self, wire: Wire, commands: _Commands) -> Outcome | None:
        """Brings the server to wait for the content; an outcome if it will not."""
        if wire.has_extn("pipelining"):
            return self._at_once(wire, commands)
        for stage, command in commands:
            self._stage = stage
            wire.write(command)
            if refused := self._answer(wire, stage):
                return refused
        return None

    def _at_once(self, wire: Wire, commands: _Commands) -> Outcome | None:
        """All commands in one write (RFC 2920). What was refused first is the outcome."""
        wire.write(b"".join(command for _, command in commands))
        answers: dict[Stage, Outcome | None] = {}
        try:
            for stage, _ in commands:
                answers[stage] = answer = self._answer(wire, stage)
                if answer and answer.verdict is Verdict.LOST:
                    self._drop()
                    break
        except BROKEN:
            if not any(answers.values()):
                raise
            self._drop()
        refused = next(filter(None, answers.values()), None)
        if refused and answers.get("data", refused) is None:
            self._send_nothing(wire, to_nobody=answers["rcpt"] is not None)
        return refused

    def _answer(self, wire: Wire, stage: Stage) -> Outcome | None:
        """The next reply; `None` if we may go on."""
        self._stage = stage
        reply = wire.reply(self._settings.timeout)
        if reply.code // 100 == (3 if stage == "data" else 2):
            return None
        return classify(stage, reply.code, reply.text)

    def _send_nothing(self, wire: Wire, *, to_nobody: bool) -> None:
        """Ends the content that a server awaits although it refused what came before."""
        try:
            if not to_nobody:
                raise ConnectionError("somebody would get an empty message")
            wire.write(_DOT)
            reply = wire.reply(self._settings.timeout)
            if reply.code == 421:
                raise ConnectionError("the server ends the session")
        except BROKEN:
            self._drop()

    def _last_words(self, wire: Wire, error: Exception) -> Outcome:
        """A server that will not have the whole content may say why before it hangs up."""
        if isinstance(error, ConnectionError):
            with contextlib.suppress(*BROKEN):
                reply = wire.reply(self._settings.timeout)
                if reply.code >= 400:
                    self._drop()
                    return classify("data", reply.code, reply.text)
        return without_reply(Verdict.LOST, "data", words_for(error))

    def _content_fault(self, wire: Wire, pieces: Sequence[bytes], content: bytes) -> Outcome | None:
        size, limit = len(content) - len(_DOT), _size_limit(wire)
        if limit and size > limit:
            what = f"the message has {size} bytes; the server takes {limit}"
            return without_reply(Verdict.OURS, "mail", what)
        if not content.isascii() and not wire.has_extn("8bitmime"):
            what = "the message is not ASCII, and the server takes nothing else"
            return without_reply(Verdict.OURS, "mail", what)
        if not self._ends_once(pieces):
            what = "the message has its end in its middle, or no line end at its end"
            return without_reply(Verdict.OURS, "data", what)
        return None

    def _ends_once(self, pieces: Sequence[bytes]) -> bool:
        """Whether the server will see the message's end where it is: what came after an
        earlier one it would take for commands.

        Looking through 70 KB costs as much as sending them, so a large piece is looked
        through when it is new; later its two ends stand for it.
        """
        parts = [
            piece[:4] + b"-" + piece[-4:] if self._known.get(id(piece)) is piece else piece
            for piece in pieces
        ]
        whole = b"".join((b"\r\n", *parts, _DOT))
        fits = whole.find(_END) == len(whole) - len(_END) and len(whole) > len(_END)
        if fits:
            self._known = {id(piece): piece for piece in pieces if len(piece) >= _LARGE}
        return fits


class Smtp:
    """A mail server; each session is a connection of its own.

    Args:
        settings: the server.
        stop: once set, no reply is awaited for more than a few seconds.
    """

    def __init__(self, settings: SmtpSettings, stop: threading.Event | None = None) -> None:
        self._settings = settings
        self._stop = stop

    def encoded(self, data: bytes) -> bytes:
        """The message `dot_stuffed`."""
        return dot_stuffed(data)

    def session(self) -> LetterSession:
        """A session of its own."""
        return LetterSession(Session(self._settings, stop=self._stop))


class LetterSession:
    """A session for letters. A message's name is of no use to a server."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def is_open(self) -> bool:
        """Whether the next message can go through."""
        return self._session.is_open

    def open(self) -> None:
        """Connects; raises `SessionFailed`."""
        self._session.open()

    def send(self, letter: Letter) -> Outcome:
        """Sends one message; whatever happens is an outcome."""
        return self._session.send(letter.sender, letter.recipient, letter.pieces)

    def close(self) -> None:
        """Says goodbye if it can, and lets go. Never raises."""
        self._session.close()


def dot_stuffed(data: bytes) -> bytes:
    """The message with a second dot before each line that begins with one (RFC 5321 4.5.2).

    For a whole message in CRLF lines, before it is cut into pieces: whether a dot begins a
    line can only be seen together with what stands before it.
    """
    stuffed = data.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


def _commands(wire: Wire, sender: str, recipient: str, content: bytes) -> _Commands:
    options = f" SIZE={len(content) - len(_DOT)}" if wire.has_extn("size") else ""
    if not content.isascii():
        options += " BODY=8BITMIME"
    if not recipient.isascii():
        options += " SMTPUTF8"
    return (
        ("mail", f"MAIL FROM:<{sender}>{options}\r\n".encode()),
        ("rcpt", f"RCPT TO:<{recipient}>\r\n".encode()),
        ("data", b"DATA\r\n"),
    )


def _size_limit(wire: Wire) -> int:
    """The most bytes that the server takes; 0 if it does not say."""
    said = str(wire.esmtp_features.get("size", ""))
    return int(said) if re.fullmatch(r"[0-9]{1,18}", said) else 0


def _address_fault(wire: Wire, sender: str, recipient: str) -> Outcome | None:
    """Why these addresses cannot be written into commands."""
    if not sender.isascii() or _UNSAFE.search(sender) or len(sender) > _LONGEST_ADDRESS:
        what = "the sender's address cannot stand in a command"
        return without_reply(Verdict.OURS, "mail", what)
    name, _, domain = recipient.rpartition("@")
    what = ""
    if not name or not domain or _UNSAFE.search(recipient):
        what = "the address cannot stand in a command"
    elif len(recipient.encode()) > _LONGEST_ADDRESS:
        what = "the address is longer than any"
    elif not domain.isascii():
        what = "the address's domain is not in its ASCII form"
    elif not name.isascii() and not wire.has_extn("smtputf8"):
        what = "the address is not ASCII, and the server takes no others (SMTPUTF8)"
    return without_reply(Verdict.REFUSED, "rcpt", what) if what else None
