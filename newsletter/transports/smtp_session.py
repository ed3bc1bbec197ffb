"""One SMTP session: the conversation that sends messages to a server.

Messages are written as bytes, on a connection that is secured and logged in (`opening`). The
critical moment is when the final dot is written: from then on the server may have accepted the
message. If the connection ends before it, nothing was sent (`LOST`); if it ends later without a
reply, the message may have been (`UNKNOWN`). Replies are classified in `replies`.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Self

from newsletter.transports.base import NOT_OPEN
from newsletter.transports.opening import opened
from newsletter.transports.replies import Reply, ReplyKind, Stage, classify, without_reply
from newsletter.transports.smtp_checks import FINAL_DOT, ContentCheck, address_fault
from newsletter.transports.wire import BROKEN, SmtpSettings, Wire, words_for

_QUIT_TIMEOUT = 2.0  # seconds to wait for the reply to QUIT

_Commands = Sequence[tuple[Stage, bytes]]


class SmtpSession:
    """One connection, used for many messages. Not safe for use by several threads.

    A session that lost its connection is no longer open (`is_open`) and can be opened again.

    Args:
        settings: the server's settings.
        stop: once set, the session waits only a few seconds more for a reply.
        clock: returns monotonic time in seconds.
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
        self._unclean = False  # the server may still have an unfinished transaction
        self._check = ContentCheck()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether the session can take another message."""
        return self._wire is not None

    def open(self) -> None:
        """Connects, secures the connection and logs in, after closing any previous connection.

        Raises:
            SessionFailed: `reply` says why. `LOST` and `DEFERRED` may be temporary, `OURS` is
                not.
        """
        self.close()
        self._unclean = False
        self._wire = opened(self._settings, self._stop, self._clock)

    def send(self, sender: str, recipient: str, pieces: Sequence[bytes]) -> Reply:
        """Sends one message. Failures are returned as replies, not raised.

        Args:
            sender: the envelope sender, in ASCII; empty for the null sender.
            recipient: the recipient's address, with its domain in ASCII.
            pieces: the encoded message, made `for_the_wire` as a whole, without the final dot.
                Pieces shared between messages as the same objects cost less.
        """
        wire = self._wire
        if wire is None:
            return NOT_OPEN
        content = b"".join((*pieces, FINAL_DOT))
        fault = address_fault(wire, sender, recipient)
        if fault := fault or self._check.fault(wire, pieces, content):
            return fault
        try:
            reply = self._transaction(wire, _commands(wire, sender, recipient, content), content)
        except BaseException:
            self._drop()  # the state of the conversation is unknown
            raise
        if reply.code == 421 or reply.kind in (ReplyKind.LOST, ReplyKind.UNKNOWN):
            self._drop()
        return reply

    def close(self) -> None:
        """Sends QUIT if possible, and closes the connection. Never raises."""
        if self._wire is not None:
            with contextlib.suppress(*BROKEN):
                self._wire.write(b"QUIT\r\n")
                self._wire.reply(min(_QUIT_TIMEOUT, self._settings.timeout))
        self._drop()

    def _drop(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            with contextlib.suppress(OSError):
                wire.close()

    def _transaction(self, wire: Wire, commands: _Commands, content: bytes) -> Reply:
        try:
            refused = self._clean(wire) or self._envelope(wire, commands)
            if not refused:
                wire.expect_silence()
        except BROKEN as error:
            return without_reply(ReplyKind.LOST, self._stage, words_for(error))
        if refused:
            self._unclean = True
            return refused
        try:
            wire.write(content)
        except BROKEN as error:
            return self._final_reply(wire, error)
        try:
            reply = wire.reply(self._settings.reply_timeout)
        except BROKEN as error:
            return without_reply(ReplyKind.UNKNOWN, "dot", words_for(error))
        return classify("dot", reply.code, reply.text)

    def _clean(self, wire: Wire) -> Reply | None:
        """Resets an unfinished transaction of a refused message. Returns a reply if that fails."""
        self._stage = "mail"
        if self._unclean:
            wire.write(b"RSET\r\n")
            reply = wire.reply(self._settings.timeout)
            if reply.code // 100 != 2:
                return replace(classify("mail", reply.code, reply.text), kind=ReplyKind.LOST)
            self._unclean = False
        return None

    def _envelope(self, wire: Wire, commands: _Commands) -> Reply | None:
        """Sends the envelope and DATA. Returns the reply that refused them, or `None`."""
        if wire.has_extn("pipelining"):
            return self._at_once(wire, commands)
        for stage, command in commands:
            self._stage = stage
            wire.write(command)
            if refused := self._answer(wire, stage):
                return refused
        return None

    def _at_once(self, wire: Wire, commands: _Commands) -> Reply | None:
        """Sends all commands in one write (RFC 2920). Returns the first refusal, or `None`."""
        wire.write(b"".join(command for _, command in commands))
        answers: dict[Stage, Reply | None] = {}
        try:
            for stage, _ in commands:
                answers[stage] = answer = self._answer(wire, stage)
                if answer and answer.kind is ReplyKind.LOST:
                    self._drop()
                    break
        except BROKEN:
            if not any(answers.values()):
                raise
            self._drop()
        refused = next(filter(None, answers.values()), None)
        if refused and answers.get("data", refused) is None:
            self._send_nothing(wire, without_recipient=answers["rcpt"] is not None)
        return refused

    def _answer(self, wire: Wire, stage: Stage) -> Reply | None:
        """Reads the next reply. Returns it if it is a refusal, otherwise `None`."""
        self._stage = stage
        reply = wire.reply(self._settings.timeout)
        if reply.code // 100 == (3 if stage == "data" else 2):
            return None
        return classify(stage, reply.code, reply.text)

    def _send_nothing(self, wire: Wire, *, without_recipient: bool) -> None:
        """Ends the content that a server expects although it refused an earlier command."""
        try:
            if not without_recipient:
                raise ConnectionError("a subscriber would get an empty message")
            wire.write(FINAL_DOT)
            reply = wire.reply(self._settings.timeout)
            if reply.code == 421:
                raise ConnectionError("the server ended the session")
        except BROKEN:
            self._drop()

    def _final_reply(self, wire: Wire, error: Exception) -> Reply:
        """Returns the reply if the server explained why it hung up during the content."""
        if isinstance(error, ConnectionError):
            with contextlib.suppress(*BROKEN):
                reply = wire.reply(self._settings.timeout)
                if reply.code >= 400:
                    self._drop()
                    return classify("data", reply.code, reply.text)
        return without_reply(ReplyKind.LOST, "data", words_for(error))


def _commands(wire: Wire, sender: str, recipient: str, content: bytes) -> _Commands:
    options = f" SIZE={len(content) - len(FINAL_DOT)}" if wire.has_extn("size") else ""
    if not content.isascii():
        options += " BODY=8BITMIME"
    if not recipient.isascii():
        options += " SMTPUTF8"
    return (
        ("mail", f"MAIL FROM:<{sender}>{options}\r\n".encode()),
        ("rcpt", f"RCPT TO:<{recipient}>\r\n".encode()),
        ("data", b"DATA\r\n"),
    )
