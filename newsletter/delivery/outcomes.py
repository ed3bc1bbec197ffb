"""Outcomes of attempts, and how many of them were refusals of late. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from newsletter.delivery.retry import is_about_us
from newsletter.transports.replies import Reply, ReplyKind

REFUSALS = 10
"""Permanent refusals that open a circuit, if they are more than the usual share."""
POLICY_REFUSALS = 5
"""The same for refusals of the sender."""
UNKNOWN_IN_A_ROW = 5
"""Messages in a row without a reply after their last byte that open a circuit."""
WINDOW = 200
"""Outcomes that are compared: beyond that, older ones count less and less."""


class Outcome(StrEnum):
    """What one attempt says about the circuit."""

    ACCEPTED = "accepted"
    REFUSED = "refused"  # permanently, for this recipient or without saying why
    POLICY = "policy"  # permanently, for a reason on our side
    UNKNOWN = "unknown"  # no reply after the last byte
    TEMPORARY = "temporary"  # says nothing


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


def outcome_of(reply: Reply) -> Outcome:
    """Returns what a reply says about the circuit."""
    if reply.kind is ReplyKind.SENT:
        return Outcome.ACCEPTED
    if reply.kind is ReplyKind.UNKNOWN:
        return Outcome.UNKNOWN
    if reply.kind is ReplyKind.REFUSED:
        return Outcome.REFUSED
    return Outcome.POLICY if is_about_us(reply) else Outcome.TEMPORARY
