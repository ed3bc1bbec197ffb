"""What an outcome means: for the delivery, for the person, and for the run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.delivery.retry import (
    DOMAINS,
    FIRST_DELAY,
    IN_A_ROW,
    LONGEST_DELAY,
    Decision,
    Streak,
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
"""Verdicts that end a delivery, however young or old it is."""

AGAIN, AT_ONCE = "again", "again at once"
MAYBE, GONE, NEVER = "maybe the mailbox", "no such mailbox", "never"
REPLIES: list[tuple[Stage, str, str]] = [
    # Not now.
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
    # Not us: when we are mended it goes.
    ("connect", "554 5.7.1 your address is blocked", AGAIN),
    ("auth", "535 5.7.8 bad credentials", AGAIN),
    ("auth", "454 4.7.0 not now", AGAIN),
    ("mail", "550 5.7.1 we do not like you", AGAIN),
    ("mail", "501 5.1.7 bad sender", AGAIN),
    ("rcpt", "530 5.7.0 log in first", AGAIN),
    ("rcpt", "503 5.5.1 need MAIL", AGAIN),
    ("dot", "550 5.7.26 no DMARC", AGAIN),
    ("dot", "554 5.7.1 looks like spam", AGAIN),
    # Not this mailbox, for ever.
    ("rcpt", "550 5.1.1 no such user", GONE),
    ("rcpt", "550 5.1.10 null MX", GONE),
    ("rcpt", "550 5.2.1 disabled", GONE),
    # Perhaps not this mailbox: nothing but the code to go by.
    ("rcpt", "550 no", MAYBE),
    ("rcpt", "550 user unknown in 5.1", MAYBE),
    ("rcpt", "551 moved", MAYBE),
    ("rcpt", "553 sorry", MAYBE),
    # Not this mail, which says nothing about the mailbox.
    ("rcpt", "550 5.2.2 mailbox full", NEVER),
    ("rcpt", "550 5.7.1 members only", NEVER),
    ("rcpt", "571 members only", NEVER),
    ("rcpt", "552 full", NEVER),
    ("rcpt", "554 no", NEVER),
    ("data", "554 no valid recipients", NEVER),
    ("dot", "550 no", NEVER),
    ("dot", "552 5.3.4 too large", NEVER),
    ("dot", "554 5.6.0 not this text", NEVER),
]
MEANT = {
    AGAIN: Decision(DEFERRED, NOW + FIRST_DELAY),
    AT_ONCE: Decision(DEFERRED, NOW),
    MAYBE: Decision(REFUSED, doubtful=True),
    GONE: Decision(REFUSED, suppress=True),
    NEVER: Decision(REFUSED),
}

VERDICTS = st.sampled_from(list(ReplyKind))
SAID = st.builds(classify, st.sampled_from(STAGES), st.integers(0, 999), st.text(max_size=20))
UNSAID = st.builds(without_reply, VERDICTS, st.sampled_from(STAGES), st.text(max_size=20))
OUTCOMES = SAID | UNSAID


def said(stage: Stage, reply: str) -> Reply:
    """The outcome of a reply, as the session makes it."""
    code, _, text = reply.partition(" ")
    return classify(stage, int(code), text)


def after(reply: Reply, attempts: int = 1, age: timedelta = timedelta()) -> Decision:
    """What becomes of a delivery that was tried first so long ago."""
    return decide(reply, attempts=attempts, first_at=NOW - age, now=NOW, give_up_after=TIMEOUT)


def unsaid(kind: ReplyKind, stage: Stage = "data") -> Reply:
    """An outcome that no reply decided."""
    return without_reply(kind, stage, "what happened")


# --- the delivery


@pytest.mark.parametrize(("stage", "reply", "meant"), REPLIES)
def test_what_a_reply_means(stage: Stage, reply: str, meant: str) -> None:
    """For the delivery and the person: from codes to what is done about them."""
    assert after(said(stage, reply)) == MEANT[meant]


@pytest.mark.parametrize("stage", STAGES)
def test_what_is_sent_is_sent(stage: Stage) -> None:
    """Whatever else is known."""
    assert after(unsaid(ReplyKind.SENT, stage), 50, 10 * TIMEOUT) == Decision(SENT)
    assert after(said("dot", "250 2.0.0 taken"), 50, 10 * TIMEOUT) == Decision(SENT)


@pytest.mark.parametrize("attempts", [1, 2, 50])
def test_what_may_have_arrived_is_not_tried_again(attempts: int) -> None:
    """It could double."""
    assert after(unsaid(ReplyKind.UNKNOWN, "dot"), attempts) == Decision(UNKNOWN)


def test_a_lost_connection_is_tried_again_at_once_once() -> None:
    """It may just have been idle; a second time there is more to it."""
    lost = unsaid(ReplyKind.LOST)
    assert after(lost, 1) == Decision(DEFERRED, NOW)
    for attempts in range(2, 30):
        assert after(lost, attempts) == Decision(DEFERRED, NOW + delay(attempts))


@pytest.mark.parametrize("kind", [ReplyKind.DEFERRED, ReplyKind.OURS])
def test_only_a_lost_connection_is_tried_again_at_once(kind: ReplyKind) -> None:
    """A server that said no is given time."""
    for attempts in range(1, 30):
        found = after(unsaid(kind), attempts)
        assert found == Decision(DEFERRED, NOW + delay(attempts))


@pytest.mark.parametrize("kind", [ReplyKind.DEFERRED, ReplyKind.OURS, ReplyKind.LOST])
@pytest.mark.parametrize("attempts", [1, 2, 40])
def test_trying_ends(kind: ReplyKind, attempts: int) -> None:
    """When the delivery is as old as it may be, and not a second before."""
    reply = unsaid(kind)
    assert after(reply, attempts, TIMEOUT - SECOND).state is DEFERRED
    assert after(reply, attempts, TIMEOUT) == Decision(EXPIRED)
    assert after(reply, attempts, TIMEOUT + SECOND) == Decision(EXPIRED)


def test_the_clock_may_have_gone_back() -> None:
    """A first attempt in the future is no reason to give up."""
    assert after(unsaid(ReplyKind.DEFERRED), 1, -10 * TIMEOUT).state is DEFERRED


@given(OUTCOMES, st.integers(1, 10**9), st.timedeltas(-TIMEOUT, 10 * TIMEOUT))
def test_every_outcome_has_one_end(reply: Reply, attempts: int, age: timedelta) -> None:
    """A time to try again belongs to what is deferred, doubts to what is refused, one at most."""
    found = after(reply, attempts, age)
    waits = EXPIRED if age >= TIMEOUT else DEFERRED
    assert found.state is ENDS.get(reply.kind, waits)
    assert (found.try_at is not None) is (found.state is DEFERRED)
    assert found.try_at is None or NOW <= found.try_at <= NOW + LONGEST_DELAY
    assert not (found.suppress and found.doubtful)
    if found.suppress or found.doubtful:
        assert (found.state, reply.stage) == (REFUSED, "rcpt")


@pytest.mark.parametrize("stage", STAGES)
def test_without_a_reply_no_mailbox_is_to_blame(stage: Stage) -> None:
    """An address that we could not even write is refused, and nobody is counted out."""
    assert after(unsaid(ReplyKind.REFUSED, stage)) == Decision(REFUSED)


# --- the wait


def test_the_first_waits() -> None:
    """Twice as long each time."""
    minutes = [delay(attempts).total_seconds() / 60 for attempts in range(1, 10)]
    assert minutes == [5, 10, 20, 40, 80, 160, 240, 240, 240]


def test_waits_grow_to_a_limit() -> None:
    """Never shorter than the last one, and never beyond it, however often it was tried."""
    waits = [delay(attempts) for attempts in [*range(1, 200), 10**6, 10**18]]
    assert all(FIRST_DELAY <= one <= other for one, other in pairwise(waits))
    assert waits[-1] == max(waits) == LONGEST_DELAY


@pytest.mark.parametrize("kind", [ReplyKind.DEFERRED, ReplyKind.OURS, ReplyKind.LOST])
def test_a_server_that_never_takes_it(kind: ReplyKind) -> None:
    """It is asked a few dozen times over three days, then the delivery ends."""
    attempts, now, found = 0, NOW, Decision(DEFERRED)
    while found.state is DEFERRED:
        attempts += 1
        found = decide(
            unsaid(kind), attempts=attempts, first_at=NOW, now=now, give_up_after=TIMEOUT
        )
        now = found.try_at or now
    assert found == Decision(EXPIRED)
    assert TIMEOUT <= now - NOW <= TIMEOUT + LONGEST_DELAY
    assert 15 < attempts < 40


# --- the run

POLICY = said("dot", "550 5.7.26 no DMARC")
TAKEN = said("dot", "250 2.0.0 taken")
OTHERS = [
    TAKEN,
    said("rcpt", "550 5.1.1 no such user"),
    said("rcpt", "550 5.7.1 members only"),
    said("rcpt", "450 4.2.0 greylisted"),
    unsaid(ReplyKind.LOST),
    unsaid(ReplyKind.UNKNOWN),
]


def stops(streak: Streak, reply: Reply, *domains: str) -> list[bool]:
    """Whether the run has to stop, after each of these."""
    return [streak.note(reply, domain) is not None for domain in domains]


def test_three_domains_stop_a_run() -> None:
    """They will not all be wrong. The reason says how many, and what the last one said."""
    streak = Streak()
    assert DOMAINS == 3
    assert stops(streak, POLICY, "a.example", "b.example") == [False, False]
    assert streak.note(POLICY, "c.example") == ("3 domains refuse our mail: 550 5.7.26 no DMARC")


def test_one_domain_alone_stops_a_run_later() -> None:
    """Twenty times in a row, as when all mail leaves through one server that says no."""
    streak = Streak()
    assert IN_A_ROW == 20
    assert stops(streak, POLICY, *["a.example"] * 19) == [False] * 19
    assert streak.note(POLICY, "a.example") == (
        "20 mails in a row were refused: 550 5.7.26 no DMARC"
    )


def test_two_domains_do_not_stop_a_run_before_that() -> None:
    """A domain counts once, however often it refuses."""
    streak = Streak()
    assert stops(streak, POLICY, *["a.example", "b.example"] * 9) == [False] * 18


def test_a_success_begins_the_row_anew() -> None:
    """Whoever takes one mail has nothing against us."""
    streak = Streak()
    for _ in range(5):
        assert not any(stops(streak, POLICY, *["a.example"] * 19))
        assert streak.note(TAKEN, "a.example") is None
    assert not any(stops(streak, POLICY, *["a.example"] * 19))
    assert stops(streak, POLICY, "a.example") == [True]


@pytest.mark.parametrize("reply", OTHERS[1:], ids=lambda one: one.text)
def test_what_is_not_about_us_does_not_count(reply: Reply) -> None:
    """Neither for a stop nor against one."""
    streak = Streak()
    assert not any(stops(streak, reply, *(f"{n}.example" for n in range(100))))
    assert not any(stops(streak, POLICY, *["a.example"] * 19))
    assert stops(streak, reply, "b.example") == [False]
    assert stops(streak, POLICY, "a.example") == [True]


@pytest.mark.parametrize(
    ("stage", "reply"),
    [
        ("auth", "535 5.7.8 bad credentials"),
        ("auth", "454 4.7.0 not now"),
        ("mail", "530 5.7.0 log in first"),
        ("rcpt", "530 5.7.0 log in first"),
        ("mail", "534 5.7.9 stronger"),
        ("mail", "535 5.7.8 no"),
        ("data", "538 5.7.11 TLS first"),
    ],
)
def test_who_is_not_let_in_stops_at_once(stage: Stage, reply: str) -> None:
    """The next mail would hear the same; the server's words are the reason."""
    assert Streak().note(said(stage, reply), "a.example") == reply


@pytest.mark.parametrize("stage", STAGES)
def test_a_fault_here_stops_at_once(stage: Stage) -> None:
    """A full message, a bad sender, an edition that cannot be made: no server was asked."""
    assert Streak().note(unsaid(ReplyKind.OURS, stage), "a.example") == "what happened"


@given(
    st.lists(st.tuples(st.sampled_from([POLICY, *OTHERS]), st.sampled_from("abcd")), max_size=80)
)
def test_a_run_stops_exactly_when_it_should(replies: list[tuple[Reply, str]]) -> None:
    """Three domains at all, or twenty refusals without a success between them."""
    streak = Streak()
    domains: set[str] = set()
    row = 0
    for reply, domain in replies:
        why = streak.note(reply, domain)
        if reply is TAKEN:
            row = 0
        elif reply is POLICY:
            row += 1
            domains.add(domain)
        assert (why is not None) is (reply is POLICY and (len(domains) >= 3 or row >= 20))
