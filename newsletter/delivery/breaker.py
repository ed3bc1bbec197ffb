"""The circuit breaker: stops sending while refusals are more likely about us than about addresses.

A relay that lost its permission refuses everything, and a domain that dislikes the sender refuses
all of its mailboxes. No such refusal says anything about a recipient, so sending stops, to one
domain or to all, before more than a few deliveries are touched. It goes on when the operator says
so, or when one delivery, tried once an hour, gets through.

Pure: the time is an argument, and the changes of a circuit are returned to the caller, which
writes them down.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from newsletter.delivery.retry import is_about_us
from newsletter.models import Circuit
from newsletter.transports.replies import Reply, ReplyKind

ALL = ""
"""The name of the circuit of all mail, among those that are named by their domain."""
REFUSALS = 10
"""Permanent refusals that open a circuit, if they are more than the usual share."""
POLICY_REFUSALS = 5
"""The same for refusals of the sender."""
UNKNOWN_IN_A_ROW = 5
"""Messages in a row without a reply after their last byte that open a circuit."""
SHARE = 0.05
"""The share of refused deliveries that is usual on any list."""
TIMES_USUAL = 3
"""How many times the list's own share of refusals is usual."""
DOMAINS = 3
"""Domains that are affected before all mail is stopped."""
SMALL_LIST = 20
"""With fewer subscribers no share can be told: there it counts that everything was refused."""
FEW = 3
"""Refused deliveries, and nothing else, that stop a small list in the middle of a run."""
WINDOW = 200
"""Outcomes that are compared: beyond that, older ones count less and less."""
PROBE_EVERY = timedelta(hours=1)


class Outcome(StrEnum):
    """What one attempt says about the circuit."""

    ACCEPTED = "accepted"
    REFUSED = "refused"  # permanently, for this recipient or without saying why
    POLICY = "policy"  # permanently, for a reason on our side
    UNKNOWN = "unknown"  # no reply after the last byte
    TEMPORARY = "temporary"  # says nothing


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


@dataclass(slots=True)
class Tally:
    """The outcomes of late, those before `WINDOW` counting less.

    Attributes:
        tried: accepted or permanently refused, without those that say nothing.
        refused: permanently, whatever the reason.
        policy: of these, for a reason on our side.
        unknown: in a row.
        domains: those that refused.
    """

    tried: float = 0
    refused: float = 0
    policy: float = 0
    unknown: int = 0
    domains: set[str] = field(default_factory=set)

    def add(self, outcome: Outcome, domain: str) -> None:
        """Counts an outcome."""
        if outcome is Outcome.UNKNOWN:
            self.unknown += 1
            self.domains.add(domain)
            return
        if outcome is Outcome.TEMPORARY:
            return
        self.unknown = 0
        self.tried += 1
        if outcome is not Outcome.ACCEPTED:
            self.refused += 1
            self.policy += outcome is Outcome.POLICY
            self.domains.add(domain)
        if self.tried > WINDOW:
            self._age()

    def forget(self, other: Tally, domain: str) -> None:
        """Takes out what a domain contributed whose own circuit opened."""
        self.tried = max(0.0, self.tried - other.tried)
        self.refused = max(0.0, self.refused - other.refused)
        self.policy = max(0.0, self.policy - other.policy)
        self.unknown = 0
        self.domains.discard(domain)

    def _age(self) -> None:
        self.tried, self.refused, self.policy = self.tried / 2, self.refused / 2, self.policy / 2
        if self.refused < 1:
            self.domains.clear()

    def is_too_much(self, limit: float) -> bool:
        """Whether a larger share was refused than `limit`, or too many got no reply."""
        if self.unknown >= UNKNOWN_IN_A_ROW:
            return True
        is_many = self.refused >= REFUSALS or self.policy >= POLICY_REFUSALS
        return is_many and self.refused > self.tried * limit


@dataclass(frozen=True, slots=True)
class Background:
    """What a run knows when it begins.

    Attributes:
        subscribers: number of active subscribers.
        usual: the list's own share of refused deliveries, of the last 30 days.
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
        self._limit = max(SHARE, TIMES_USUAL * background.usual)
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

    def begin(self, domain: str) -> None:
        """Notes that a delivery to this domain is tried: where a circuit is open, as its probe."""
        self._probing.update(circuit.domain for circuit in self._circuits_of(domain))

    def abandon(self, domain: str) -> None:
        """Notes that it was not tried after all."""
        self._probing -= {domain, ALL}

    def note(self, domain: str, reply: Reply, now: datetime) -> list[Change]:
        """Counts the outcome of an attempt. Returns what it changes."""
        outcome = outcome_of(reply)
        probed = [one for one in self._circuits_of(domain) if one.domain in self._probing]
        if probed:
            return [self._probed(one, outcome, now) for one in probed]
        if self.is_open(domain):
            return []  # it was under way when the circuit opened
        self._last = reply.text if outcome is not Outcome.ACCEPTED else self._last
        tally = self._domains.setdefault(domain, Tally())
        for one in (tally, self._all, self._run):
            one.add(outcome, domain)
        return self._opened(domain, tally, now)

    def finish(self, now: datetime) -> list[Change]:
        """Judges a run that is over: on a small list nothing may have been accepted at all."""
        is_small = self._subscribers < SMALL_LIST
        if is_small and self._run.tried and self._all_refused() and ALL not in self._open:
            return [self._opens(ALL, self._run, now)]
        return []

    def _circuits_of(self, domain: str) -> list[Circuit]:
        return [self._open[one] for one in dict.fromkeys((ALL, domain)) if one in self._open]

    def _probed(self, circuit: Circuit, outcome: Outcome, now: datetime) -> Change:
        self._probing.discard(circuit.domain)
        if outcome is Outcome.ACCEPTED:
            del self._open[circuit.domain]
            self._domains.pop(circuit.domain, None)
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
        are_many = len([one for one in self._open if one != ALL]) >= DOMAINS
        is_wide = len(self._all.domains) >= DOMAINS and self._all.is_too_much(self._limit)
        enough = min(FEW, self._subscribers)
        is_small = self._subscribers < SMALL_LIST and self._run.tried >= enough
        if are_many or is_wide or (is_small and self._all_refused()):
            changes.append(self._opens(ALL, self._all if is_wide else self._run, now))
        return changes

    def _all_refused(self) -> bool:
        return self._run.refused == self._run.tried > 0

    def _opens(self, domain: str, tally: Tally, now: datetime) -> Change:
        circuit = Circuit(domain, _reason(domain, tally, self._last), now, now + PROBE_EVERY)
        self._open[domain] = circuit
        return Change(Step.OPENED, circuit)


def outcome_of(reply: Reply) -> Outcome:
    """Returns what a reply says about the circuit."""
    if reply.kind is ReplyKind.SENT:
        return Outcome.ACCEPTED
    if reply.kind is ReplyKind.UNKNOWN:
        return Outcome.UNKNOWN
    if reply.kind is ReplyKind.REFUSED:
        return Outcome.REFUSED
    return Outcome.POLICY if is_about_us(reply) else Outcome.TEMPORARY


def _reason(domain: str, tally: Tally, reply: str) -> str:
    if tally.unknown >= UNKNOWN_IN_A_ROW:
        what = f"{tally.unknown} messages in a row got no reply after their last byte"
    else:
        what = f"{tally.refused:.0f} of the last {tally.tried:.0f} mails were refused"
        if domain == ALL and len(tally.domains) > 1:
            what += f" by {len(tally.domains)} domains"
    where = f" by {domain}" if domain != ALL and not tally.unknown else ""
    return f"{what}{where}: {reply}"
