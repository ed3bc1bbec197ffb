"""Promise 4: every reason why nothing is sent is given, each beginning with a fixed phrase."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.app.idle import IdleFacts, idle_reasons, joined
from newsletter.app.undelivered import MailFacts, Undelivered
from newsletter.models import Circuit, DeliveryState

NOW = datetime(2026, 11, 20, 7, 30, tzinfo=UTC)

WORDS = ("paused", "held", "source failing", "nothing new", "nobody subscribed", "nobody due")
"""The most important first."""

SNAPSHOT = "snapshot 7 of harbour is held for review (too many papers)"
EDITION = "edition 3 is held for review (too long)"
CAUSES: dict[str, dict[str, Any]] = {
    "paused": {"paused": True},
    "held": {"held": (SNAPSHOT,)},
    "source failing": {"failing": ("harbour has failed since yesterday (HTTP 503)",)},
    "nothing new": {"waiting": 0},
    "nobody subscribed": {"subscribers": 0},
    "nobody due": {},
}
WHEN = "on Monday 2026-11-30 at 07:30 (Europe/Berlin)"
WELL: dict[str, Any] = {"captured": 9, "waiting": 3, "subscribers": 2, "next_due": WHEN}


def first(facts: IdleFacts) -> str:
    """Returns the most important reason."""
    return idle_reasons(facts)[0]


@pytest.mark.parametrize("word", WORDS)
def test_each_cause_has_its_phrase(word: str) -> None:
    """Its reason begins with the fixed phrase and a colon."""
    assert first(IdleFacts(**WELL | CAUSES[word])).startswith(f"{word}: ")


@given(st.sets(st.sampled_from(WORDS)))
def test_every_reason_that_holds_is_given(several: set[str]) -> None:
    """In the order of their importance, each once, whichever hold together."""
    facts: dict[str, Any] = dict(WELL)
    for word in several:
        facts |= CAUSES[word]
    # Without an active subscriber none can be due; otherwise none is.
    expected = several - {"nobody due"} | (
        set() if "nobody subscribed" in several else {"nobody due"}
    )
    reasons = idle_reasons(IdleFacts(**facts))
    assert [reason.split(":")[0] for reason in reasons] == [one for one in WORDS if one in expected]
    assert joined(reasons).startswith(reasons[0])


_mail = st.builds(
    MailFacts,
    st.lists(
        st.builds(
            Undelivered,
            st.sampled_from(list(DeliveryState)),
            st.integers(0, 9),
            st.just(NOW),
            st.sampled_from(["", "550 no"]),
        ),
        max_size=5,
    ),
    st.lists(
        st.builds(
            Circuit,
            st.sampled_from(["", "a.example"]),
            st.just("no"),
            st.just(NOW),
            st.just(NOW),
        ),
        max_size=2,
    ),
    st.sampled_from(["", "the server is not there"]),
    st.booleans(),
)


@given(
    st.builds(
        IdleFacts,
        held=st.lists(st.just(SNAPSHOT), max_size=8).map(tuple),
        editions=st.lists(st.just(EDITION), max_size=8).map(tuple),
        failing=st.lists(st.just("harbour has failed"), max_size=2).map(tuple),
        captured=st.integers(0, 9),
        waiting=st.integers(0, 9),
        subscribers=st.integers(0, 9),
        paused=st.booleans(),
        is_due=st.booleans(),
        clock=st.sampled_from(["", "the clock is wrong"]),
        suppressed_subscribers=st.integers(0, 9),
        mail=_mail,
        overdue=st.sampled_from(["", "2026-11-21 07:30 UTC"]),
        older=st.sampled_from(["", "this database is older"]),
    )
)
def test_there_is_always_a_reason_on_one_line(facts: IdleFacts) -> None:
    """Each begins with one of the six phrases; `nobody due` says how to send all the same."""
    reasons = idle_reasons(facts)
    assert reasons
    for reason in reasons:
        assert reason.split(":")[0] in WORDS
        assert "\n" not in reason
        assert ("--due-now" in reason) == reason.startswith("nobody due: ")


def test_nothing_captured_yet_is_nothing_new() -> None:
    """With what to do about it, and about the missing subscribers."""
    one, other = idle_reasons(IdleFacts())
    assert one.startswith("nothing new: ")
    assert "newsletter ingest" in one
    assert other == "nobody subscribed: `newsletter subscribers add ADDRESS` adds a subscriber"


def test_an_older_database_comes_before_all_else_that_is_held() -> None:
    """Nothing else matters until the operator decides; a pause does not hide it."""
    older = WELL | CAUSES["held"] | {"older": "this database is older than its mail"}
    assert first(IdleFacts(**older)) == "held: this database is older than its mail"
    paused = idle_reasons(IdleFacts(**older, paused=True))
    assert paused[0].startswith("paused: ")
    assert paused[1] == "held: this database is older than its mail"


@pytest.mark.parametrize("what", ["held", "editions"])
def test_each_of_a_few_held_is_described(what: str) -> None:
    """Of many the first five are, and the number of the others is given."""
    facts: dict[str, Any] = {what: tuple(f"number {n} is held" for n in range(7))}
    reasons = idle_reasons(IdleFacts(**WELL | facts))
    assert reasons[:5] == tuple(f"held: number {n} is held" for n in range(5))
    name = "snapshots" if what == "held" else what
    assert reasons[5].startswith(f"held: 2 more {name}; `newsletter {name} list ")
    assert reasons[6].startswith("nobody due: ")


def test_paused_says_how_to_continue() -> None:
    """The command that starts sending again; `--due-now` is not said to send meanwhile."""
    paused, due = idle_reasons(IdleFacts(**WELL, paused=True))
    assert "newsletter continue" in paused
    assert due.endswith("`newsletter run --due-now` does not wait until then")


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        (1, "1 new paper is waiting; the first subscriber is due {}; {} sends it now"),
        (3, "3 new papers are waiting; the first subscriber is due {}; {} sends them now"),
    ],
)
def test_papers_wait_for_the_first_subscriber_who_is_due(waiting: int, expected: str) -> None:
    """How many, when with the time zone, and how to send them now."""
    words = expected.format(WHEN, "`newsletter run --due-now`")
    assert idle_reasons(IdleFacts(**WELL | {"waiting": waiting})) == (f"nobody due: {words}",)


def test_without_new_papers_the_next_due_time_is_given_too() -> None:
    """Both reasons hold."""
    one, other = idle_reasons(IdleFacts(captured=9, waiting=0, subscribers=2, next_due=WHEN))
    assert one.startswith("nothing new: ")
    assert other.startswith(f"nobody due: the first subscriber is due {WHEN}; ")


def test_a_subscriber_who_has_just_become_due_is_served_by_the_next_run() -> None:
    """It is not said that none is due, nor that a run failed."""
    (said,) = idle_reasons(IdleFacts(**WELL, is_due=True))
    assert f"the first subscriber became due {WHEN}" in said
    assert idle_reasons(IdleFacts(captured=1, subscribers=1, is_due=True))[1:] == ()


def test_suppressed_subscribers_are_why_none_is_active() -> None:
    """With what to do if that is wrong."""
    facts = WELL | {"subscribers": 0, "suppressed_subscribers": 60, "paused_subscribers": 1}
    said = first(IdleFacts(**facts))
    assert said.startswith("nobody subscribed: 1 subscriber is paused; ")
    assert "; 60 subscribers are suppressed, " in said
    assert "--unsuppress" in said


def test_overdue_subscribers_wait_for_the_next_run() -> None:
    """It says since when, and why the last run did not serve them, if that is known."""
    late = WELL | {"overdue": "2026-11-21 07:30 UTC", "is_due": True}
    (said,) = idle_reasons(IdleFacts(**late))
    assert said.startswith("held: 3 new papers have been waiting since 2026-11-21 07:30 UTC, ")
    assert "nothing has run since" in said
    (said,) = idle_reasons(IdleFacts(**late, mail=MailFacts(stopped="no room")))
    assert "(no room)" in said


@pytest.mark.parametrize(
    "cause", [{"paused": True}, {"clock": "wrong"}, {"older": "older"}, {"editions": (EDITION,)}]
)
def test_overdue_subscribers_are_not_blamed_on_missing_runs(cause: dict[str, Any]) -> None:
    """Where something else keeps runs from serving them, only that is said."""
    late = WELL | {"overdue": "2026-11-21 07:30 UTC", "is_due": True}
    assert len(idle_reasons(IdleFacts(**late | cause))) == 1


def test_a_run_that_ended_early_is_said_though_no_subscriber_is_due() -> None:
    """The next run meets the same fault."""
    failed, due = idle_reasons(IdleFacts(**WELL, mail=MailFacts(stopped="the theme is broken")))
    assert failed.startswith("held: the last run ended early (the theme is broken); ")
    assert due.startswith("nobody due: ")


# --- undelivered mail


def of_mail(*found: tuple[DeliveryState, int, str], **facts: Any) -> list[str]:
    """Returns the reasons about mail where nothing else is wrong."""
    rows = [Undelivered(state, many, NOW, reply) for state, many, reply in found]
    reasons = idle_reasons(IdleFacts(**WELL | {"waiting": 0}, mail=MailFacts(rows, **facts)))
    return [reason for reason in reasons if reason.startswith("held: ")]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (DeliveryState.QUEUED, "348 mails have been waiting since 2026-11-20 07:30 UTC; `news"),
        (DeliveryState.DEFERRED, "348 mails were deferred, the first on 2026-11-20 07:30 UTC"),
        (DeliveryState.REFUSED, "deliveries retry --state refused"),
        (DeliveryState.EXPIRED, "deliveries retry --state expired"),
        (DeliveryState.UNKNOWN, "`newsletter deliveries --state unknown` lists them"),
    ],
)
def test_undelivered_mail_is_a_reason(state: DeliveryState, words: str) -> None:
    """How much, since when, why and what to do."""
    (said,) = of_mail((state, 348, "451 later" if state is DeliveryState.DEFERRED else ""))
    assert said.startswith("held: 348 mails ")
    assert words in said
    assert ("(451 later)" in said) is (state is DeliveryState.DEFERRED)


def test_undelivered_mail_comes_before_papers() -> None:
    """A held snapshot is less urgent than mail that does not arrive."""
    facts = WELL | CAUSES["held"]
    mail = MailFacts([Undelivered(DeliveryState.DEFERRED, 1, NOW, "451 later")])
    mails, snapshot, _ = idle_reasons(IdleFacts(**facts, mail=mail))
    assert mails.startswith("held: 1 mail was deferred")
    assert snapshot == f"held: {SNAPSHOT}"


def test_each_kind_of_undelivered_mail_is_a_reason_of_its_own() -> None:
    """One does not hide another."""
    kinds = [(DeliveryState.REFUSED, 1, ""), (DeliveryState.UNKNOWN, 2, "")]
    refused, unknown = of_mail(*kinds)
    assert refused.startswith("held: 1 mail was refused")
    assert unknown.startswith("held: 2 mails may or may not have arrived")


def test_mail_that_is_being_sent_needs_nothing() -> None:
    """A sender is at work on it."""
    assert of_mail((DeliveryState.QUEUED, 2, ""), is_sending=True) == [
        "held: 2 mails are being sent"
    ]


def test_an_open_circuit_is_why_mail_waits() -> None:
    """With what happens next; an earlier run's reason no longer counts."""
    circuit = Circuit("", "11 of the last 11 mails were refused: 550 no", NOW, NOW)
    waits, why = of_mail((DeliveryState.QUEUED, 9, ""), circuits=[circuit], stopped="earlier")
    assert waits == "held: 9 mails have been waiting since 2026-11-20 07:30 UTC"
    assert why.startswith("held: all mail has been held back since 2026-11-20 07:30 UTC (11 of ")
    assert "(11 of the last 11 mails were refused: 550 no)" in why
    assert "`newsletter continue` lets the next run send all of it" in why


@pytest.mark.parametrize(("domain", "expected"), [("", 1), ("a.example", 0)])
def test_a_circuit_of_one_domain_matters_while_mail_is_undelivered(
    domain: str, expected: int
) -> None:
    """That of all mail always does: the next edition would be held back."""
    circuit = Circuit(domain, "550 no", NOW, NOW)
    assert len(of_mail(circuits=[circuit])) == expected
    assert len(of_mail((DeliveryState.DEFERRED, 1, ""), circuits=[circuit])) == 2
