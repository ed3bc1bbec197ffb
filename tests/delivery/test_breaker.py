"""The circuit breaker: what opens a circuit, what is held back, and what closes it."""

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

ServerReply = tuple[Stage, str]

ACCEPTED: ServerReply = ("dot", "250 2.0.0 taken")
GONE: ServerReply = ("rcpt", "550 5.1.1 no such user")
NO_REASON: ServerReply = ("rcpt", "550 no")
POLICY: ServerReply = ("rcpt", "550 5.7.1 relaying denied")
LATER: ServerReply = ("rcpt", "450 4.2.0 greylisted")
UNKNOWN: ServerReply = ("dot", "")


class Log:
    """A breaker and the steps that it took."""

    def __init__(self, background: Background = MANY) -> None:
        self.breaker = Breaker(background)
        self.steps: list[tuple[Step, str]] = []
        self.now = NOW

    def note(self, said: ServerReply, *domains: str) -> Log:
        """Records that an attempt to each of these domains got this reply."""
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
        """The circuits that were opened, by domain."""
        return [domain for step, domain in self.steps if step is Step.OPENED]


def spread(many: int) -> list[str]:
    """Returns this many different domains."""
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
def test_a_domain_that_refuses_everything(said: ServerReply, many: int) -> None:
    """It is stopped at the threshold and not earlier; other domains continue."""
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
def test_a_relay_that_refuses_everything(said: ServerReply, many: int) -> None:
    """All mail is stopped, although no single domain reaches the threshold."""
    log = Log().note(said, *spread(many))
    assert log.opened == [ALL]
    assert not log.breaker.may_try("new.example", NOW)
    assert log.breaker.stopped(NOW)


def test_a_relay_that_breaks_after_many_accepted_mails() -> None:
    """Earlier successes do not hide the fault: only a few more deliveries are affected."""
    log = Log().note(ACCEPTED, *[BIG, OTHER, *spread(8)] * 1_000)
    tried = 0
    while log.opened != [ALL]:
        log.note(GONE, *spread(1 + tried % 9))
        tried += 1 + tried % 9
        assert tried < 40
    assert tried > REFUSALS


def test_three_domains_stop_all_mail() -> None:
    """The circuit of each of them opens first."""
    log = Log()
    for domain in ("a.example", "b.example", "c.example"):
        log.note(ACCEPTED, *spread(250)).note(POLICY, *[domain] * POLICY_REFUSALS)
    assert log.opened == ["a.example", "b.example", "c.example", ALL]


def test_one_refusing_domain_does_not_stop_the_others() -> None:
    """Two dead addresses at other domains do not count as further refusing domains."""
    log = Log().note(ACCEPTED, *spread(10)).note(GONE, "a.example", "b.example")
    log.note(POLICY, *[BIG] * POLICY_REFUSALS).note(ACCEPTED, *spread(10))
    assert log.opened == [BIG]


def test_the_usual_share_of_refusals_stops_nothing() -> None:
    """One address in a hundred is gone, in whatever order they come."""
    for seed in range(20):
        dice, log = Random(seed), Log()
        for number in range(5_000):
            log.note(GONE if dice.random() < 0.01 else ACCEPTED, f"d{number % 700}.example")
        assert log.opened == []


@pytest.mark.parametrize(("usual", "opens"), [(0.0, True), (0.02, True), (0.06, False)])
def test_the_limit_follows_the_lists_own_share(usual: float, *, opens: bool) -> None:
    """Up to three times the share of the last thirty days is believed."""
    log = Log(replace(MANY, usual=usual))
    for number in range(150):
        log.note(GONE if number % 8 == 0 else ACCEPTED, f"d{number}.example")
    assert bool(log.opened) is opens


def test_temporary_failures_open_nothing() -> None:
    """Greylisting is neither a refusal nor a success."""
    log = Log(Background(subscribers=5)).note(LATER, *spread(500))
    assert log.opened == []
    assert log.breaker.finish(NOW) == []


def test_a_single_unknown_opens_nothing() -> None:
    """Only many in a row open a circuit."""
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


def test_three_refusals_without_a_success_stop_a_small_list() -> None:
    """A share says little about a small list."""
    log = Log(Background(subscribers=SMALL_LIST - 1)).note(GONE, *spread(2))
    assert log.opened == []
    assert log.note(GONE, OTHER).opened == [ALL]
    assert Log(Background(subscribers=SMALL_LIST)).note(GONE, *spread(3)).opened == []


@pytest.mark.parametrize(("subscribers", "opens"), [(1, True), (SMALL_LIST, False)])
def test_a_refusal_of_the_only_mail_of_a_run(subscribers: int, *, opens: bool) -> None:
    """It is not evidence about the address, because nothing shows that mail can be sent at all."""
    log = Log(Background(subscribers)).note(GONE, BIG)
    found = log.opened + [change.circuit.domain for change in log.breaker.finish(NOW)]
    assert found == [ALL] * opens


