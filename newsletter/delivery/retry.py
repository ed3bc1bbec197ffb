"""What an attempt's outcome means for the delivery, the person and the run. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from newsletter.models import DeliveryState
from newsletter.transports.replies import Reply, ReplyKind

FIRST_DELAY = timedelta(minutes=5)
LONGEST_DELAY = timedelta(hours=4)

DOMAINS = 3
"""Recipient domains whose refusal of us, not of a mailbox, stops a run."""
IN_A_ROW = 20
"""Refusals of us one after the other that stop a run, whatever the domains."""
EDITIONS = 3
"""Editions in a row refused without a clear reason, after which an address is given up."""

_NO_LOGIN = (530, 534, 535, 538)
_NEVER_THE_MAILBOX = (552, 554)
"""Too large, or refused for what it says: no word about the mailbox."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a delivery.

    Attributes:
        try_at: when it is tried again, if it is.
        suppress: the mailbox does not exist: the person gets nothing any more.
        doubtful: refused, and it may be the mailbox: the same three times means it is.
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
    """What an outcome means.

    Args:
        attempts: with this one.
        first_at: when the first was.
        give_up_after: how long to go on trying.
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
    # A connection may just have been idle for too long: it is tried again at once, once.
    at_once = reply.kind is ReplyKind.LOST and attempts == 1
    return Decision(DeliveryState.DEFERRED, now if at_once else now + delay(attempts))


def delay(attempts: int) -> timedelta:
    """How long to wait after so many attempts: each time twice as long, up to a limit."""
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
    """Refusals of us, not of a mailbox, during one run."""

    domains: set[str] = field(default_factory=set)
    in_a_row: int = 0

    def note(self, reply: Reply, domain: str) -> str | None:
        """Counts an outcome; why the run has to stop, or `None`.

        Whoever is not let in is let in for nobody; that a policy is ours and not a mistake
        of one server shows when others say the same.
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
