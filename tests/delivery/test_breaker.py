"""The circuit breaker: what opens a circuit, what it holds back, and what closes it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.delivery.breaker import (
    ALL,
    PROBE_EVERY,
    SMALL_LIST,
    Background,
    Breaker,
    Step,
)
from newsletter.delivery.outcomes import POLICY_REFUSALS, REFUSALS, UNKNOWN_IN_A_ROW, WINDOW
from newsletter.models import Circuit
from newsletter.transports.replies import ReplyKind, Stage, classify, without_reply

NOW = datetime(2026, 11, 20, 7, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MANY = Background(subscribers=2_000)
BIG, OTHER = "big.example", "other.example"

Said = tuple[Stage, str]

ACCEPTED: Said = ("dot", "250 2.0.0 taken")
GONE: Said = ("rcpt", "550 5.1.1 no such user")
NO_REASON: Said = ("rcpt", "550 no")
POLICY: Said = ("rcpt", "550 5.7.1 relaying denied")
LATER: Said = ("rcpt", "450 4.2.0 greylisted")
UNKNOWN: Said = ("dot", "")


class Log:
    """A breaker, and what it did."""

    def __init__(self, background: Background = MANY) -> None:
        self.breaker = Breaker(background)
        self.steps: list[tuple[Step, str]] = []
        self.now = NOW

    def note(self, said: Said, *domains: str) -> Log:
        """An attempt to each of these domains got this reply."""
        stage, reply = said
        for domain in domains:
            self.breaker.begin(domain)
            outcome = (
                classify(stage, int(reply[:3]), reply[4:])
                if reply
                else without_reply(ReplyKind.UNKNOWN, stage, "no reply")
            )
            for change in self.breaker.note(domain, outcome, self.now):
                self.steps.append((change.step, change.circuit.domain))
        return self

    @property
    def opened(self) -> list[str]:
        """The circuits that were opened."""
        return [domain for step, domain in self.steps if step is Step.OPENED]


def spread(many: int) -> list[str]:
    """So many domains."""
    return [f"d{number}.example" for number in range(many)]


# --- what opens a circuit


@pytest.mark.parametrize(
    ("said", "many"),
    [
        (GONE, REFUSALS),
        (NO_REASON, REFUSALS),
        (POLICY, POLICY_REFUSALS),
        (UNKNOWN, UNKNOWN_IN_A_ROW),
    ],
)
def test_a_domain_that_refuses_everything(said: Said, many: int) -> None:
    """It is stopped at the threshold and not before; the others go on."""
    log = Log().note(said, *[BIG] * (many - 1))
    assert log.opened == []
    log.note(said, BIG)
    assert log.opened == [BIG]
    assert not log.breaker.may_try(BIG, NOW)
    assert log.breaker.may_try(OTHER, NOW)


@pytest.mark.parametrize(
    ("said", "many"),
    [
        (GONE, REFUSALS),
        (NO_REASON, REFUSALS),
        (POLICY, POLICY_REFUSALS),
        (UNKNOWN, UNKNOWN_IN_A_ROW),
    ],
)
def test_a_relay_that_refuses_everything(said: Said, many: int) -> None:
    """All mail is stopped, although no domain alone would be."""
    log = Log().note(said, *spread(many))
    assert log.opened == [ALL]
    assert not log.breaker.may_try("new.example", NOW)
    assert log.breaker.stopped(NOW)


def test_a_relay_that_breaks_after_a_long_time() -> None:
    """What was accepted long before does not hide it: only a few more are touched."""
    log = Log().note(ACCEPTED, *[BIG, OTHER, *spread(8)] * 1_000)
    tried = 0
    while log.opened != [ALL]:
        log.note(GONE, *spread(1 + tried % 9))
        tried += 1 + tried % 9
        assert tried < 40
    assert tried > REFUSALS


def test_three_domains_stop_all_mail() -> None:
    """Each of them is stopped first."""
    log = Log()
    for domain in ("a.example", "b.example", "c.example"):
        log.note(ACCEPTED, *spread(250)).note(POLICY, *[domain] * POLICY_REFUSALS)
    assert log.opened == ["a.example", "b.example", "c.example", ALL]


def test_a_domain_that_refuses_everything_is_not_held_against_the_others() -> None:
    """Two dead addresses elsewhere do not make it three domains."""
    log = Log().note(ACCEPTED, *spread(10)).note(GONE, "a.example", "b.example")
    log.note(POLICY, *[BIG] * POLICY_REFUSALS).note(ACCEPTED, *spread(10))
    assert log.opened == [BIG]


def test_what_is_usual_stops_nothing() -> None:
    """One in a hundred is gone, in whatever order they come."""
    for seed in range(20):
        dice, log = Random(seed), Log()
        for number in range(5_000):
            log.note(GONE if dice.random() < 0.01 else ACCEPTED, f"d{number % 700}.example")
        assert log.opened == []


@pytest.mark.parametrize(("usual", "opens"), [(0.0, True), (0.02, True), (0.06, False)])
def test_the_lists_own_share_is_usual(usual: float, *, opens: bool) -> None:
    """Three times as many as in the last thirty days are still believed."""
    log = Log(replace(MANY, usual=usual))
    for number in range(150):
        log.note(GONE if number % 8 == 0 else ACCEPTED, f"d{number}.example")
    assert bool(log.opened) is opens


def test_temporary_failures_open_nothing() -> None:
    """Greylisting is no refusal, and is no success either."""
    log = Log(Background(subscribers=5)).note(LATER, *spread(500))
    assert log.opened == []
    assert log.breaker.finish(NOW) == []


def test_an_unknown_between_others_opens_nothing() -> None:
    """Only many in a row do."""
    log = Log()
    for _ in range(50):
        log.note(UNKNOWN, *[BIG] * (UNKNOWN_IN_A_ROW - 1)).note(ACCEPTED, BIG)
    assert log.opened == []


def test_the_last_day_counts_as_part_of_the_run() -> None:
    """A list that is sent to in small runs is protected like any other."""
    before = replace(MANY, refused=9, accepted=0, refusing=frozenset(spread(9)))
    assert Log(before).note(GONE, OTHER).opened == [ALL]
    healthy = replace(before, accepted=3_000)
    assert Log(healthy).note(GONE, OTHER).opened == []


# --- small lists


def test_on_a_small_list_three_refusals_and_nothing_else_stop_all_mail() -> None:
    """There a share says little."""
    log = Log(Background(subscribers=SMALL_LIST - 1)).note(GONE, *spread(2))
    assert log.opened == []
    assert log.note(GONE, OTHER).opened == [ALL]
    assert Log(Background(subscribers=SMALL_LIST)).note(GONE, *spread(3)).opened == []


@pytest.mark.parametrize(("subscribers", "opens"), [(1, True), (SMALL_LIST, False)])
def test_the_only_mail_of_a_run_is_refused(subscribers: int, *, opens: bool) -> None:
    """It says nothing about the address, because nothing shows that mail leaves at all."""
    log = Log(Background(subscribers)).note(GONE, BIG)
    found = log.opened + [change.circuit.domain for change in log.breaker.finish(NOW)]
    assert found == [ALL] * opens


def test_one_that_is_accepted_shows_that_mail_leaves() -> None:
    """Then the others' refusals are believed."""
    log = Log(Background(subscribers=8)).note(GONE, *spread(2)).note(ACCEPTED, OTHER)
    log.note(GONE, *spread(5))
    assert log.opened == []
    assert log.breaker.finish(NOW) == []


