"""The circuit breaker: stops sending while refusals are more likely about us than about addresses.

A relay that lost its permission refuses everything, and a domain that dislikes the sender refuses
all of its mailboxes. No such refusal says anything about a recipient, so sending stops, to one
domain or to all, before more than a few deliveries are affected. It resumes when the operator asks
for it, or when one delivery, tried once an hour, gets through.

Pure: the time is an argument, and the changes of a circuit are returned to the caller, which
records them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from newsletter.delivery.outcomes import (
    UNKNOWN_IN_A_ROW,
    WINDOW,
    Outcome,
    OutcomeCounts,
    outcome_of,
)
from newsletter.models import Circuit
from newsletter.transports.replies import Reply

ALL = ""
"""The key of the circuit of all mail; other circuits have their domain as key."""
SHARE = 0.05
"""The share of refused deliveries that is usual on any list."""
TIMES_USUAL = 3
"""Refusals are too many above this multiple of the list's own usual share."""
DOMAINS = 3
"""Domains that are affected before all mail is stopped."""
MOST_USUAL = 0.3
"""The limit on the share of refusals is never higher than this."""
SMALL_LIST = 20
"""With fewer subscribers a share means little; a circuit opens if everything is refused."""
FEW = 3
"""Refusals, with nothing accepted, that stop a small list in the middle of a run."""
EVIDENCE = 3
"""Accepted deliveries of a run after which a recipient's second refusal is believed."""
PROBE_EVERY = timedelta(hours=1)


