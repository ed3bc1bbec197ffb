"""Retry policy: what a reply means for the delivery, the subscriber and the run. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from newsletter.models import DeliveryState
from newsletter.transports.replies import Reply, ReplyKind

FIRST_DELAY = timedelta(minutes=5)
LONGEST_DELAY = timedelta(hours=4)

DOMAINS = 3
"""A run stops when this many recipient domains reject the sender rather than a mailbox."""
IN_A_ROW = 20
"""A run stops after this many rejections of the sender in a row, whatever the domains."""
EDITIONS = 3
"""An address is suppressed after this many editions in a row refused without a clear reason."""

_NO_LOGIN = (530, 534, 535, 538)
_NEVER_THE_MAILBOX = (552, 554)
"""Too large, or refused for its content: says nothing about the mailbox."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from a reply for the delivery.

    Attributes:
        try_at: when the delivery is tried again; `None` if it is not.
        suppress: the mailbox does not exist: suppress the address.
        doubtful: refused, possibly because of the mailbox; `EDITIONS` of these in a row suppress
            the address.
    """

    state: DeliveryState
    try_at: datetime | None = None
    suppress: bool = False
    doubtful: bool = False


def decide(
    reply: Reply,
    *,
    attempts: int,
    first_at: datetime,
    now: datetime,
    give_up_after: timedelta,
) -> Decision:
    """Decides what follows from the reply to an attempt.

    Args:
        attempts: number of attempts, including this one.
        first_at: when the first attempt was made.
        give_up_after: how long to keep retrying.
    """
    if reply.kind is ReplyKind.SENT:
        return Decision(DeliveryState.SENT)
    if reply.kind is ReplyKind.UNKNOWN:
        return Decision(DeliveryState.UNKNOWN)
    if reply.kind is ReplyKind.REFUSED:
        return Decision(
            DeliveryState.REFUSED, suppress=reply.suppress, doubtful=_is_doubtful(reply)
        )
    if now - first_at >= give_up_after:
        return Decision(DeliveryState.EXPIRED)
    # The connection may only have been idle for too long: retry at once, but only once.
    at_once = reply.kind is ReplyKind.LOST and attempts == 1
    return Decision(DeliveryState.DEFERRED, now if at_once else now + delay(attempts))


def delay(attempts: int) -> timedelta:
    """Returns the delay after this many attempts: doubled each time, up to `LONGEST_DELAY`."""
    return min(FIRST_DELAY * (1 << min(attempts - 1, 16)), LONGEST_DELAY)


def _is_doubtful(reply: Reply) -> bool:
    return (
        reply.stage == "rcpt"
        and reply.code is not None
        and reply.enhanced is None
        and reply.code not in _NEVER_THE_MAILBOX
    )


@dataclass(slots=True)
class Streak:
    """Counts rejections of the sender, rather than of a mailbox, during one run."""

    domains: set[str] = field(default_factory=set)
    in_a_row: int = 0

    def note(self, reply: Reply, domain: str) -> str | None:
        """Counts a reply. Returns the reason why the run has to stop, or `None`.

        An authentication failure affects every recipient and stops the run at once. A policy
        rejection may be one server's mistake, so it counts only once others say the same.
        """
        if reply.kind is not ReplyKind.OURS:
            if reply.kind is ReplyKind.SENT:
                self.in_a_row = 0
            return None
        if reply.code is None or reply.stage == "auth" or reply.code in _NO_LOGIN:
            return reply.text
        self.in_a_row += 1
        self.domains.add(domain)
        if len(self.domains) >= DOMAINS:
            return f"{len(self.domains)} domains refuse our mail: {reply.text}"
        if self.in_a_row >= IN_A_ROW:
            return f"{self.in_a_row} mails in a row were refused: {reply.text}"
        return None
