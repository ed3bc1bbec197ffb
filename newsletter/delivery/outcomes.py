"""The outcomes of attempts, and the recent share of refusals among them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from newsletter.delivery.retry import is_about_us
from newsletter.transports.replies import Reply, ReplyKind

REFUSALS = 10
"""Permanent refusals that open a circuit if they exceed the usual share."""
POLICY_REFUSALS = 5
"""The same for refusals because of the sender."""
UNKNOWN_IN_A_ROW = 5
"""Messages in a row without a reply after their last byte that open a circuit."""
WINDOW = 200
"""The number of recent outcomes that are compared; older ones lose weight."""


class Outcome(StrEnum):
    """The meaning of one attempt for the circuits."""

    ACCEPTED = "accepted"
    REFUSED = "refused"  # permanently, for this recipient or without saying why
    POLICY = "policy"  # permanently, for a reason on our side
    UNKNOWN = "unknown"  # no reply after the last byte
    TEMPORARY = "temporary"  # does not count


@dataclass(slots=True)
class OutcomeCounts:
    """Counts of recent outcomes; those before the last `WINDOW` have less weight.

    Attributes:
        tried: those accepted or permanently refused.
        refused: those permanently refused, for any reason.
        policy: those refused for a reason on our side.
        unknown: those without a reply, in a row.
        domains: the domains that refused.
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

    def forget(self, other: OutcomeCounts, domain: str) -> None:
        """Subtracts the outcomes of a domain whose own circuit opened."""
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
        """Whether the share of refusals exceeds `limit`, or too many got no reply."""
        if self.unknown >= UNKNOWN_IN_A_ROW:
            return True
        is_many = self.refused >= REFUSALS or self.policy >= POLICY_REFUSALS
        return is_many and self.refused > self.tried * limit


def outcome_of(reply: Reply) -> Outcome:
    """Returns the meaning of a reply for the circuits."""
    if reply.kind is ReplyKind.SENT:
        return Outcome.ACCEPTED
    if reply.kind is ReplyKind.UNKNOWN:
        return Outcome.UNKNOWN
    if reply.kind is ReplyKind.REFUSED:
        return Outcome.REFUSED
    return Outcome.POLICY if is_about_us(reply) else Outcome.TEMPORARY
