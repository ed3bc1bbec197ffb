"""Undelivered mail in words: how much, since when, why, and what to do. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from newsletter.app.reason_words import circuit_open
from newsletter.models import Circuit, DeliveryState
from newsletter.text.dates import utc


@dataclass(frozen=True, slots=True)
class Undelivered:
    """Messages in one state that did not reach a server, or may not have.

    Attributes:
        many: how many.
        since: the time that the oldest of them has been waiting or was tried first.
        reply: the newest reply of a server, or what happened instead; may be empty.
    """

    state: DeliveryState
    many: int
    since: datetime
    reply: str = ""


@dataclass(frozen=True, slots=True)
class MailFacts:
    """What is known about undelivered mail.

    Attributes:
        undelivered: by state; what the operator knows of is left out.
        circuits: the breaker's open circuits.
        stopped: why the last run ended before its work was done; empty if it did not.
        is_sending: whether a sender is at work.
    """

    undelivered: Sequence[Undelivered] = ()
    circuits: Sequence[Circuit] = ()
    stopped: str = ""
    is_sending: bool = False


def undelivered_mail(facts: MailFacts) -> list[str]:
    """Describes undelivered mail, and the open circuits that hold it back."""
    found = {one.state: one for one in facts.undelivered if one.many}
    words = [say(found[state], facts) for state, say in _WORDS.items() if state in found]
    return [*words[:1], *map(circuit_open, _circuits(facts, bool(found))), *words[1:]]


def _circuits(facts: MailFacts, has_undelivered: bool) -> list[Circuit]:
    """Returns the circuits to describe: that of all mail if it is open, else those of domains."""
    everything = [circuit for circuit in facts.circuits if not circuit.domain]
    return everything or (list(facts.circuits) if has_undelivered else [])


def _queued(one: Undelivered, facts: MailFacts) -> str:
    if facts.is_sending:
        return f"{_mails(one.many, 'is', 'are')} being sent"
    waits = f"{_mails(one.many, 'has', 'have')} been waiting since {utc(one.since)}"
    if facts.circuits:
        return waits
    if facts.stopped:
        return (
            f"{waits}, because the last run ended early ({facts.stopped}); the next run tries "
            "again, `newsletter doctor` looks for the cause"
        )
    return f"{waits}; `newsletter run` sends them, `newsletter serve` or a timer does so by itself"


def _deferred(one: Undelivered, facts: MailFacts) -> str:
    then = "" if facts.circuits else "; the next runs try again"
    return (
        f"{_mails(one.many, 'was deferred', 'were deferred')}, the first on {utc(one.since)}"
        f"{_because(one)}{then}"
    )


def _unknown(one: Undelivered, _facts: MailFacts) -> str:
    return (
        f"{_mails(one.many)} may or may not have arrived{_because(one)}; "
        "`newsletter deliveries --state unknown` lists them, `deliveries settle` or `retry` decides"
    )


def _ended(verb: str, state: DeliveryState) -> Callable[[Undelivered, MailFacts], str]:
    def say(one: Undelivered, _facts: MailFacts) -> str:
        return (
            f"{_mails(one.many, f'was {verb}', f'were {verb}')}, the first on {utc(one.since)}"
            f"{_because(one)}; `newsletter deliveries --state {state}` lists them, `deliveries "
            f"retry --state {state}` sends them again, `deliveries settle --state {state}` "
            "leaves it at that"
        )

    return say


_WORDS = {
    DeliveryState.QUEUED: _queued,
    DeliveryState.DEFERRED: _deferred,
    DeliveryState.REFUSED: _ended("refused", DeliveryState.REFUSED),
    DeliveryState.EXPIRED: _ended("given up", DeliveryState.EXPIRED),
    DeliveryState.UNKNOWN: _unknown,
}


def _mails(many: int, one: str = "", several: str = "") -> str:
    return f"1 mail {one}".rstrip() if many == 1 else f"{many:,} mails {several}".rstrip()


def _because(one: Undelivered) -> str:
    return f" ({one.reply})" if one.reply else ""
