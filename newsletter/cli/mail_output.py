"""Output about subscribers, deliveries and runs: JSON rows and readable lines."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from newsletter.app.idle import joined
from newsletter.app.reason_words import circuit_open, edition_held, sentence
from newsletter.cli.options import is_quiet
from newsletter.cli.terminal import write
from newsletter.models import Circuit, DeliveryState
from newsletter.text.counted import plural
from newsletter.text.dates import iso, utc

if TYPE_CHECKING:
    from newsletter.delivery.recorder import RunSummary
    from newsletter.delivery.sending import RunResult
    from newsletter.planning.edition_review import EditionProgress
    from newsletter.storage.deliveries import DeliveryRow
    from newsletter.storage.editions import EditionRow
    from newsletter.storage.subscribers import Subscriber
    from newsletter.subscribers.list_import import Imported

_SHOWN = (
    DeliveryState.SENT,
    DeliveryState.DEFERRED,
    DeliveryState.REFUSED,
    DeliveryState.UNKNOWN,
    DeliveryState.EXPIRED,
    DeliveryState.CANCELLED,
)
_ATTENTION = (
    DeliveryState.DEFERRED,
    DeliveryState.REFUSED,
    DeliveryState.UNKNOWN,
    DeliveryState.EXPIRED,
)


class SendingProgress:
    """A progress line on a terminal: messages done, total, rate and time left."""

    def __init__(self) -> None:
        self._active = sys.stderr.isatty() and not is_quiet()
        self._began = monotonic()
        self._shown = 0.0

    def show(self, summary: RunSummary, total: int) -> None:
        """Updates the line."""
        now = monotonic()
        if not self._active or now - self._shown < 0.2:
            return
        self._shown = now
        rate = summary.done / max(now - self._began, 0.001)
        left = max(0, total - summary.done)
        text = f"{summary.done:,} of {total:,}"
        if summary.done:
            text += f" · {rate:,.0f}/s · {_span(left / rate)} left"
        write(f"\r\x1b[K{text}", err=True, end=False)

    def clear(self) -> None:
        """Clears the line for other output."""
        if self._active and self._shown:
            write("\r\x1b[K", err=True, end=False)


def _span(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def subscriber_row(row: Subscriber) -> dict[str, Any]:
    """Returns a subscriber as a JSON row."""
    return {
        "address": row.address,
        "state": row.state,
        "cadence": row.preferences.cadence,
        "time_zone": row.preferences.time_zone,
        "send_at": row.preferences.send_at,
        "topics": list(row.preferences.topics),
        "cursor": row.cursor,
        "next_due_at": iso(row.next_due_at),
        "added_at": iso(row.added_at),
    }


def subscriber_line(row: Subscriber) -> str:
    """Returns a subscriber as a readable line."""
    due = f"due {utc(row.next_due_at)}" if row.next_due_at else ""
    facts = [row.preferences.cadence, due]
    return f"{row.state:<12}  {row.address}  {' · '.join(filter(None, facts))}"


def imported_row(done: Imported, seconds: float) -> dict[str, Any]:
    """Returns the result of an import as a JSON row."""
    return {
        "lines": done.lines,
        "added": done.added,
        "known": done.known,
        "unsubscribed": done.left,
        "suppressed": done.suppressed,
        "bad": done.bad,
        "newly_unsubscribed": done.newly_unsubscribed,
        "newly_suppressed": done.newly_suppressed,
        "unconfirmed": done.unconfirmed,
        "seconds": round(seconds, 3),
    }


def imported_line(done: Imported) -> str:
    """Returns the result of an import as a readable line."""
    facts = [
        (done.known, "known already"),
        (done.left, "left unsubscribed"),
        (done.suppressed, "left suppressed"),
        (done.newly_unsubscribed, "now unsubscribed"),
        (done.newly_suppressed, "now suppressed"),
        (done.unconfirmed, "left out, as they never confirmed"),
    ]
    others = [f"{count:,} {what}" for count, what in facts if count]
    bad = [plural(done.bad, "bad line")] if done.bad else []
    return ", ".join([f"Added {plural(done.added, 'subscriber')}", *others, *bad]) + "."


def delivery_row(row: DeliveryRow, message_id: str) -> dict[str, Any]:
    """Returns a delivery as a JSON row."""
    return {
        "edition": row.edition,
        "part": row.part,
        "address": row.address,
        "state": row.state,
        "attempts": row.attempts,
        "message_id": message_id,
        "reply": row.reply,
        "try_at": iso(row.try_at),
        "changed_at": iso(row.changed_at),
    }


def delivery_line(row: DeliveryRow) -> str:
    """Returns a delivery as a readable line."""
    name = row.edition[:12] + (f" {row.part}/{row.parts}" if row.parts > 1 else "")
    tries = f" after {plural(row.attempts, 'attempt')}" if row.attempts > 1 else ""
    again = f", next {utc(row.try_at)}" if row.try_at and row.attempts else ""
    said = f": {row.reply}" if row.reply else ""
    address = row.address or "(gone)"
    at = utc(row.changed_at)
    return f"{at}  {row.state:<9}  {address}  {name}{tries}{again}{said}"


def edition_row(row: EditionRow) -> dict[str, Any]:
    """Returns an edition as a JSON row."""
    return {
        "id": row.id,
        "edition": row.key,
        "state": row.state,
        "held": row.reason if row.state == "held" else None,
        "papers": len(row.positions),
        "subject": row.subject,
        "frozen_at": iso(row.frozen_at),
        "planned_at": iso(row.planned_at),
    }


MAIL_COUNTS = ("sent", "waiting", "failed", "unknown", "cancelled")
"""What is counted of the mails of an edition."""


def progress_row(one: EditionProgress) -> dict[str, Any]:
    """Returns an edition and what became of its mails as a JSON row."""
    counts = {name: getattr(one, name) for name in MAIL_COUNTS}
    return {**edition_row(one.row), "progress": one.word, "mails": counts}


def progress_line(one: EditionProgress) -> str:
    """Returns an edition and what became of its mails as a readable line."""
    row = one.row
    about = row.reason if row.state == "held" else row.subject
    mails = [f"{count:,} {name}" for name in MAIL_COUNTS if (count := getattr(one, name))]
    facts = " · ".join([plural(len(row.positions), "paper"), *mails])
    return f"{row.id:>5}  {one.word:<8}  {utc(row.frozen_at)}  {facts}: {about}"


def circuit_row(circuit: Circuit) -> dict[str, Any]:
    """Returns an open circuit of the breaker as a JSON row."""
    return {
        "domain": circuit.domain or None,
        "reason": circuit.reason,
        "opened_at": iso(circuit.opened_at),
        "probe_at": iso(circuit.probe_at),
    }


def circuit_line(circuit: Circuit) -> str:
    """Returns an open circuit of the breaker as a readable line."""
    return sentence(circuit_open(circuit))


def ran_row(result: RunResult, idle_reasons: Sequence[str]) -> dict[str, Any]:
    """Returns the result of a run as a JSON row."""
    return {
        **{str(state): result.summary[state] for state in _SHOWN},
        "notices": result.summary.notices,
        "queued": result.summary.queued,
        "planned": result.planned.subscribers,
        "editions": result.planned.editions,
        "held": result.planned.held[0].reason if result.planned.held else None,
        "held_editions": [row.id for row in result.planned.held],
        "suppressed": result.summary.suppressed,
        "stopped": result.stopped or None,
        "breakers": [circuit_row(circuit) for circuit in result.summary.circuits],
        "limited": result.summary.limited,
        "silence": joined(idle_reasons) or None,
        "reasons": list(idle_reasons),
        "seconds": round(result.summary.seconds, 3),
    }


def ran_lines(result: RunResult, idle_reasons: Sequence[str]) -> Iterator[str]:
    """Yields the result of a run as readable lines."""
    summary = result.summary
    if result.planned.subscribers:
        what = plural(len(result.planned.editions), "edition")
        yield f"Planned {what} for {plural(result.planned.subscribers, 'subscriber')}."
    if summary.done:
        facts = [f"{summary[state]:,} {state}" for state in _SHOWN if summary[state]]
        if summary.notices:
            facts.append(plural(summary.notices, "notice"))
        yield f"{' · '.join(facts)} · {summary.seconds:.1f} s"
    if summary.suppressed:
        yield f"{plural(summary.suppressed, 'address', 'addresses')} suppressed."
    yield from held_back_lines(result, idle_reasons)


def held_back_lines(result: RunResult, idle_reasons: Sequence[str]) -> Iterator[str]:
    """Yields what a run holds back, and why nothing is sent, as readable lines."""
    summary = result.summary
    for row in result.planned.held if not idle_reasons else ():  # which say so too
        yield f"held: {edition_held(row.id, row.reason or '')}"
    yield from map(circuit_line, summary.circuits)
    if summary.limited:
        yield "The day's limit (max_per_day) is reached; the next run goes on."
    elif summary.queued:
        yield f"{plural(summary.queued, 'mail')} still waiting; the next run goes on."
    yield from idle_reasons


def wants_attention(result: RunResult) -> bool:
    """Returns whether the exit status should report that something was held, refused or failed."""
    states = any(result.summary[state] for state in _ATTENTION)
    summary = result.summary
    return bool(
        states or result.planned.held or result.stopped or summary.limited or summary.circuits
    )