# --- what it holds back, and what closes it


def opened(domain: str) -> Log:
    """A run that begins with an open circuit, an hour after it opened."""
    log = Log(replace(MANY, circuits=(Circuit(domain, "no", NOW - PROBE_EVERY, NOW),)))
    assert log.breaker.circuits
    return log


@pytest.mark.parametrize("domain", [ALL, BIG])
def test_one_delivery_an_hour_is_tried(domain: str) -> None:
    """No second one while it is under way, and none for another hour when it fails."""
    log = opened(domain)
    assert not log.breaker.may_try(BIG, NOW - SECOND)
    assert log.breaker.may_try(BIG, NOW)
    log.breaker.begin(BIG)
    assert not log.breaker.may_try(BIG, NOW)
    log.note(POLICY, BIG)
    assert log.steps == [(Step.PROBED, domain)]
    assert not log.breaker.may_try(BIG, NOW + PROBE_EVERY - SECOND)
    assert log.breaker.may_try(BIG, NOW + PROBE_EVERY)


@pytest.mark.parametrize("domain", [ALL, BIG])
def test_a_probe_that_gets_through_closes_the_circuit(domain: str) -> None:
    """Then everything goes on."""
    log = opened(domain).note(ACCEPTED, BIG)
    assert log.steps == [(Step.CLOSED, domain)]
    assert log.breaker.circuits == ()
    assert log.breaker.may_try(BIG, NOW)


@pytest.mark.parametrize("said", [GONE, NO_REASON, POLICY, LATER, UNKNOWN])
def test_any_other_end_of_a_probe_does_not(said: Said) -> None:
    """Only an accepted mail shows that the cause is gone."""
    assert opened(ALL).note(said, BIG).steps == [(Step.PROBED, ALL)]


