"""Retry policy: what a reply means for the delivery and its subscriber. Pure.

A refusal is final only if it is about the recipient. Whether many refusals are believed is
decided by `breaker`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from newsletter.models import DeliveryState
from newsletter.transports.replies import NO_LOGIN, Reply, ReplyKind

FIRST_DELAY = timedelta(minutes=5)
LONGEST_DELAY = timedelta(hours=4)

EDITIONS = 3
"""An address is suppressed after this many editions in a row refused without a clear reason."""

_NEVER_THE_MAILBOX = (552, 554)
"""Too large, or refused for its content: says nothing about the mailbox."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The consequences of a reply for the delivery.

    Attributes:
        try_at: when the delivery is tried again; `None` if it is not.
        suppress: whether to suppress the address, because the mailbox does not exist.
        doubtful: whether the mailbox may be the reason for the refusal; `EDITIONS` of these in a
            row suppress the address.
        put_back: whether it waits for the breaker, as if never tried: the refusal is not believed.
    """

    state: DeliveryState
    try_at: datetime | None = None
    suppress: bool = False
    doubtful: bool = False
    put_back: bool = False


def decide(
    reply: Reply,
    *,
    attempts: int,
    first_at: datetime,
    now: datetime,
    give_up_after: timedelta,
    is_believed: bool = True,
) -> Decision:
    """Returns the consequences of the reply to an attempt.

    Args:
        attempts: number of attempts, including this one.
        first_at: when the first attempt was made.
        give_up_after: how long to keep retrying.
        is_believed: whether a refusal is believed; otherwise the delivery waits, because too many
            are refused.
    """
    if reply.kind is ReplyKind.SENT:
        return Decision(DeliveryState.SENT)
    if reply.kind is ReplyKind.UNKNOWN:
        return Decision(DeliveryState.UNKNOWN)
    if not is_believed and (reply.kind is ReplyKind.REFUSED or is_about_us(reply)):
        return Decision(DeliveryState.DEFERRED, now, put_back=True)
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


def is_about_us(reply: Reply) -> bool:
    """Returns whether a server refused the sender or the message, rather than the recipient."""
    return reply.kind is ReplyKind.OURS and not stops_everything(reply)


def stops_everything(reply: Reply) -> bool:
    """Returns whether every other message would fail too: no login, or no message to send."""
    return reply.kind is ReplyKind.OURS and (
        reply.code is None or reply.stage == "auth" or reply.code in NO_LOGIN
    )
