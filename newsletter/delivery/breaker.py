"""The circuit breaker: stops sending while refusals are more likely about us than about addresses.

A relay that lost its permission refuses everything, and a domain that dislikes the sender refuses
all of its mailboxes. No such refusal says anything about a recipient, so sending stops, to one
domain or to all, before more than a few deliveries are touched. It goes on when the operator says
so, or when one delivery, tried once an hour, gets through.

Pure: the time is an argument, and the changes of a circuit are returned to the caller, which
writes them down.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from newsletter.delivery.outcomes import UNKNOWN_IN_A_ROW, WINDOW, Outcome, Tally, outcome_of
from newsletter.models import Circuit
from newsletter.transports.replies import Reply

ALL = ""
"""The name of the circuit of all mail, among those that are named by their domain."""
SHARE = 0.05
"""The share of refused deliveries that is usual on any list."""
TIMES_USUAL = 3
"""How many times the list's own share of refusals is usual."""
DOMAINS = 3
"""Domains that are affected before all mail is stopped."""
MOST_USUAL = 0.3
"""No larger share of refused deliveries is usual on any list."""
SMALL_LIST = 20
"""With fewer subscribers no share can be told: there it counts that everything was refused."""
FEW = 3
"""Refused deliveries, and nothing else, that stop a small list in the middle of a run."""
EVIDENCE = 3
"""Accepted deliveries of a run after which a recipient that is refused once more is believed."""
PROBE_EVERY = timedelta(hours=1)


class Step(StrEnum):
    """What happened to a circuit."""

    OPENED = "opened"
    CLOSED = "closed"  # a probe got through
    PROBED = "probed"  # a probe did not get through


@dataclass(frozen=True, slots=True)
class Change:
    """What one attempt did to a circuit."""

    step: Step
    circuit: Circuit


@dataclass(frozen=True, slots=True)
class Background:
    """What a run knows when it begins.

    Attributes:
        subscribers: number of active subscribers.
        usual: the list's own share of refused deliveries, of the 30 days before the last.
        accepted: deliveries accepted during the last day.
        refused: deliveries permanently refused during the last day.
        refusing: the domains that refused them.
        circuits: those that are open.
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
        background: what is known when the run begins. The last day counts as if it belonged to
            the run: a list that is sent to in many small runs is protected like any other.
    """

    def __init__(self, background: Background) -> None:
        self._subscribers = background.subscribers
        self._limit = max(SHARE, min(MOST_USUAL, TIMES_USUAL * background.usual))
        self._accepted_before = background.accepted > 0
        self._opened_since: set[str] = set()  # domains, since the circuit of all mail last closed
        self._open = {circuit.domain: circuit for circuit in background.circuits}
        self._probing: set[str] = set()
        self._domains: dict[str, Tally] = {}
        self._run = Tally()
        tried, refused = background.accepted + background.refused, background.refused
        part = min(1.0, WINDOW / tried) if tried else 0.0
        self._all = Tally(tried * part, refused * part)
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
        """Whether a refusal by this domain is not to be believed."""
        return any(self._circuits_of(domain))

    @property
    def circuits(self) -> tuple[Circuit, ...]:
        """The open circuits."""
        return tuple(self._open.values())

    def stopped(self, now: datetime) -> Circuit | None:
        """Returns the circuit of all mail, if it is open and no probe is due or under way."""
        circuit = self._open.get(ALL)
        waits = circuit and circuit.probe_at > now and ALL not in self._probing
        return circuit if waits else None

    def blocked_domains(self, now: datetime) -> list[str]:
        """Returns the domains to which nothing may be sent now."""
        return [one for one in self._open if one != ALL and not self.may_try(one, now)]

    def drop(self, domain: str) -> None:
        """Closes a circuit in memory that the operator has closed meanwhile."""
        self._open.pop(domain, None)
        self._probing.discard(domain)

    def begin(self, domain: str) -> None:
        """Notes that a delivery to this domain is tried: where a circuit is open, as its probe."""
        self._probing.update(circuit.domain for circuit in self._circuits_of(domain))

    def abandon(self, domain: str) -> None:
        """Notes that it was not tried after all."""
        self._probing -= {domain, ALL}

    def is_confirmed(self, domain: str, reply: Reply, *, again: bool) -> bool:
        """Whether a recipient that does not exist is believed, though a circuit had opened for it.

        So an old list with many dead addresses comes to an end of them.

        Args:
            again: it was refused before, and put back.
        """
        if not (again and reply.suppress) or self.is_open(domain):
            return False
        return self._run.tried - self._run.refused >= min(EVIDENCE, max(1, self._subscribers // 2))

    def note(
        self, domain: str, reply: Reply, now: datetime, *, again: bool = False
    ) -> list[Change]:
        """Counts the outcome of an attempt. Returns what it changes.

        Args:
            again: it was refused before, and put back.
        """
        outcome = outcome_of(reply)
        probed = [one for one in self._circuits_of(domain) if one.domain in self._probing]
        if probed:
            return [self._probed(one, outcome, now) for one in probed]
        if self.is_open(domain) or self.is_confirmed(domain, reply, again=again):
            return []  # it was under way when the circuit opened, or says nothing new
        self._last = reply.text if outcome is not Outcome.ACCEPTED else self._last
        tally = self._domains.setdefault(domain, Tally())
        for one in (tally, self._all, self._run):
            one.add(outcome, domain)
        return [] if outcome is Outcome.ACCEPTED else self._opened(domain, tally, now)

    def finish(self, now: datetime) -> list[Change]:
        """Judges a run that is over: perhaps nothing was accepted, now or during the last day."""
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
            self._all, self._run = Tally(), Tally()
            self._run.add(outcome, circuit.domain)
            return Change(Step.CLOSED, circuit)
        later = Circuit(circuit.domain, circuit.reason, circuit.opened_at, now + PROBE_EVERY)
        self._open[circuit.domain] = later
        return Change(Step.PROBED, later)

    def _opened(self, domain: str, tally: Tally, now: datetime) -> list[Change]:
        changes = []
        if tally.is_too_much(self._limit):
            changes.append(self._opens(domain, tally, now))
            self._all.forget(tally, domain)
            self._opened_since.add(domain)
        are_many = len(self._opened_since) >= DOMAINS
        is_wide = len(self._all.domains) >= DOMAINS and self._all.is_too_much(self._limit)
        enough = min(FEW, self._subscribers)
        is_small = self._subscribers < SMALL_LIST and self._run.tried >= enough
        accepted = self._all.tried - self._all.refused
        if is_wide and accepted and accepted >= self._all.refused:
            # Others accept: once a probe shows that, these alone are held back.
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

    def _opens(self, domain: str, tally: Tally, now: datetime) -> Change:
        circuit = Circuit(domain, _reason(domain, tally, self._last), now, now + PROBE_EVERY)
        self._open[domain] = circuit
        return Change(Step.OPENED, circuit)


def _reason(domain: str, tally: Tally, reply: str) -> str:
    if tally.unknown >= UNKNOWN_IN_A_ROW:
        what = f"{tally.unknown} messages in a row got no reply after their last byte"
    else:
        what = f"{tally.refused:.0f} of the last {tally.tried:.0f} mails were refused"
        if tally.tried == tally.refused:
            what = f"all of the last {tally.tried:.0f} mails were refused"
        if tally.tried == 1:
            what = "the only mail that was tried was refused"
        if domain == ALL and len(tally.domains) > 1:
            what += f" by {len(tally.domains)} domains"
    where = f" by {domain}" if domain != ALL else ""
    return f"{what}{where}: {reply}"