def test_a_probe_that_was_not_sent_is_none() -> None:
    """Another delivery may be tried instead."""
    log = opened(BIG)
    log.breaker.begin(BIG)
    log.breaker.abandon(BIG)
    assert log.breaker.may_try(BIG, NOW)


def test_what_was_under_way_changes_nothing() -> None:
    """An open circuit is closed by its probe alone."""
    log = Log()
    for _ in range(30):
        log.breaker.begin(BIG)
    log.note(POLICY, *[BIG] * POLICY_REFUSALS)
    assert log.opened == [BIG]
    log.breaker.abandon(BIG)
    log.steps.clear()
    reply = classify("dot", 250, "2.0.0 taken")
    assert log.breaker.note(BIG, reply, NOW) == []
    assert log.breaker.is_open(BIG)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([GONE, NO_REASON, POLICY, LATER, UNKNOWN]),
            st.sampled_from([BIG, OTHER, *spread(3)]),
        ),
        max_size=80,
    ),
    st.integers(1, 5_000),
)
def test_where_nothing_is_accepted_little_is_touched(
    said: list[tuple[Said, str]], subscribers: int
) -> None:
    """Whatever the replies: each open circuit stays open, and few are refused before."""
    log = Log(Background(subscribers))
    touched = 0
    for reply, domain in said:
        if log.breaker.may_try(domain, log.now):
            touched += reply != LATER
            log.note(reply, domain)
    assert touched <= 4 * REFUSALS
    assert len(log.opened) == len(set(log.opened))


def test_the_reason_says_how_many_and_what_the_last_reply_was() -> None:
    """The operator reads it in `status`, in the report and in the run's summary."""
    log = Log().note(ACCEPTED, *spread(10)).note(POLICY, *spread(POLICY_REFUSALS))
    (circuit,) = log.breaker.circuits
    assert circuit == Circuit(
        ALL,
        "5 of the last 15 mails were refused by 5 domains: 550 5.7.1 relaying denied",
        NOW,
        NOW + PROBE_EVERY,
    )
    assert WINDOW > 15


def test_a_list_with_many_dead_addresses_comes_to_an_end_of_them() -> None:
    """Once others accept mail, an address that is refused again is believed and not counted."""
    log = opened(ALL).note(ACCEPTED, *spread(12))
    reply = classify("rcpt", 550, "5.1.1 no such user")
    assert log.breaker.is_confirmed(BIG, reply, again=True)
    assert not log.breaker.is_confirmed(BIG, reply, again=False)
    assert not log.breaker.is_confirmed(BIG, classify("rcpt", 550, "no"), again=True)
    for number in range(30):
        assert log.breaker.note(f"dead{number}.example", reply, NOW, again=True) == []
    assert log.breaker.circuits == ()


def test_what_is_refused_again_is_not_believed_where_nothing_is_accepted() -> None:
    """That is the relay, still."""
    reply = classify("rcpt", 550, "5.1.1 no such user")
    assert not Log().breaker.is_confirmed(BIG, reply, again=True)


def test_three_domains_that_refuse_are_left_out_once_others_accept() -> None:
    """All mail is stopped until a probe shows that the others take it; then only these are."""
    log = Log().note(ACCEPTED, *spread(30))
    log.note(POLICY, "a.example", "b.example", "c.example", "a.example", "b.example")
    assert log.opened == ["a.example", "b.example", "c.example", ALL]
    log.now += PROBE_EVERY
    log.note(ACCEPTED, "d0.example", *spread(30))
    assert [circuit.domain for circuit in log.breaker.circuits] == [
        "a.example",
        "b.example",
        "c.example",
    ]


def test_an_accepted_mail_opens_nothing() -> None:
    """Whatever is open already."""
    domains = ("a.example", "b.example", "c.example")
    circuits = tuple(Circuit(one, "no", NOW, NOW + PROBE_EVERY) for one in domains)
    log = Log(replace(MANY, circuits=circuits)).note(ACCEPTED, *spread(50))
    assert log.opened == []


def test_a_storm_is_nothing_usual() -> None:
    """However much was refused before: no list has three dead addresses in ten."""
    log = Log(replace(MANY, usual=0.9)).note(GONE, *spread(REFUSALS))
    assert log.opened == [ALL]


def test_a_single_refusal_where_others_took_mail_today_is_believed() -> None:
    """It was the only mail of its run, on a small list."""
    log = Log(Background(subscribers=6, accepted=4)).note(GONE, BIG)
    assert log.breaker.finish(NOW) == []
