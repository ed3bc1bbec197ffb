"""Parses and classifies a mail server's replies. Pure: bytes and codes in, values out.

`take_reply` extracts complete replies from received data, within limits; `classify` decides
what a reply means for the message, by the first of `_RULES` that matches.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, get_args

from newsletter.text.clean import clean

Stage = Literal["connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "dot"]
"""The stage of an attempt. `data` lasts from the DATA command to the last byte of the message,
`dot` is the wait for the reply to it."""
STAGES: tuple[Stage, ...] = get_args(Stage)

NO_LOGIN = (530, 534, 535, 538)
"""Codes by which a server asks for a login or refuses one, at any stage."""
LONGEST_REPLY = 16_384  # bytes, all lines; real ones stay under 2,000
_LONGEST_SHOWN = 500  # characters

_LINE = re.compile(rb"([2-5]\d\d)(?:([ -])(.*))?", re.DOTALL)
_ENHANCED = re.compile(r"^\s*#?([245]\.\d{1,3}\.\d{1,3})(?!\.?\d)", re.MULTILINE)
_ENHANCED_AT_THE_END = re.compile(r"\(#([245]\.\d{1,3}\.\d{1,3})\)\s*$")  # as qmail writes it


class ReplyKind(StrEnum):
    """What a reply means for the message."""

    SENT = "sent"  # the server accepted it
    DEFERRED = "deferred"  # a temporary failure
    REFUSED = "refused"  # a permanent failure for this recipient
    OURS = "ours"  # the fault is on our side: policy, login, size, a bad sender
    UNKNOWN = "unknown"  # all of it was written, but no reply came
    LOST = "lost"  # the connection ended before that: it cannot have been accepted


@dataclass(frozen=True, slots=True)
class Reply:
    """The result of one attempt.

    Attributes:
        kind: what it means for the message.
        stage: where it was decided.
        code: the three-digit reply code; `None` if there was no reply.
        enhanced: the enhanced status code (RFC 3463), such as "5.1.1", or `None`.
        text: the whole reply on one clean line, code included; without a reply, what happened.
        suppress: the mailbox does not exist: never send to it again.
    """

    kind: ReplyKind
    stage: Stage
    code: int | None
    enhanced: str | None
    text: str
    suppress: bool = False


@dataclass(frozen=True, slots=True)
class RawReply:
    """A reply as received: its code, and its lines without code and line ends."""

    code: int
    lines: tuple[bytes, ...]

    @property
    def text(self) -> str:
        """The lines, joined by line feeds. Bytes that are not valid UTF-8 become U+FFFD."""
        return b"\n".join(self.lines).decode("utf-8", "replace")


class ReplyBroken(ValueError):
    """The server sent a malformed or endless reply."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule of the table; `replies` is matched against "code enhanced"."""

    stages: str
    replies: re.Pattern[str]
    kind: ReplyKind
    suppress: bool


def _rule(stages: str, replies: str, kind: ReplyKind, *, suppress: bool = False) -> _Rule:
    return _Rule(
        " ".join(STAGES) if stages == "any" else stages, re.compile(replies), kind, suppress
    )


_RULES = (
    _rule("dot", r"2", ReplyKind.SENT),
    # The message was refused and the connection ends: unambiguous, unlike a 421 before the dot.
    _rule("dot", r"421", ReplyKind.DEFERRED),
    _rule("any", r"421", ReplyKind.LOST),
    _rule("auth", r"[45]", ReplyKind.OURS),
    _rule("any", r"4", ReplyKind.DEFERRED),
    # Not logged in, or a command not understood: no mailbox is to blame, at any stage.
    _rule("any", r"53[0458]|50[0234]|555", ReplyKind.OURS),
    _rule("connect ehlo starttls mail", r"5", ReplyKind.OURS),
    _rule("rcpt", r"5\d\d 5\.(1\.1|1\.10|2\.1)$", ReplyKind.REFUSED, suppress=True),
    # A full mailbox may have room later. Some servers say only 552.
    _rule("any", r"5\d\d 5\.2\.2$|552 $", ReplyKind.DEFERRED),
    # Whatever else a server gives as its reason is about the sender or the message.
    _rule("any", r"5\d\d 5", ReplyKind.OURS),
    # No reason at all: final for this delivery, unless many are refused.
    _rule("any", r"5", ReplyKind.REFUSED),
    # From here on: not a valid reply to the command.
    _rule("dot", r"", ReplyKind.UNKNOWN),
    _rule("any", r"", ReplyKind.LOST),
)
"""The first matching rule decides. Before RCPT there is no recipient to refuse, so permanent
failures are ours."""


def classify(stage: Stage, code: int, text: str) -> Reply:
    """Classifies a reply that ends the attempt.

    Args:
        stage: the stage that it answers.
        code: the three-digit code; any value is classified.
        text: the reply's lines without the code, joined by line feeds.
    """
    enhanced = _enhanced(code, text)
    key = f"{code:03} {enhanced or ''}"
    rule = next(rule for rule in _RULES if stage in rule.stages.split() and rule.replies.match(key))
    shown = _shown(f"{code:03} {_without_repeats(text, enhanced)}")
    return Reply(rule.kind, stage, code, enhanced, shown, rule.suppress)


def without_reply(kind: ReplyKind, stage: Stage, what: str) -> Reply:
    """Returns the result of an attempt that got no reply; `what` says what happened."""
    return Reply(kind, stage, None, None, _shown(what))


def take_reply(received: bytearray) -> RawReply | None:
    """Removes and returns the first reply in `received`, or `None` if it is incomplete.

    Raises:
        ReplyBroken: it is malformed, or longer than `LONGEST_REPLY`.
    """
    code, start = b"", 0
    lines: list[bytes] = []
    while (end := received.find(b"\n", start)) >= 0 and end < LONGEST_REPLY:
        line = bytes(received[start:end]).rstrip(b"\r")
        match = _LINE.fullmatch(line)
        if match is None or code not in (b"", match[1]):
            raise ReplyBroken(f"the server answers {line[:80]!r}, which is not a reply")
        code, start = match[1], end + 1
        lines.append(match[3] or b"")
        if match[2] != b"-":
            del received[:start]
            return RawReply(int(code), tuple(lines))
    if len(received) >= LONGEST_REPLY:
        raise ReplyBroken("the server's reply is too long")
    return None


def _enhanced(code: int, text: str) -> str | None:
    match = _ENHANCED.search(text) or _ENHANCED_AT_THE_END.search(text)
    if match:
        return match[1]
    return "5.7.1" if code == 571 else None  # implied by the code; some servers send nothing else


def _without_repeats(text: str, enhanced: str | None) -> str:
    """Joins the lines, keeping only the first enhanced code: servers repeat it on each line."""
    first, *others = text.split("\n")
    return " ".join([first, *(line.strip().removeprefix(enhanced or "") for line in others)])


def _shown(text: str) -> str:
    return clean(text[: 2 * _LONGEST_SHOWN])[:_LONGEST_SHOWN].rstrip()
