"""The retry policy: what a reply means for the delivery, the subscriber and the run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.delivery.retry import (
    FIRST_DELAY,
    LONGEST_DELAY,
    Decision,
    decide,
    delay,
)
from newsletter.models import DeliveryState
from newsletter.transports.replies import (
    STAGES,
    Reply,
    ReplyKind,
    Stage,
    classify,
    without_reply,
)

NOW = datetime(2026, 11, 20, 7, 30, tzinfo=UTC)
TIMEOUT = timedelta(days=3)
SECOND = timedelta(seconds=1)

SENT, DEFERRED, REFUSED = DeliveryState.SENT, DeliveryState.DEFERRED, DeliveryState.REFUSED
UNKNOWN, EXPIRED = DeliveryState.UNKNOWN, DeliveryState.EXPIRED
ENDS = {ReplyKind.SENT: SENT, ReplyKind.REFUSED: REFUSED, ReplyKind.UNKNOWN: UNKNOWN}
"""Kinds of reply that end a delivery, whatever its age."""

AGAIN, AT_ONCE = "again", "again at once"
MAYBE, GONE, NEVER = "maybe the mailbox", "no such mailbox", "never"
REPLIES: list[tuple[Stage, str, str]] = [
    # Temporary.
    ("connect", "421 4.3.2 closing", AT_ONCE),
    ("connect", "450 4.7.1 slow down", AGAIN),
    ("mail", "451 4.3.0 later", AGAIN),
    ("mail", "452 4.3.1 no room", AGAIN),
    ("rcpt", "450 4.2.0 greylisted", AGAIN),
    ("rcpt", "452 4.2.2 mailbox full", AGAIN),
    ("rcpt", "421 4.7.0 too many", AT_ONCE),
    ("data", "451 4.3.0 later", AGAIN),
    ("dot", "421 4.7.0 not this one", AGAIN),
    ("dot", "452 4.3.1 no room", AGAIN),
    ("rcpt", "550 5.2.2 mailbox full", AGAIN),
    ("rcpt", "552 full", AGAIN),
    ("dot", "552 5.2.2 mailbox full", AGAIN),
    # About the sender or the message: it can be sent once the cause is removed.
    ("connect", "554 5.7.1 your address is blocked", AGAIN),
    ("auth", "535 5.7.8 bad credentials", AGAIN),
    ("auth", "454 4.7.0 not now", AGAIN),
    ("mail", "550 5.7.1 we do not like you", AGAIN),
    ("mail", "501 5.1.7 bad sender", AGAIN),
    ("rcpt", "530 5.7.0 log in first", AGAIN),
    ("rcpt", "503 5.5.1 need MAIL", AGAIN),
    ("dot", "550 5.7.26 no DMARC", AGAIN),
    ("dot", "554 5.7.1 looks like spam", AGAIN),
    ("dot", "550 5.1.1 said too late", AGAIN),
    ("dot", "552 5.3.4 too large", AGAIN),
    ("dot", "554 5.6.0 not this text", AGAIN),
    ("rcpt", "550 5.7.1 members only", AGAIN),
    ("rcpt", "550 5.7.1 relaying denied", AGAIN),
    ("rcpt", "550 5.4.1 relay access denied", AGAIN),
    ("rcpt", "550 5.1.8 bad sender", AGAIN),
    ("rcpt", "550 5.1.0 rejected", AGAIN),
    ("rcpt", "550 5.1.2 bad domain", AGAIN),
    ("rcpt", "571 members only", AGAIN),
    # No such mailbox.
    ("rcpt", "550 5.1.1 no such user", GONE),
    ("rcpt", "550 5.1.10 null MX", GONE),
    ("rcpt", "550 5.2.1 disabled", GONE),
    # Perhaps no such mailbox: there is only the code to judge by.
    ("rcpt", "550 no", MAYBE),
    ("rcpt", "550 user unknown in 5.1", MAYBE),
    ("rcpt", "551 moved", MAYBE),
    ("rcpt", "553 sorry", MAYBE),
    # Refuses this mail, which says nothing about the mailbox.
    ("rcpt", "554 no", NEVER),
    ("data", "554 no valid recipients", NEVER),
    ("dot", "550 no", NEVER),
]
MEANT = {
    AGAIN: Decision(DEFERRED, NOW + FIRST_DELAY),
    AT_ONCE: Decision(DEFERRED, NOW),
    MAYBE: Decision(REFUSED, doubtful=True),
    GONE: Decision(REFUSED, suppress=True),
    NEVER: Decision(REFUSED),
}

KINDS = st.sampled_from(list(ReplyKind))
CLASSIFIED = st.builds(classify, st.sampled_from(STAGES), st.integers(0, 999), st.text(max_size=20))
UNANSWERED = st.builds(without_reply, KINDS, st.sampled_from(STAGES), st.text(max_size=20))
OUTCOMES = CLASSIFIED | UNANSWERED


def classified(stage: Stage, reply: str) -> Reply:
    """Returns a reply as the session classifies it."""
    code, _, text = reply.partition(" ")
    return classify(stage, int(code), text)


def after(reply: Reply, attempts: int = 1, age: timedelta = timedelta()) -> Decision:
    """Returns the decision about a delivery that was first tried this long ago."""
    return decide(reply, attempts=attempts, first_at=NOW - age, now=NOW, give_up_after=TIMEOUT)


def unanswered(kind: ReplyKind, stage: Stage = "data") -> Reply:
    """Returns the result of an attempt that got no reply."""
    return without_reply(kind, stage, "what happened")


# --- the delivery


@pytest.mark.parametrize(("stage", "reply", "meant"), REPLIES)
def test_the_decision_for_a_reply(stage: Stage, reply: str, meant: str) -> None:
    """The table leads from codes to consequences for the delivery and the subscriber."""
    assert after(classified(stage, reply)) == MEANT[meant]


@pytest.mark.parametrize("stage", STAGES)
def test_an_accepted_message_is_sent(stage: Stage) -> None:
    """Its age and the number of attempts do not matter."""
    assert after(unanswered(ReplyKind.SENT, stage), 50, 10 * TIMEOUT) == Decision(SENT)
    assert after(classified("dot", "250 2.0.0 taken"), 50, 10 * TIMEOUT) == Decision(SENT)


@pytest.mark.parametrize("attempts", [1, 2, 50])
def test_a_message_that_may_have_arrived_is_not_retried(attempts: int) -> None:
    """It could arrive twice."""
    assert after(unanswered(ReplyKind.UNKNOWN, "dot"), attempts) == Decision(UNKNOWN)


def test_a_lost_connection_is_retried_at_once_only_the_first_time() -> None:
    """It may only have been idle for too long; the second time, the cause is another one."""
    lost = unanswered(ReplyKind.LOST)
    assert after(lost, 1) == Decision(DEFERRED, NOW)
    for attempts in range(2, 30):
        assert after(lost, attempts) == Decision(DEFERRED, NOW + delay(attempts))


@pytest.mark.parametrize("kind", [ReplyKind.DEFERRED, ReplyKind.OURS])
def test_only_a_lost_connection_is_retried_at_once(kind: ReplyKind) -> None:
    """A server that refused is given time."""
    for attempts in range(1, 30):
        found = after(unanswered(kind), attempts)
        assert found == Decision(DEFERRED, NOW + delay(attempts))


@pytest.mark.parametrize("kind", [ReplyKind.DEFERRED, ReplyKind.OURS, ReplyKind.LOST])
@pytest.mark.parametrize("attempts", [1, 2, 40])
def test_retries_end_at_the_time_limit(kind: ReplyKind, attempts: int) -> None:
    """Exactly when the delivery reaches its age limit, and not a second earlier."""
    reply = unanswered(kind)
    assert after(reply, attempts, TIMEOUT - SECOND).state is DEFERRED
    assert after(reply, attempts, TIMEOUT) == Decision(EXPIRED)
    assert after(reply, attempts, TIMEOUT + SECOND) == Decision(EXPIRED)


def test_a_clock_that_went_back_is_no_reason_to_give_up() -> None:
    """The first attempt is then in the future."""
    assert after(unanswered(ReplyKind.DEFERRED), 1, -10 * TIMEOUT).state is DEFERRED


@given(OUTCOMES, st.integers(1, 10**9), st.timedeltas(-TIMEOUT, 10 * TIMEOUT))
def test_every_reply_has_one_consistent_decision(
    reply: Reply, attempts: int, age: timedelta
) -> None:
    """Only deferred ones have a retry time, and only refused ones a doubt or a suppression."""
    found = after(reply, attempts, age)
    waits = EXPIRED if age >= TIMEOUT else DEFERRED
    assert found.state is ENDS.get(reply.kind, waits)
    assert (found.try_at is not None) is (found.state is DEFERRED)
    assert found.try_at is None or NOW <= found.try_at <= NOW + LONGEST_DELAY
    assert not (found.suppress and found.doubtful)
    if found.suppress or found.doubtful:
        assert (found.state, reply.stage) == (REFUSED, "rcpt")


@pytest.mark.parametrize("stage", STAGES)
def test_without_a_reply_no_address_is_suppressed(stage: Stage) -> None:
    """An address that cannot be sent to is refused, and does not count as a dead mailbox."""
    assert after(unanswered(ReplyKind.REFUSED, stage)) == Decision(REFUSED)


@pytest.mark.parametrize("reply", ["550 5.1.1 no such user", "550 no", "550 5.7.1 denied"])
def test_a_refusal_that_is_not_believed_waits(reply: str) -> None:
    """Too many were refused: it waits for the breaker, and no address is suppressed."""
    one = classified("rcpt", reply)
    found = decide(
        one,
        attempts=9,
        first_at=NOW - 2 * TIMEOUT,
        now=NOW,
        give_up_after=TIMEOUT,
        is_believed=False,
    )
    assert found == Decision(DEFERRED, NOW, put_back=True)


# --- the delay


def test_the_first_delays_double() -> None:
    """Each one is twice as long as the one before."""
    minutes = [delay(attempts).total_seconds() / 60 for attempts in range(1, 10)]
    assert minutes == [5, 10, 20, 40, 80, 160, 240, 240, 240]


def test_delays_grow_to_a_limit() -> None:
    """They never become shorter and never exceed the limit, whatever the number of attempts."""
    waits = [delay(attempts) for attempts in [*range(1, 200), 10**6, 10**18]]
    assert all(FIRST_DELAY <= one <= other for one, other in pairwise(waits))
    assert waits[-1] == max(waits) == LONGEST_DELAY


@pytest.mark.parametrize("kind", [ReplyKind.DEFERRED, ReplyKind.OURS, ReplyKind.LOST])
def test_a_server_that_always_defers(kind: ReplyKind) -> None:
    """It is tried a few dozen times in three days; then the delivery expires."""
    attempts, now, found = 0, NOW, Decision(DEFERRED)
    while found.state is DEFERRED:
        attempts += 1
        found = decide(
            unanswered(kind), attempts=attempts, first_at=NOW, now=now, give_up_after=TIMEOUT
        )
        now = found.try_at or now
    assert found == Decision(EXPIRED)
    assert TIMEOUT <= now - NOW <= TIMEOUT + LONGEST_DELAY
    assert 15 < attempts < 40
