"""Why nothing is sent, in the words that reports and scripts rely on. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from newsletter.app.undelivered import MailFacts, undelivered_mail
from newsletter.models import DeliveryState

_NAMED = 5
"""Held snapshots or editions that are described one by one."""


@dataclass(frozen=True, slots=True)
class IdleFacts:
    """The facts that the idle reasons are derived from.

    Attributes:
        held: the held snapshots; each described as in `reason_words`.
        failing: the failing sources, described in the same way.
        captured: number of snapshots ever captured.
        waiting: number of announced papers that at least one active subscriber has not been
            planned; without any, the number that a new subscriber would be sent.
        subscribers: number of active subscribers.
        paused: whether all sending is paused.
        next_due: when the first subscriber is due for whom papers are waiting, as text; without
            waiting papers, when the first subscriber is due.
        is_due: whether that time has come.
        editions: the held editions; each described as in `reason_words`.
        clock: what is wrong with the clock; empty if nothing is.
        paused_subscribers: number of paused subscribers.
        pending_subscribers: number of subscribers that have not confirmed yet.
        suppressed_subscribers: number of suppressed subscribers: their servers reported that the
            mailbox does not exist.
        mail: undelivered mail; `stopped` and the breaker's circuits are among its facts.
        overdue: since when a due subscriber for whom papers are waiting has not been planned, as
            text; empty if there is none, or only for a short time.
        older: why nothing may be sent from this copy of the database; empty if that is not so.
    """

    held: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    captured: int = 0
    waiting: int = 0
    subscribers: int = 0
    paused: bool = False
    next_due: str = ""
    is_due: bool = False
    editions: tuple[str, ...] = ()
    clock: str = ""
    paused_subscribers: int = 0
    pending_subscribers: int = 0
    suppressed_subscribers: int = 0
    overdue: str = ""
    mail: MailFacts = field(default_factory=MailFacts)
    older: str = ""


def idle_reasons(facts: IdleFacts) -> tuple[str, ...]:
    """Returns every reason that holds and what to do about it, the most important first.

    There is always one. Each starts with one of six fixed phrases and a colon.
    """
    return (
        *_stopped(facts),
        *_held(facts),
        *(f"source failing: {source}" for source in facts.failing),
        *_nothing_new(facts),
        *_no_subscriber(facts),
        *_not_due(facts),
    )


def joined(reasons: Sequence[str]) -> str:
    """Returns the reasons as one line, which starts with the most important one."""
    return "; ".join(reasons)


def _stopped(facts: IdleFacts) -> Iterator[str]:
    if facts.paused:
        yield "paused: all sending is stopped; `newsletter continue` starts it"
    if facts.older:
        yield f"held: {facts.older}"
    if facts.clock:
        yield f"paused: {facts.clock}"


def _held(facts: IdleFacts) -> Iterator[str]:
    yield from (f"held: {words}" for words in undelivered_mail(facts.mail))
    yield from _each(facts.held, "snapshots")
    yield from _each(facts.editions, "editions")
    if _is_overdue(facts):
        yield f"held: {_overdue(facts)}"
    elif _has_failed(facts):
        yield (
            f"held: the last run ended early ({facts.mail.stopped}); the next run tries again, "
            "`newsletter doctor` looks for the cause"
        )


def _has_failed(facts: IdleFacts) -> bool:
    """Whether the last run ended early, papers are waiting, and queued mail does not tell so."""
    is_queued = any(one.state is DeliveryState.QUEUED for one in facts.mail.undelivered)
    is_told = is_queued or facts.mail.is_sending
    return bool(facts.mail.stopped and facts.waiting and facts.subscribers and not is_told)


def _each(held: Sequence[str], what: str) -> Iterator[str]:
    """Yields the first of the held snapshots or editions, and the number of the others."""
    yield from (f"held: {words}" for words in held[:_NAMED])
    if (more := len(held) - _NAMED) > 0:
        yield f"held: {more:,} more {what}; `newsletter {what} list --state held` lists them"


def _is_overdue(facts: IdleFacts) -> bool:
    """Whether papers should have been sent by now, and no other reason says why they were not."""
    is_stopped = facts.paused or facts.older or facts.clock or facts.editions
    return bool(facts.overdue and facts.waiting and facts.subscribers and not is_stopped)


def _overdue(facts: IdleFacts) -> str:
    papers = _papers(facts, "has been waiting", "have been waiting")
    if facts.mail.stopped:
        return (
            f"{papers} since {facts.overdue}, because the last run ended early "
            f"({facts.mail.stopped}); the next run tries again, `newsletter doctor` looks for the "
            "cause"
        )
    return (
        f"{papers} since {facts.overdue}, and nothing has run since; `newsletter run` sends them, "
        "`newsletter serve` or a timer does so by itself"
    )


def _papers(facts: IdleFacts, one: str, several: str) -> str:
    if facts.waiting == 1:
        return f"1 new paper {one}"
    return f"{facts.waiting:,} new papers {several}"


def _nothing_new(facts: IdleFacts) -> Iterator[str]:
    if not facts.captured:
        yield "nothing new: nothing has been captured yet; run `newsletter ingest`"
    elif not facts.waiting and facts.subscribers:
        yield "nothing new: no new papers are waiting for an active subscriber"
    elif not facts.waiting:
        yield "nothing new: every captured paper was known before"


def _no_subscriber(facts: IdleFacts) -> Iterator[str]:
    if facts.subscribers:
        return
    known = (
        (
            facts.paused_subscribers,
            "paused; `newsletter subscribers resume ADDRESS` ends a pause",
        ),
        (
            facts.suppressed_subscribers,
            "suppressed, because their servers say that there is no such mailbox; if that is "
            "wrong, `newsletter subscribers add --unsuppress ADDRESS` brings a subscriber back",
        ),
        (facts.pending_subscribers, "not confirmed yet"),
    )
    parts = [f"{_are(many)} {words}" for many, words in known if many]
    if facts.waiting:
        ready = _papers(facts, "is ready", "are ready")
        parts.append(ready)
    if not any(many for many, _ in known):
        parts.append("`newsletter subscribers add ADDRESS` adds a subscriber")
    yield f"nobody subscribed: {'; '.join(parts)}"


def _are(many: int) -> str:
    return "1 subscriber is" if many == 1 else f"{many:,} subscribers are"


def _not_due(facts: IdleFacts) -> Iterator[str]:
    if not facts.subscribers or facts.overdue or (facts.is_due and not facts.waiting):
        return
    papers = f"{_papers(facts, 'is waiting', 'are waiting')}; " if facts.waiting else ""
    if facts.is_due:
        yield (
            f"nobody due: {papers}the first subscriber became due {facts.next_due} and is served "
            "by the next `newsletter run`; `newsletter run --due-now` serves all subscribers now"
        )
        return
    first = f"the first subscriber is due {facts.next_due}; " if facts.next_due else ""
    them = "them" if facts.waiting > 1 else "it"
    is_sent = facts.waiting and not _is_stopped(facts)
    now = f"sends {them} now" if is_sent else "does not wait until then"
    yield f"nobody due: {papers}{first}`newsletter run --due-now` {now}"


def _is_stopped(facts: IdleFacts) -> bool:
    """Whether a run would not send new papers, even to subscribers who are due."""
    is_held = any(circuit.domain == "" for circuit in facts.mail.circuits) or facts.editions
    return bool(facts.paused or facts.older or facts.clock or facts.mail.stopped or is_held)
