"""Promise 4: why nothing went out, in six fixed words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.app.idle import IdleFacts, idle_reason

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
        mails=st.integers(0, 9),
        overdue=st.sampled_from(["", "2026-11-21 07:30 UTC"]),
        stopped=st.sampled_from(["", "the server is not there"]),
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
    assert "(no room)" in idle_reason(IdleFacts(**late, stopped="no room"))
    assert idle_reason(IdleFacts(**late | {"waiting": 0})).startswith("nothing new: ")
