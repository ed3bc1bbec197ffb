"""Why nothing went out, in the words that reports and scripts rely on. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known at the moment somebody asks.

    Attributes:
        held: numbers of the snapshots that wait, with the first one's reason.
        failing: sources that fail, with what the first one says.
        captured: snapshots ever captured.
        waiting: announced papers that somebody has not been sent; without subscribers,
            that nobody has.
        subscribers: who gets editions.
        next_due: when the first of them is due, in words.
        editions: numbers of the editions that wait, with the first one's reason.
        clock: what is wrong with the clock.
        people_paused: subscribers who wait for nothing for a while.
        people_suppressed: subscribers whose servers say that there is no such mailbox.
        mails: that could go now.
        overdue: since when somebody is due who was not planned for, in words; empty if nobody
            is, or not for long.
        stopped: what ended the last run before its work was done.
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
    people_paused: int = 0
    people_suppressed: int = 0
    mails: int = 0
    overdue: str = ""
    stopped: str = ""


def reason(standing: Standing) -> str:
    """The strongest reason, with what to do; it begins with one of six fixed words."""
    return _stopped(standing) or _held(standing) or _quiet(standing)


def _stopped(standing: Standing) -> str:
    if standing.paused:
        return "paused: all sending is stopped; `newsletter continue` starts it"
    return f"paused: {standing.clock}" if standing.clock else ""


def _held(standing: Standing) -> str:
    if standing.held:
        numbers = ", ".join(map(str, standing.held[:5]))
        return (
            f"held: snapshot {numbers} waits for you ({standing.held_reason}); "
            f"`newsletter snapshots release {standing.held[0]}` or `reject` it"
        )
    if standing.editions:
        numbers = ", ".join(map(str, standing.editions[:5]))
        return (
            f"held: edition {numbers} waits for you ({standing.editions_reason}); "
            f"`newsletter editions release {standing.editions[0]}` or `reject` it"
        )
    if standing.stopped and (standing.mails or _is_overdue(standing)):
        return (
            f"held: {_waiting(standing)}, because the last run ended early ({standing.stopped}); "
            "the next run tries again, `newsletter doctor` looks for the cause"
        )
    return ""


def _is_overdue(standing: Standing) -> bool:
    return bool(standing.overdue and standing.waiting)


def _waiting(standing: Standing) -> str:
    if standing.mails:
        return "1 mail waits" if standing.mails == 1 else f"{standing.mails:,} mails wait"
    return f"{_papers(standing)} since {standing.overdue}"


def _papers(standing: Standing) -> str:
    return "1 new paper waits" if standing.waiting == 1 else f"{standing.waiting:,} new papers wait"


def _quiet(standing: Standing) -> str:
    if standing.failing:
        return f"source failing: {standing.failing[0]} ({standing.failure})"
    if not standing.captured:
        return "nothing new: nothing has been captured yet; run `newsletter ingest`"
    if not standing.waiting:
        if standing.subscribers:
            return "nothing new: everybody has, or is about to get, all that is known"
        return "nothing new: no capture had a paper that was not known"
    if not standing.subscribers:
        return _nobody(standing)
    if _is_overdue(standing):
        return (
            f"held: {_waiting(standing)}, and nothing has run since; `newsletter run` sends them, "
            "`newsletter serve` or a timer does it by itself"
        )
    when = f" ({standing.next_due})" if standing.next_due else ""
    return f"nobody due: {_papers(standing)} for the next due time{when}"


def _nobody(standing: Standing) -> str:
    if standing.people_paused:
        return (
            f"nobody subscribed: all {standing.people_paused:,} are paused; "
            "`newsletter subscribers resume ADDRESS` ends a pause"
        )
    if standing.people_suppressed:
        return (
            f"nobody subscribed: {standing.people_suppressed:,} are suppressed, because their "
            "servers say that there is no such mailbox; if that is wrong, "
            "`newsletter subscribers add --unsuppress ADDRESS` brings somebody back"
        )
    ready = "1 new paper is" if standing.waiting == 1 else f"{standing.waiting:,} new papers are"
    return f"nobody subscribed: {ready} ready; `newsletter preview` shows what comes"