class Step(StrEnum):
    """What happened to a circuit."""

    OPENED = "opened"
    CLOSED = "closed"  # a probe got through
    PROBED = "probed"  # a probe did not get through


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a circuit that one attempt caused."""

    step: Step
    circuit: Circuit


@dataclass(frozen=True, slots=True)
class Background:
    """The facts that a run starts from.

    Attributes:
        subscribers: number of active subscribers.
        usual: the list's own share of refused deliveries, in the 30 days before the last day.
        accepted: deliveries accepted during the last day.
        refused: deliveries permanently refused during the last day.
        refusing: the domains that refused them.
        circuits: the open ones.
    """

    subscribers: int
    usual: float = 0.0
    accepted: int = 0
    refused: int = 0
    refusing: frozenset[str] = frozenset()
    circuits: tuple[Circuit, ...] = ()


class Breaker:
    """The circuits of one run.

    Args:
        background: the facts at the start of the run. The last day counts as part of the run, so
            that a list that is sent to in many small runs is protected like any other.
    """

    def __init__(self, background: Background) -> None:
        self._subscribers = background.subscribers
        self._limit = max(SHARE, min(MOST_USUAL, TIMES_USUAL * background.usual))
        self._accepted_before = background.accepted > 0
        self._opened_since: set[str] = set()  # domains, since the circuit of all mail last closed
        self._open = {circuit.domain: circuit for circuit in background.circuits}
        self._probing: set[str] = set()
        self._domains: dict[str, OutcomeCounts] = {}
        self._run = OutcomeCounts()
        tried, refused = background.accepted + background.refused, background.refused
        part = min(1.0, WINDOW / tried) if tried else 0.0
        self._all = OutcomeCounts(tried * part, refused * part)
        if refused > tried * self._limit:
            self._all.domains.update(background.refusing)
        self._last = ""

    def may_try(self, domain: str, now: datetime) -> bool:
        """Whether a delivery to this domain may be tried, if only as a probe."""
        return all(
            circuit.domain not in self._probing and circuit.probe_at <= now
            for circuit in self._circuits_of(domain)
        )

    def is_open(self, domain: str) -> bool:
        """Whether a refusal by this domain may not be about the recipient."""
        return any(self._circuits_of(domain))

    @property
    def circuits(self) -> tuple[Circuit, ...]:
        """The open circuits."""
        return tuple(self._open.values())

    def stopped(self, now: datetime) -> Circuit | None:
        """Returns the circuit of all mail if it is open, with no probe due or under way."""
        circuit = self._open.get(ALL)
        waits = circuit and circuit.probe_at > now and ALL not in self._probing
        return circuit if waits else None

    def blocked_domains(self, now: datetime) -> list[str]:
        """Returns the domains to which nothing may be sent now."""
        return [one for one in self._open if one != ALL and not self.may_try(one, now)]

    def drop(self, domain: str) -> None:
        """Closes a circuit in memory that the operator has closed since."""
        self._open.pop(domain, None)
        self._probing.discard(domain)

    def begin(self, domain: str) -> None:
        """Records that a delivery to this domain is tried, as the probe of its open circuits."""
        self._probing.update(circuit.domain for circuit in self._circuits_of(domain))

    def abandon(self, domain: str) -> None:
        """Records that it was not tried after all."""
        self._probing -= {domain, ALL}

    def is_confirmed(self, domain: str, reply: Reply, *, again: bool) -> bool:
        """Whether a repeated refusal is believed, although a circuit opened after the first one.

        Otherwise an old list with many dead addresses would never get rid of them.

        Args:
            again: whether it was refused before, and put back.
        """
        if not (again and reply.suppress) or self.is_open(domain):
            return False
        return self._run.tried - self._run.refused >= min(EVIDENCE, max(1, self._subscribers // 2))

    def note(
        self, domain: str, reply: Reply, now: datetime, *, again: bool = False
    ) -> list[Change]:
        """Counts the outcome of an attempt. Returns the changes of circuits that it causes.

        Args:
            again: whether it was refused before, and put back.
        """
        outcome = outcome_of(reply)
        probed = [one for one in self._circuits_of(domain) if one.domain in self._probing]
        if probed:
            return [self._probed(one, outcome, now) for one in probed]
        if self.is_open(domain) or self.is_confirmed(domain, reply, again=again):
            return []  # it was under way when the circuit opened, or says nothing new
        self._last = reply.text if outcome is not Outcome.ACCEPTED else self._last
        counts = self._domains.setdefault(domain, OutcomeCounts())
        for one in (counts, self._all, self._run):
            one.add(outcome, domain)
        return [] if outcome is Outcome.ACCEPTED else self._opened(domain, counts, now)

    def finish(self, now: datetime) -> list[Change]:
        """Opens the circuit of all mail if this run and the last day had only refusals."""
        enough = 1 if self._subscribers < SMALL_LIST else FEW
        is_silent = self._all_refused() and not self._accepted_before
        if is_silent and self._run.tried >= enough and ALL not in self._open:
            return [self._opens(ALL, self._run, now)]
        return []

    def _circuits_of(self, domain: str) -> list[Circuit]:
        return [self._open[one] for one in dict.fromkeys((ALL, domain)) if one in self._open]

    def _probed(self, circuit: Circuit, outcome: Outcome, now: datetime) -> Change:
        self._probing.discard(circuit.domain)
        if outcome is Outcome.ACCEPTED:
            del self._open[circuit.domain]
            self._domains.pop(circuit.domain, None)
            if circuit.domain == ALL:
                self._opened_since.clear()
            self._all, self._run = OutcomeCounts(), OutcomeCounts()
            self._run.add(outcome, circuit.domain)
            return Change(Step.CLOSED, circuit)
        later = Circuit(circuit.domain, circuit.reason, circuit.opened_at, now + PROBE_EVERY)
        self._open[circuit.domain] = later
        return Change(Step.PROBED, later)

    def _opened(self, domain: str, counts: OutcomeCounts, now: datetime) -> list[Change]:
        changes = []
        if counts.is_too_much(self._limit):
            changes.append(self._opens(domain, counts, now))
            self._all.forget(counts, domain)
            self._opened_since.add(domain)
        are_many = len(self._opened_since) >= DOMAINS
        is_wide = len(self._all.domains) >= DOMAINS and self._all.is_too_much(self._limit)
        enough = min(FEW, self._subscribers)
        is_small = self._subscribers < SMALL_LIST and self._run.tried >= enough
        accepted = self._all.tried - self._all.refused
        if is_wide and accepted and accepted >= self._all.refused:
            # Other domains accept: when a probe shows this, only the refusing ones stay blocked.
            changes += [
                self._opens(one, self._domains[one], now)
                for one in sorted(self._all.domains & self._domains.keys() - self._open.keys())
                if self._domains[one].tried == self._domains[one].refused > 0
            ]
        if are_many or is_wide or (is_small and self._all_refused()):
            changes.append(self._opens(ALL, self._all if is_wide else self._run, now))
        return changes

    def _all_refused(self) -> bool:
        return self._run.refused == self._run.tried > 0

    def _opens(self, domain: str, counts: OutcomeCounts, now: datetime) -> Change:
        circuit = Circuit(domain, _reason(domain, counts, self._last), now, now + PROBE_EVERY)
        self._open[domain] = circuit
        return Change(Step.OPENED, circuit)


def _reason(domain: str, counts: OutcomeCounts, reply: str) -> str:
    if counts.unknown >= UNKNOWN_IN_A_ROW:
        what = f"{counts.unknown} messages in a row got no reply after their last byte"
    else:
        what = f"{counts.refused:.0f} of the last {counts.tried:.0f} mails were refused"
        if counts.tried == counts.refused:
            what = f"all of the last {counts.tried:.0f} mails were refused"
        if counts.tried == 1:
            what = "the only mail that was tried was refused"
        if domain == ALL and len(counts.domains) > 1:
            what += f" by {len(counts.domains)} domains"
    where = f" by {domain}" if domain != ALL else ""
    return f"{what}{where}: {reply}"
