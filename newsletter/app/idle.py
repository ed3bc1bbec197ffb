"""Why nothing is sent, in the words that reports and scripts rely on. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from newsletter.app.undelivered import MailFacts, undelivered_mail


@dataclass(frozen=True, slots=True)
class IdleFacts:
    """The facts that the idle reason is derived from.

    Attributes:
        held: ids of the held snapshots.
        held_reason: why the first of them is held.
        failing: names of the failing sources.
        failure: the error of the first of them.
        captured: number of snapshots ever captured.
        waiting: number of announced papers that at least one active subscriber has not been
            planned; without any, the number that a new subscriber would be sent.
        subscribers: number of active subscribers.
        paused: whether all sending is paused.
        next_due: when the first subscriber is due, as text.
        editions: ids of the held editions.
        editions_reason: why the first of them is held.
        clock: what is wrong with the clock; empty if nothing is.
        paused_subscribers: number of paused subscribers.
        suppressed_subscribers: number of suppressed subscribers: their servers reported that the
            mailbox does not exist.
        mail: undelivered mail; `stopped` and the breaker's circuits are among its facts.
        overdue: since when a due subscriber has not been planned, as text; empty if none is, or
            only for a short time.
        older: why nothing may be sent from this copy of the database; empty if that is not so.
    """

    held: tuple[int, ...] = ()
    held_reason: str = ""
    failing: tuple[str, ...] = ()
    failure: str = ""
    captured: int = 0
    waiting: int = 0
    subscribers: int = 0
    paused: bool = False
    next_due: str = ""
    editions: tuple[int, ...] = ()
    editions_reason: str = ""
    clock: str = ""
    paused_subscribers: int = 0
    suppressed_subscribers: int = 0
    overdue: str = ""
    mail: MailFacts = field(default_factory=MailFacts)
    older: str = ""


def idle_reason(facts: IdleFacts) -> str:
    """Returns the most important reason and what to do; it starts with one of six fixed phrases."""
    return _stopped(facts) or _held(facts) or _quiet(facts)


def _stopped(facts: IdleFacts) -> str:
    if facts.paused:
        also = f"; also held: {facts.older}" if facts.older else ""
        return f"paused: all sending is stopped; `newsletter continue` starts it{also}"
    if facts.older:
        return f"held: {facts.older}"
    return f"paused: {facts.clock}" if facts.clock else ""


def _held(facts: IdleFacts) -> str:
    if mail := undelivered_mail(facts.mail):
        return f"held: {mail}"
    if facts.held:
        numbers = ", ".join(map(str, facts.held[:5]))
        return (
            f"held: snapshot {numbers} waits for you ({facts.held_reason}); "
            f"`newsletter snapshots release {facts.held[0]}` or `reject` it"
        )
    if facts.editions:
        numbers = ", ".join(map(str, facts.editions[:5]))
        return (
            f"held: edition {numbers} waits for you ({facts.editions_reason}); "
            f"`newsletter editions release {facts.editions[0]}` or `reject` it"
        )
    if facts.mail.stopped and _is_overdue(facts):
        return (
            f"held: {_papers(facts)} since {facts.overdue}, because the last run ended early "
            f"({facts.mail.stopped}); the next run tries again, `newsletter doctor` looks for the "
            "cause"
        )
    return ""


def _is_overdue(facts: IdleFacts) -> bool:
    return bool(facts.overdue and facts.waiting)


def _papers(facts: IdleFacts) -> str:
    return "1 new paper waits" if facts.waiting == 1 else f"{facts.waiting:,} new papers wait"


def _quiet(facts: IdleFacts) -> str:
    if facts.failing:
        return f"source failing: {facts.failing[0]} ({facts.failure})"
    if not facts.captured:
        return "nothing new: nothing has been captured yet; run `newsletter ingest`"
    if not facts.waiting:
        if facts.subscribers:
            return "nothing new: everybody has, or is about to get, all that is known"
        return "nothing new: no capture had a paper that was not known"
    if not facts.subscribers:
        return _nobody(facts)
    if _is_overdue(facts):
        return (
            f"held: {_papers(facts)} since {facts.overdue}, and nothing has run since; "
            "`newsletter run` sends them, `newsletter serve` or a timer does it by itself"
        )
    when = f" ({facts.next_due})" if facts.next_due else ""
    return f"nobody due: {_papers(facts)} for the next due time{when}"


def _nobody(facts: IdleFacts) -> str:
    if facts.paused_subscribers:
        return (
            f"nobody subscribed: all {facts.paused_subscribers:,} are paused; "
            "`newsletter subscribers resume ADDRESS` ends a pause"
        )
    if facts.suppressed_subscribers:
        return (
            f"nobody subscribed: {facts.suppressed_subscribers:,} are suppressed, because their "
            "servers say that there is no such mailbox; if that is wrong, "
            "`newsletter subscribers add --unsuppress ADDRESS` brings a subscriber back"
        )
    ready = "1 new paper is" if facts.waiting == 1 else f"{facts.waiting:,} new papers are"
    return f"nobody subscribed: {ready} ready; `newsletter preview` shows what comes"
