"""A transport to a server that fails according to a script."""

from __future__ import annotations

import email
import re
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email import policy
from enum import Enum

from newsletter.transports.base import OutgoingMessage, SessionFailed
from newsletter.transports.replies import Reply, ReplyKind, classify, without_reply


class Died(BaseException):
    """The process was killed."""


class Act(Enum):
    """The server's behaviour for the next message."""

    TAKES = "takes it"
    PUTS_OFF = "not now"
    REFUSES = "not this message"
    HAS_NO_MAILBOX = "no such mailbox"
    REFUSES_US = "not from us"
    HAS_NO_LOGIN = "not without a login"
    LOSES = "the connection ends before the message"
    IS_SILENT = "takes it, and no answer comes"
    IS_DEAF = "gets nothing, and no answer comes"
    IS_NOT_THERE = "the next session is not opened"
    BARS_US = "the next session is refused"
    DIES_AFTER = "takes it, and the sender is killed"
    DIES_BEFORE = "the sender is killed before"


OUTCOMES = {
    Act.TAKES: classify("dot", 250, "2.0.0 Ok"),
    Act.PUTS_OFF: classify("rcpt", 451, "4.7.1 Greylisted"),
    Act.REFUSES: classify("rcpt", 550, "No"),
    Act.HAS_NO_MAILBOX: classify("rcpt", 550, "5.1.1 No such user"),
    Act.REFUSES_US: classify("dot", 550, "5.7.1 Looks like spam"),
    Act.HAS_NO_LOGIN: classify("mail", 530, "5.7.0 Authentication required"),
    Act.LOSES: without_reply(ReplyKind.LOST, "mail", "the connection ended"),
    Act.IS_SILENT: without_reply(ReplyKind.UNKNOWN, "dot", "no answer"),
    Act.IS_DEAF: without_reply(ReplyKind.UNKNOWN, "dot", "no answer"),
}

ARRIVES = (Act.TAKES, Act.IS_SILENT, Act.DIES_AFTER)

ENDS = (Act.LOSES, Act.IS_SILENT, Act.IS_DEAF)
"""Those that end the connection."""


@dataclass
class ScriptedTransport:
    """A transport to a server that fails according to a script, then accepts everything."""

    script: deque[Act] = field(default_factory=deque)
    taken: list[OutgoingMessage] = field(default_factory=list)
    barred: set[str] = field(default_factory=set)
    """Addresses that must not receive anything from now on."""
    unknown: set[str] = field(default_factory=set)
    """Addresses for which the server replied that there is no such mailbox."""
    meanwhile: Callable[[str], None] | None = None
    """Called with the recipient while the next message is being sent."""
    both: threading.Barrier | None = None
    """A barrier at which sessions wait for each other, each while sending a message."""

    def encoded(self, data: bytes) -> bytes:
        """Returns the message unchanged."""
        return data

    def session(self) -> ScriptedSession:
        """Returns a new session."""
        return ScriptedSession(self)


class ScriptedSession:
    """A session with this server."""

    def __init__(self, post: ScriptedTransport) -> None:
        self._post = post
        self._is_open = False

    @property
    def is_open(self) -> bool:
        """Whether the connection is open."""
        return self._is_open

    def open(self) -> None:
        """Connects, unless the script says otherwise."""
        script = self._post.script
        if script and script[0] in (Act.IS_NOT_THERE, Act.BARS_US):
            kind = ReplyKind.LOST if script.popleft() is Act.IS_NOT_THERE else ReplyKind.OURS
            raise SessionFailed(without_reply(kind, "connect", "no connection"))
        self._is_open = True

    def send(self, message: OutgoingMessage) -> Reply:
        """Returns the scripted reply; asserts that the recipient is not barred."""
        post = self._post
        assert message.recipient not in post.barred, f"mail for {message.recipient}"
        if post.both:
            post.both.wait()
        if post.meanwhile:
            meanwhile, post.meanwhile = post.meanwhile, None
            meanwhile(message.recipient)
        act = post.script.popleft() if post.script else Act.TAKES
        if act in (Act.IS_NOT_THERE, Act.BARS_US):
            act = Act.LOSES
        if act in ARRIVES:
            post.taken.append(message)
        if act in (Act.DIES_AFTER, Act.DIES_BEFORE):
            raise Died(act.value)
        if act is Act.HAS_NO_MAILBOX:
            post.unknown.add(message.recipient)
        self._is_open = act not in ENDS
        return OUTCOMES[act]

    def close(self) -> None:
        """Closes the connection."""
        self._is_open = False


def papers_in(message: OutgoingMessage) -> set[int]:
    """Returns the numbers of the papers in the text of the message."""
    mail = email.message_from_bytes(b"".join(message.pieces), policy=policy.default)
    body = mail.get_body(("plain",))
    assert body
    return {int(number) for number in re.findall(r"Lamp (\d+): Answ", body.get_content())}