def test_one_accepted_mail_shows_that_sending_works() -> None:
    """Then the refusals of other mail are believed."""
    log = Log(Background(subscribers=8)).note(GONE, *spread(2)).note(ACCEPTED, OTHER)
    log.note(GONE, *spread(5))
    assert log.opened == []
    assert log.breaker.finish(NOW) == []


# --- what is held back, and what closes a circuit


def opened(domain: str) -> Log:
    """Starts a run with an open circuit, an hour after it opened."""
    log = Log(replace(MANY, circuits=(Circuit(domain, "no", NOW - PROBE_EVERY, NOW),)))
    assert log.breaker.circuits
    return log


@pytest.mark.parametrize("domain", [ALL, BIG])
def test_one_delivery_an_hour_is_tried(domain: str) -> None:
    """No second one is tried during it, nor for another hour if it fails."""
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
    """Then sending continues."""
    log = opened(domain).note(ACCEPTED, BIG)
    assert log.steps == [(Step.CLOSED, domain)]
    assert log.breaker.circuits == ()
    assert log.breaker.may_try(BIG, NOW)


@pytest.mark.parametrize("said", [GONE, NO_REASON, POLICY, LATER, UNKNOWN])
def test_a_probe_that_is_not_accepted_keeps_the_circuit_open(said: ServerReply) -> None:
    """Only an accepted mail shows that the cause is gone."""
    assert opened(ALL).note(said, BIG).steps == [(Step.PROBED, ALL)]


def test_a_probe_that_was_not_sent_does_not_count() -> None:
    """Another delivery may be tried in its place."""
    log = opened(BIG)
    log.breaker.begin(BIG)
    log.breaker.abandon(BIG)
    assert log.breaker.may_try(BIG, NOW)


def test_replies_to_earlier_attempts_do_not_change_an_open_circuit() -> None:
    """Only its probe closes an open circuit."""
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
def test_few_deliveries_are_tried_while_nothing_is_accepted(
    replies: list[tuple[ServerReply, str]], subscribers: int
) -> None:
    """Whatever the replies, each open circuit stays open, and few deliveries are refused before."""
    log = Log(Background(subscribers))
    touched = 0
    for reply, domain in replies:
        if log.breaker.may_try(domain, log.now):
            touched += reply != LATER
            log.note(reply, domain)
    assert touched <= 4 * REFUSALS
    assert len(log.opened) == len(set(log.opened))


def test_the_reason_has_the_number_of_refusals_and_the_last_reply() -> None:
    """The operator sees it in `status`, in the report and in the run's summary."""
    log = Log().note(ACCEPTED, *spread(10)).note(POLICY, *spread(POLICY_REFUSALS))
    (circuit,) = log.breaker.circuits
    assert circuit == Circuit(
        ALL,
        "5 of the last 15 mails were refused by 5 domains: 550 5.7.1 relaying denied",
        NOW,
        NOW + PROBE_EVERY,
    )
    assert WINDOW > 15


def test_a_list_gets_rid_of_many_dead_addresses() -> None:
    """Once others accept mail, an address that is refused again is believed and not counted."""
    log = opened(ALL).note(ACCEPTED, *spread(12))
    reply = classify("rcpt", 550, "5.1.1 no such user")
    assert log.breaker.is_confirmed(BIG, reply, again=True)
    assert not log.breaker.is_confirmed(BIG, reply, again=False)
    assert not log.breaker.is_confirmed(BIG, classify("rcpt", 550, "no"), again=True)
    for number in range(30):
        assert log.breaker.note(f"dead{number}.example", reply, NOW, again=True) == []
    assert log.breaker.circuits == ()


def test_a_second_refusal_is_not_believed_while_nothing_is_accepted() -> None:
    """The relay still refuses everything."""
    reply = classify("rcpt", 550, "5.1.1 no such user")
    assert not Log().breaker.is_confirmed(BIG, reply, again=True)


def test_only_refusing_domains_stay_blocked_once_others_accept() -> None:
    """All mail is stopped until a probe shows that other domains accept; then only three are."""
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
    """It makes no difference which circuits are open."""
    domains = ("a.example", "b.example", "c.example")
    circuits = tuple(Circuit(one, "no", NOW, NOW + PROBE_EVERY) for one in domains)
    log = Log(replace(MANY, circuits=circuits)).note(ACCEPTED, *spread(50))
    assert log.opened == []


def test_a_high_usual_share_still_has_a_limit() -> None:
    """No list has three dead addresses in ten, whatever was refused before."""
    log = Log(replace(MANY, usual=0.9)).note(GONE, *spread(REFUSALS))
    assert log.opened == [ALL]


def test_a_single_refusal_is_believed_if_other_mail_was_accepted_that_day() -> None:
    """It is the only mail of its run, on a small list."""
    log = Log(Background(subscribers=6, accepted=4)).note(GONE, BIG)
    assert log.breaker.finish(NOW) == []
