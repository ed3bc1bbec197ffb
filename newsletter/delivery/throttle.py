"""Rate limits, overall and for single domains. Pure: the time is an argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(slots=True)
class _Pace:
    """One message every `gap` seconds; idle time does not accumulate."""

    gap: float
    free_at: float = 0.0

    def take(self, now: float) -> None:
        self.free_at = max(self.free_at, now) + self.gap


class Rates:
    """The rate limits of one sender.

    Args:
        per_second: messages per second overall; `None` for no limit.
        per_domain: messages per second to single domains, in ASCII and lower case.
    """

    def __init__(self, per_second: float | None, per_domain: Mapping[str, float]) -> None:
        self._all = _Pace(1 / per_second) if per_second else None
        self._domains = {domain: _Pace(1 / rate) for domain, rate in per_domain.items()}

    def wait(self, domain: str, now: float) -> float:
        """Returns the seconds until a message to this domain may be sent; 0 if it may be now."""
        free_at = max((pace.free_at for pace in self._paces(domain)), default=now)
        return max(0.0, free_at - now)

    def take(self, domain: str, now: float) -> None:
        """Counts a message to this domain as sent now."""
        for pace in self._paces(domain):
            pace.take(now)

    def limits(self, domain: str) -> bool:
        """Whether this domain has its own rate limit."""
        return domain in self._domains

    def _paces(self, domain: str) -> list[_Pace]:
        own = self._domains.get(domain)
        return [pace for pace in (self._all, own) if pace]
