"""Promise 4: why nothing went out, in six fixed words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.app.idle import IdleFacts, idle_reason
from newsletter.app.undelivered import MailFacts, Undelivered
from newsletter.models import Circuit, DeliveryState

NOW = datetime(2026, 11, 20, 7, 30, tzinfo=UTC)

WORDS = ("paused", "held", "source failing", "nothing new", "nobody subscribed", "nobody due")
"""The strongest first."""

CAUSES: dict[str, dict[str, Any]] = {
    "paused": {"paused": True},
    "held": {"held": (7, 8), "held_reason": "too many papers"},
    "source failing": {"failing": ("harbour",), "failure": "HTTP 503"},
    "nothing new": {"waiting": 0},
    "nobody subscribed": {"subscribers": 0},
    "nobody due": {},
}
WELL: dict[str, Any] = {"captured": 9, "waiting": 3, "subscribers": 2}


@pytest.mark.parametrize("word", WORDS)
def test_each_cause_has_its_word(word: str) -> None:
    """Alone, it begins with the fixed word and a colon."""
    assert idle_reason(IdleFacts(**WELL | CAUSES[word])).startswith(f"{word}: ")


@given(st.sets(st.sampled_from(WORDS), min_size=1))
def test_the_strongest_of_several_is_said(several: set[str]) -> None:
    """paused > held > source failing > nothing new > nobody subscribed > nobody due."""
    facts: dict[str, Any] = dict(WELL)
    for word in several:
        facts |= CAUSES[word]
    strongest = next(word for word in WORDS if word in several)
    assert idle_reason(IdleFacts(**facts)).startswith(f"{strongest}: ")


@given(
    st.builds(
        IdleFacts,
        held=st.lists(st.integers(1, 99), max_size=8).map(tuple),
        held_reason=st.just("too many papers"),
        failing=st.lists(st.just("harbour"), max_size=2).map(tuple),
        failure=st.just("HTTP 503"),
        captured=st.integers(0, 9),
        waiting=st.integers(0, 9),
        subscribers=st.integers(0, 9),
        paused=st.booleans(),
        suppressed_subscribers=st.integers(0, 9),
        mail=st.builds(
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
        ),
        overdue=st.sampled_from(["", "2026-11-21 07:30 UTC"]),
        older=st.sampled_from(["", "this database is older"]),
    )
)
def test_it_always_begins_with_one_of_six_words(facts: IdleFacts) -> None:
    """On one line, whatever the standing."""
    said = idle_reason(facts)
    assert said.split(":")[0] in WORDS
    assert "\n" not in said


def test_nothing_captured_yet_is_nothing_new() -> None:
    """With what to do about it."""
    said = idle_reason(IdleFacts())
    assert said.startswith("nothing new: ")
    assert "newsletter ingest" in said


def test_an_older_database_is_said_before_all_else_that_is_held() -> None:
    """Nothing else matters until the operator decides; a pause does not hide it."""
    older = WELL | CAUSES["held"] | {"older": "this database is older than its mail"}
    assert idle_reason(IdleFacts(**older)) == "held: this database is older than its mail"
    paused = idle_reason(IdleFacts(**older, paused=True))
    assert paused.startswith("paused: ")
    assert "this database is older than its mail" in paused


def test_held_says_which_why_and_what_to_do() -> None:
    """The snapshot's number, its reason and the command."""
    said = idle_reason(IdleFacts(**WELL | CAUSES["held"]))
    assert "7" in said
    assert "too many papers" in said
    assert "newsletter snapshots release 7" in said


def test_a_failing_source_is_named_with_its_failure() -> None:
    """Which one, and what it says."""
    said = idle_reason(IdleFacts(**WELL | CAUSES["source failing"]))
    assert "harbour" in said
    assert "HTTP 503" in said


def test_paused_says_how_to_go_on() -> None:
    """The command that starts sending again."""
    assert "newsletter continue" in idle_reason(IdleFacts(paused=True))


def test_papers_that_everybody_got_are_not_new() -> None:
    """When nobody waits for anything, nothing is said to wait for a due time."""
    said = idle_reason(IdleFacts(captured=9, waiting=0, subscribers=2))
    assert said.startswith("nothing new: ")


def test_people_whose_servers_know_them_no_more_are_why_nobody_is_subscribed() -> None:
    """With what to do if that is wrong."""
    said = idle_reason(IdleFacts(**WELL | {"subscribers": 0, "suppressed_subscribers": 60}))
    assert said.startswith("nobody subscribed: 60 are suppressed")
    assert "--unsuppress" in said


def test_who_is_overdue_waits_for_the_next_run() -> None:
    """It says since when, and why the last run did not do it, if that is known."""
    late = WELL | {"overdue": "2026-11-21 07:30 UTC"}
    assert "nothing has run since" in idle_reason(IdleFacts(**late))
    assert "(no room)" in idle_reason(IdleFacts(**late, mail=MailFacts(stopped="no room")))
    assert idle_reason(IdleFacts(**late | {"waiting": 0})).startswith("nothing new: ")


# --- undelivered mail


def of_mail(*found: tuple[DeliveryState, int, str], **facts: Any) -> str:
    """What is said when nothing is wrong but undelivered mail."""
    rows = [Undelivered(state, many, NOW, reply) for state, many, reply in found]
    return idle_reason(IdleFacts(**WELL | {"waiting": 0}, mail=MailFacts(rows, **facts)))


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (DeliveryState.QUEUED, "348 mails wait since 2026-11-20 07:30 UTC; `newsletter run`"),
        (DeliveryState.DEFERRED, "348 mails were deferred, the first on 2026-11-20 07:30 UTC"),
        (DeliveryState.REFUSED, "deliveries retry --state refused"),
        (DeliveryState.EXPIRED, "deliveries retry --state expired"),
        (DeliveryState.UNKNOWN, "`newsletter deliveries --state unknown` lists them"),
    ],
)
def test_undelivered_mail_is_never_nothing_new(state: DeliveryState, words: str) -> None:
    """How much, since when, why and what to do."""
    said = of_mail((state, 348, "451 later" if state is DeliveryState.DEFERRED else ""))
    assert said.startswith("held: 348 mails ")
    assert words in said
    assert ("(451 later)" in said) is (state is DeliveryState.DEFERRED)


def test_undelivered_mail_comes_before_papers() -> None:
    """A held snapshot is less urgent than mail that does not arrive."""
    facts = WELL | CAUSES["held"]
    mail = MailFacts([Undelivered(DeliveryState.DEFERRED, 1, NOW, "451 later")])
    said = idle_reason(IdleFacts(**facts, mail=mail))
    assert said.startswith("held: 1 mail was deferred")


def test_mail_that_is_being_sent_needs_nothing() -> None:
    """A sender is at work on it."""
    said = of_mail((DeliveryState.QUEUED, 2, ""), is_sending=True)
    assert said == "held: 2 mails are being sent"


def test_an_open_circuit_is_why_mail_waits() -> None:
    """With what happens next; an earlier run's reason no longer counts."""
    circuit = Circuit("", "11 of the last 11 mails were refused: 550 no", NOW, NOW)
    said = of_mail((DeliveryState.QUEUED, 9, ""), circuits=[circuit], stopped="earlier")
    assert "9 mails wait since 2026-11-20 07:30 UTC; and all mail is held back since" in said
    assert "(11 of the last 11 mails were refused: 550 no)" in said
    assert "`newsletter continue` lets the next run send all of it" in said
    assert "earlier" not in said
